"""One call to a model: which deployment serves it, and what is done when one fails.

Deployments take turns by weight. One that cannot be reached, breaks off before it
answers, or answers 429 or 5xx makes way for the next; the last failure is passed on.
A deployment that cannot be reached several times in a row is left out for a while, and after
a 429 or 5xx it is used last, for as long as its Retry-After says.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from typing import TYPE_CHECKING

import msgspec

from contract.snapshot import Breaker
from proxy.ai import tap
from proxy.ai.cost import cost_micros
from proxy.ai.errors import ModelUnavailable, ProviderRefused, ProviderRejectedCredentials
from proxy.errors import (
    AddressForbidden,
    ConnectFailed,
    Headers,
    UpstreamBroken,
    UpstreamError,
    UpstreamOverloaded,
)

if TYPE_CHECKING:
    from proxy.exchange import Exchange
    from proxy.gateway import Gateway
    from proxy.runtime import DeploymentRuntime, ModelRuntime, TenantRuntime
    from proxy.upstream.pool import Response

BREAKER = Breaker()
REST_SECONDS, MOST_REST_SECONDS = 2.0, 300.0
"""How long others go before a deployment that answered 429 or 5xx and did not say itself."""
ERROR_LIMIT = 1_048_576
"""Bytes of a provider's error that are read."""

Send = Callable[["DeploymentRuntime"], tuple[bytes, Headers, bytes]]
"""Path, headers and body for a deployment."""


async def call(
    exchange: Exchange, gateway: Gateway, model: ModelRuntime, send: Send
) -> tuple[Response, DeploymentRuntime]:
    """The response of the deployment that answered, perhaps with an error status.

    Raises ModelUnavailable, ProviderRejectedCredentials, ProviderRefused, and what the
    pool raises. The caller closes the response.
    """
    exchange.model_id = model.id
    exchange.model = model.name
    exchange.begin()
    owner = exchange.tenant.id if exchange.tenant is not None else ""
    deployment = gateway.balance.pick(model.id, model.order)
    if deployment is None:
        raise ModelUnavailable
    tried = []
    while True:
        tried.append(deployment.id)
        failure: UpstreamError | None = None
        response = None
        try:
            response = await _attempt(exchange, gateway, deployment, send)
        except (ConnectFailed, AddressForbidden, UpstreamBroken) as error:
            gateway.health.failed(deployment.id, BREAKER, owner)
            failure = error
        except UpstreamOverloaded as error:
            failure = error
        else:
            gateway.health.succeeded(deployment.id)
            if response.status != 429 and response.status < 500:
                _refuse(response, deployment)
                return response, deployment
            gateway.health.rests(deployment.id, _rest(response), owner)
        following = gateway.balance.pick(model.id, model.order, tried)
        if following is None:
            if response is None:
                raise failure or ModelUnavailable
            return response, deployment
        if response is not None:
            response.close()
        deployment = following


async def _attempt(
    exchange: Exchange, gateway: Gateway, deployment: DeploymentRuntime, send: Send
) -> Response:
    tenant: TenantRuntime = exchange.tenant  # type: ignore[assignment]
    provider = deployment.provider
    exchange.provider_id = provider.id
    exchange.deployment_id = deployment.id
    path, headers, body = send(deployment)
    began = perf_counter_ns()
    try:
        return await gateway.pool.send(
            provider.destination.target,
            "POST",
            path,
            headers,
            body,
            provider.provider.timeouts,
            sender=exchange,
            private_ok=tenant.private_ok,
        )
    finally:
        exchange.upstream_us += (perf_counter_ns() - began) // 1000


def _rest(response: Response) -> float:
    """The seconds of Retry-After. A date is not read: it would need the provider's clock."""
    try:
        seconds = float(field(response, b"retry-after") or REST_SECONDS)
    except ValueError:
        seconds = REST_SECONDS
    return min(seconds, MOST_REST_SECONDS) if seconds > 0 else REST_SECONDS


def _refuse(response: Response, deployment: DeploymentRuntime) -> None:
    """A provider that refuses the gateway, or sends it elsewhere, is not the client's concern."""
    if response.status in (401, 403):
        response.close()
        raise ProviderRejectedCredentials(deployment.provider.provider.name, response.status)
    if 300 <= response.status < 400:
        response.close()
        raise ProviderRefused(
            f"The AI provider '{deployment.provider.provider.name}' answered with a redirect. "
            "An administrator must check its address in the admin."
        )


def account(exchange: Exchange, deployment: DeploymentRuntime, usage: tap.Usage | None) -> None:
    """Tokens and cost on the exchange, as far as the provider reported them."""
    tap.record(exchange, usage)
    prices = deployment.deployment.prices
    exchange.currency = prices.currency
    exchange.cost_micros = cost_micros(prices, exchange.input_tokens, exchange.output_tokens)


class _Error(msgspec.Struct):
    message: str = ""


class _ErrorBody(msgspec.Struct):
    error: _Error | str


_decode_error = msgspec.json.Decoder(_ErrorBody).decode


async def read_error(exchange: Exchange, response: Response) -> tuple[bytes, str | None]:
    """A provider's error: its body, and its message or None where it has no JSON error shape."""
    exchange.error_code = "provider_rate_limited" if response.status == 429 else "provider_error"
    body = await response.read(ERROR_LIMIT)
    response.close()
    try:
        error = _decode_error(body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body, None
    return body, error if isinstance(error, str) else error.message


def field(response: Response, name: bytes) -> bytes | None:
    """The first header of that lower-case name."""
    for key, value in response.headers:
        if key == name:
            return value
    return None
