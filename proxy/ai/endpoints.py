"""The OpenAI-shaped endpoints: models, chat completions and embeddings.

A tenant's AI APIs share these paths. Which of them a call belongs to follows from the
model it names: one that offers the model and to which the application has an approved
subscription. A model that exists for others only is refused as not subscribed to, one
that the tenant does not have as unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from proxy.ai.calls import call
from proxy.ai.errors import ModelCannot, ModelNotFound
from proxy.ai.providers import openai
from proxy.ai.relay import relay
from proxy.errors import Headers, MethodNotAllowed, RouteNotFound

if TYPE_CHECKING:
    from proxy.exchange import Exchange
    from proxy.gateway import Gateway
    from proxy.runtime import ApiRuntime, DeploymentRuntime, ModelRuntime, TenantRuntime

BODY_LIMIT = 67_108_864
"""Bytes of a request, where no policy sets less. Images travel inside."""

_encode = msgspec.json.Encoder().encode


async def serve(exchange: Exchange, gateway: Gateway) -> None:
    """Answers a call below the listen path of an ``ai`` API. Raises GatewayErrors."""
    path = exchange.rest.removesuffix("/")
    if path == "/chat/completions":
        _allow(exchange, "POST")
        await _ask(exchange, gateway, "chat")
    elif path == "/embeddings":
        _allow(exchange, "POST")
        await _ask(exchange, gateway, "embeddings")
    elif path == "/models":
        _allow(exchange, "GET", "HEAD")
        models = [_model(model) for model in _mine(exchange)]
        await _answer(exchange, {"object": "list", "data": models})
    elif path.startswith("/models/"):
        _allow(exchange, "GET", "HEAD")
        name = unquote(path.removeprefix("/models/"))
        found = next((model for model in _mine(exchange) if model.name == name), None)
        if found is None:
            raise ModelNotFound(name)
        await _answer(exchange, _model(found))
    else:
        raise RouteNotFound(
            "There is no such AI endpoint. Use /chat/completions, /embeddings or /models."
        )


def _allow(exchange: Exchange, *methods: str) -> None:
    if exchange.method not in methods:
        raise MethodNotAllowed(list(methods))


async def _ask(exchange: Exchange, gateway: Gateway, ability: str) -> None:
    body = await exchange.read_body(BODY_LIMIT)
    asked = openai.parse(body)
    tenant: TenantRuntime = exchange.tenant  # type: ignore[assignment]
    model = tenant.models.get(asked.model)
    api = _door(exchange, tenant, model) if model is not None else None
    if model is None or api is None:
        raise ModelNotFound(asked.model)
    exchange.api = api
    exchange.asked = (model, body, ability)
    await gateway.admit(exchange, api)
    if ability not in model.model.abilities:
        raise ModelCannot(model.name, ability)

    def send(deployment: DeploymentRuntime) -> tuple[bytes, Headers, bytes]:
        to = deployment.provider.destination
        return (
            to.chat if ability == "chat" else to.embeddings,
            to.wire.headers(to.authorization, exchange.headers),
            to.wire.prepare(body, asked, deployment.deployment.model),
        )

    response, deployment = await call(exchange, gateway, model, send)
    await relay(
        exchange,
        response,
        deployment,
        drop_usage=asked.lacks_usage,
        embeddings=ability == "embeddings",
    )


def _door(exchange: Exchange, tenant: TenantRuntime, model: ModelRuntime) -> ApiRuntime | None:
    """The API through which the application may use the model.

    Where it may not, the one whose refusal says most: a subscription that waits for
    approval before none at all. None where no API offers the model.
    """
    offered = [tenant.apis[id_] for id_ in model.model.api_ids if id_ in tenant.apis]
    for api in offered:
        if _open(exchange, tenant, api):
            return api
    application = exchange.application
    for api in offered:
        if application is not None and (application.id, api.id) in tenant.subscriptions:
            return api
    return offered[0] if offered else None


def _open(exchange: Exchange, tenant: TenantRuntime, api: ApiRuntime) -> bool:
    if not api.key_required:
        return True
    if exchange.application is None:
        return False
    subscription = tenant.subscriptions.get((exchange.application.id, api.id))
    return subscription is not None and subscription.status == "approved"


def _mine(exchange: Exchange) -> Iterator[ModelRuntime]:
    """The models that the application may use."""
    tenant: TenantRuntime = exchange.tenant  # type: ignore[assignment]
    allowed = {api.id for api in tenant.apis.values() if _open(exchange, tenant, api)}
    for model in tenant.models.values():
        if not allowed.isdisjoint(model.model.api_ids):
            yield model


def _model(model: ModelRuntime) -> dict[str, Any]:
    return {
        "id": model.name,
        "object": "model",
        "created": model.model.created,
        "owned_by": "hubpo",
    }


async def _answer(exchange: Exchange, value: Any) -> None:
    body = _encode(value)
    headers = [(b"content-type", b"application/json")]
    head_only = exchange.method == "HEAD"
    await exchange.respond(200, headers, b"" if head_only else body, len(body))
