"""Texts that the gateway itself has embedded, by a deployment of one of the tenant's models.

In any format of embeddings that can be read (``contract.routing.EMBEDDING_WIRE_FORMATS``).
"""

from __future__ import annotations

from array import array
from math import hypot, isfinite
from typing import TYPE_CHECKING

from contract.snapshot import Breaker
from proxy.ai import declared, estimate, sending
from proxy.ai.asking import Told
from proxy.ai.errors import (
    AnswerUnreadable,
    FormatUnsupported,
    ProviderLimitReached,
    ProviderRefused,
    ProviderRejectedCredentials,
)
from proxy.ai.formats.embedding.registry import EMBEDDINGS
from proxy.ai.formats.retry import retry_after
from proxy.ai.middle import Usage
from proxy.ai.middle.embedding import EmbeddingAnswer, EmbeddingRequest
from proxy.ai.middle.rules import Notes
from proxy.errors import AddressForbidden, ConnectFailed, UpstreamBroken
from proxy.upstream.pool import MAX_CONNECTIONS, MAX_WAITING

if TYPE_CHECKING:
    from proxy.ai.runtime import DeploymentRuntime
    from proxy.gateway import Gateway
    from proxy.runtime import TenantRuntime
    from proxy.upstream.pool import Response

Vectors = list["array[float]"]
"""Each of length 1."""
ANSWER_LIMIT = 16_777_216
_BREAKER = Breaker()
_REST_SECONDS, _MOST_REST_SECONDS = 2.0, 300.0
"""Where the provider does not say itself how long others are to go first, and at most."""


async def embed(
    gateway: Gateway, tenant: TenantRuntime, deployment: DeploymentRuntime, texts: tuple[str, ...]
) -> tuple[Vectors, Usage]:
    """The vectors of texts, each of length 1. Where the provider does not say what it has counted
    that is estimated. Raises GatewayErrors."""
    told = _told(deployment, texts)
    tokens = estimate.input_tokens(told.body)
    held, wait = None, gateway.track.wait(deployment.key, tokens)
    if not wait:
        held, wait = await declared.take(gateway, deployment, tokens)
    if wait:
        raise ProviderLimitReached(wait)
    used = 0
    try:
        vectors, usage = await _embedded(gateway, tenant, deployment, told, texts)
        used = usage.input_tokens or 0
    finally:
        if held is not None:
            declared.settle(held, used)
    return vectors, usage


async def _embedded(
    gateway: Gateway,
    tenant: TenantRuntime,
    deployment: DeploymentRuntime,
    told: Told,
    texts: tuple[str, ...],
) -> tuple[Vectors, Usage]:
    health = gateway.health
    try:
        answer = await _answer(gateway, tenant, deployment, told)
        vectors = [_unit(vector) for vector in answer.vectors]
        if len(vectors) != len(texts) or len({len(vector) for vector in vectors}) != 1:
            raise AnswerUnreadable
    except (ConnectFailed, AddressForbidden, UpstreamBroken, AnswerUnreadable):
        health.failed(deployment.id, _BREAKER, tenant.id)
        raise
    except ProviderRefused as error:
        hint = dict(error.headers).get(b"retry-after")
        seconds = _REST_SECONDS if hint is None else min(float(hint), _MOST_REST_SECONDS)
        health.rests(deployment.id, seconds, tenant.id)
        raise
    health.succeeded(deployment.id)
    usage = answer.usage
    if usage is None or usage.input_tokens is None:
        usage = Usage(sum(estimate.about(text.encode()) for text in texts), 0)
    return vectors, usage


def _told(deployment: DeploymentRuntime, texts: tuple[str, ...]) -> Told:
    """Raises FormatUnsupported where its provider's embeddings cannot be read."""
    to, model = deployment.provider.destination, deployment.deployment.model
    spoken = next((name for name in to.wire.speaks(to, "embeddings") if name in EMBEDDINGS), None)
    if spoken is None:
        raise FormatUnsupported("embeddings", deployment.provider.provider.name)
    inputs: list[str | list[int]] = list(texts)
    request = EmbeddingRequest(format=spoken, model=model, inputs=inputs, purpose="similarity")
    notes = Notes()
    return Told(spoken, EMBEDDINGS[spoken].write_request(request, model, notes), notes)


async def _answer(
    gateway: Gateway, tenant: TenantRuntime, deployment: DeploymentRuntime, told: Told
) -> EmbeddingAnswer:
    pool, to = gateway.pool, deployment.provider.destination
    provider = deployment.provider.provider
    if to.ready is not None:
        await to.ready(to)
    seen = gateway.track.began(deployment.key, estimate.input_tokens(told.body))
    response: Response | None = None
    try:
        lane = pool.lane(to.target, True, tenant.private_ok, MAX_CONNECTIONS, MAX_WAITING)
        head = sending.own_head(deployment, "embeddings", told, lane.host)
        response = await pool.call(lane, "POST", head, told.body, None, provider.timeouts)
        status = response.status
        gateway.track.answered(seen, response.headers, refused=status == 429)
        body = await response.read(ANSWER_LIMIT)
        if status in (401, 403):
            raise ProviderRejectedCredentials(provider.name, status)
        if not 200 <= status < 300:
            raise _refusal(status, response)
        answer: EmbeddingAnswer = EMBEDDINGS[told.format].read_answer(body)
        return answer
    finally:
        if response is not None:
            response.close()
        seen.in_flight -= 1


def _refusal(status: int, response: Response) -> ProviderRefused:
    seconds = retry_after(dict(response.headers))
    headers = None if seconds is None else [(b"retry-after", b"%f" % seconds)]
    return ProviderRefused(f"The embedding model answered {status}.", headers=headers)


def _unit(numbers: list[float]) -> array[float]:
    """Raises AnswerUnreadable where it points nowhere."""
    length = hypot(*numbers)
    if not length or not isfinite(length):
        raise AnswerUnreadable
    return array("f", [number / length for number in numbers])
