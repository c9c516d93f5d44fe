"""Calls about what a provider keeps in the tenant's account: files, batches, responses.

They are no calls of a model, use no tokens and cost nothing of their own. What the provider says to
them is passed on, its errors as well.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from proxy.ai.calls import ERROR_LIMIT, field, has_message
from proxy.ai.errors import (
    COMPRESSED,
    AnswerUnreadable,
    ProviderRefused,
    ProviderRejectedCredentials,
    ProviderSays,
)
from proxy.ai.formats import openai_faults
from proxy.ai.formats.registry import FORMATS
from proxy.ai.middle import Fault
from proxy.ai.sending import PLAIN
from proxy.errors import ApiKeyMissing, Headers

if TYPE_CHECKING:
    from proxy.exchange import Exchange
    from proxy.gateway import Gateway
    from proxy.runtime import ApiRuntime, DeploymentRuntime, ModelRuntime, TenantRuntime
    from proxy.upstream.pool import Response

ANSWER_LIMIT = 8_388_608
"""Bytes of an answer that is read."""
JSON = (b"content-type", b"application/json")
_decode = msgspec.json.Decoder(dict[str, Any]).decode
encode = msgspec.json.Encoder().encode


class Place(NamedTuple):
    """A deployment, its model, and the API through which the application uses it."""

    api: ApiRuntime
    model: ModelRuntime
    deployment: DeploymentRuntime


class Errand:
    """One such call. Raises ApiKeyMissing: without an application what is kept would belong to
    nobody."""

    def __init__(self, exchange: Exchange, gateway: Gateway) -> None:
        if exchange.caller is None:
            raise ApiKeyMissing
        self.exchange = exchange
        self.gateway = gateway
        self.tenant: TenantRuntime = exchange.tenant  # type: ignore[assignment]
        self.application_id = exchange.caller.application_id

    async def admit(self, place: Place) -> None:
        """The call is about what is there. Raises what policies refuse with, and
        UsageUnrecordable."""
        exchange = self.exchange
        exchange.api = place.api
        exchange.model_id, exchange.model = place.model.id, place.model.name
        exchange.provider_id = place.deployment.provider.id
        exchange.deployment_id = place.deployment.id
        exchange.input_tokens = exchange.output_tokens = exchange.cost_micros = 0
        exchange.currency = place.deployment.prices.currency
        await self.gateway.admit(exchange, place.api)
        exchange.begin()

    async def ask(
        self,
        place: Place,
        method: str,
        path: str,
        body: bytes | AsyncIterator[bytes] = b"",
        headers: Headers | None = None,
        root: str | None = None,
    ) -> Response:
        """The provider's answer, to be closed. ``path`` follows its base address, or ``root``.

        Raises ProviderSays for an error of the provider's, ProviderRejectedCredentials,
        ProviderRefused, AnswerUnreadable where it is compressed, and what the pool raises.
        """
        provider = place.deployment.provider
        to = provider.destination
        raw = f"{to.base if root is None else root}{path}".encode()
        sent = to.wire.headers(to, {}, raw, b"")
        if headers is not None:
            sent = [pair for pair in sent if pair[0] != b"content-type"] + headers
        response = await self.gateway.pool.send(
            to.target,
            method,
            raw,
            [*sent, PLAIN],
            body,
            provider.provider.timeouts,
            sender=self.exchange,
            private_ok=self.tenant.private_ok,
        )
        if 200 <= response.status < 300:
            if response.coded:
                response.close()
                raise AnswerUnreadable(COMPRESSED)
            return response
        try:
            await _refuse(response, provider.provider.name, to.wire.speaks(to, "chat")[0])
        finally:
            response.close()
        raise ProviderRefused

    async def told(self, place: Place, method: str, path: str, body: bytes = b"") -> dict[str, Any]:
        """As ``ask``, of an answer in JSON. Raises AnswerUnreadable too."""
        response = await self.ask(place, method, path, body)
        return await read(response)


async def read(response: Response) -> dict[str, Any]:
    """An object. Closes the response. Raises AnswerUnreadable."""
    try:
        return _decode(await response.read(ANSWER_LIMIT))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AnswerUnreadable from error
    finally:
        response.close()


async def _refuse(response: Response, name: str, spoken: str) -> None:
    status = response.status
    if status in (401, 403):
        raise ProviderRejectedCredentials(name, status)
    if status < 400:
        raise ProviderRefused(
            f"The AI provider '{name}' answered {status}. An administrator must check its address."
        )
    body = await response.read(ERROR_LIMIT)
    code = "provider_rate_limited" if status == 429 else "provider_error"
    if spoken in FORMATS and spoken != "chat":
        fault = FORMATS[spoken].read_fault(status, dict(response.headers), body)
        body = openai_faults.write_fault(fault)
    elif not has_message(body):
        text = f"The AI provider answered {status} without saying why."
        kind = "server_error" if status >= 500 else "invalid_request_error"
        body = openai_faults.write_fault(Fault(status=status, message=text, kind=kind, code=code))
    headers: Headers = [JSON]
    retry_after = field(response, b"retry-after")
    if retry_after is not None:
        headers.append((b"retry-after", retry_after))
    raise ProviderSays(status, code, headers, body)
