"""The endpoints of AI models, each in its provider's own format (``proxy.ai.doors``).

A tenant's AI APIs share these paths. Which of them a call belongs to follows from the
model it names: one that offers the model and to which the application has an approved
subscription. A model that exists for others only is refused as not subscribed to, one
that the tenant does not have as unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from proxy.ai import counting, doors, listing, passing
from proxy.ai.answering import answer
from proxy.ai.asking import Asking
from proxy.ai.batches import serve as batches
from proxy.ai.calls import call
from proxy.ai.doors import Door
from proxy.ai.errands import Place
from proxy.ai.errors import ModelCannot, ModelNotFound
from proxy.ai.forms import Form
from proxy.ai.stored import following
from proxy.ai.stored import serve as stored
from proxy.errors import MethodNotAllowed, RouteNotFound

if TYPE_CHECKING:
    from proxy.exchange import Exchange
    from proxy.gateway import Gateway
    from proxy.runtime import ApiRuntime, ModelRuntime, TenantRuntime

BODY_LIMIT = 67_108_864
"""Bytes of a request, where no policy sets less. Images travel inside."""


async def serve(exchange: Exchange, gateway: Gateway) -> None:
    """Answers a call below the listen path of an ``ai`` API. Raises GatewayErrors."""
    path = exchange.rest.removesuffix("/")
    found = doors.find(path)
    if found is not None:
        _allow(exchange, "POST")
        await _ask(exchange, gateway, *found)
    elif path == "/models" or path.startswith("/models/"):
        _allow(exchange, "GET", "HEAD")
        await listing.serve(
            exchange, path.removeprefix("/models").removeprefix("/"), _mine(exchange)
        )
    elif path.startswith("/responses/"):
        await stored.serve(exchange, gateway, _places(exchange))
    elif path.startswith(("/files", "/batches")):
        await batches.serve(exchange, gateway, _places(exchange))
    else:
        raise RouteNotFound(
            "There is no such AI endpoint. The documentation lists those of each format: "
            "/v1/chat/completions, /v1/responses, /v1/messages, /v1beta/models/... and others."
        )


def _allow(exchange: Exchange, *methods: str) -> None:
    if exchange.method not in methods:
        raise MethodNotAllowed(list(methods))


async def _ask(exchange: Exchange, gateway: Gateway, door: Door, named: str, stream: bool) -> None:
    body = await gateway.bodies.read(exchange, BODY_LIMIT)
    form = Form(body, exchange.headers.get(b"content-type", b"")) if door.form else None
    if named:
        asked = passing.Asked(named, stream)
    elif door.keeps:
        asked = passing.parse_to_keep(body)
    else:
        asked = passing.parse(body) if form is None else form.asked
    tenant: TenantRuntime = exchange.tenant  # type: ignore[assignment]
    model = tenant.models.get(asked.model)
    api = _door(exchange, tenant, model) if model is not None else None
    if model is None or api is None:
        raise ModelNotFound(asked.model)
    exchange.api = api
    counts = door.operation == "count"
    if not counts:
        exchange.asked = (model, body, door.ability)
    await gateway.admit(exchange, api)
    if door.ability not in model.model.abilities:
        raise ModelCannot(model.name, door.ability)
    asking = Asking(door, body, asked, form)
    if door.keeps:
        await following.prepare(exchange, gateway, model, asking)
    if counts:
        await counting.count(exchange, gateway, model, asking)
        return
    await answer(exchange, asking, await call(exchange, gateway, model, asking))


def _door(exchange: Exchange, tenant: TenantRuntime, model: ModelRuntime) -> ApiRuntime | None:
    """The API through which the application may use the model.

    Where it may not, the one whose refusal says most: a subscription that waits for
    approval before none at all. None where no API offers the model.
    """
    offered = []
    for id_ in model.model.api_ids:
        api = tenant.apis.get(id_)
        if api is not None:
            if _open(exchange, api):
                return api
            offered.append(api)
    caller = exchange.caller
    for api in offered:
        if caller is not None and api.id in caller.uses:
            return api
    return offered[0] if offered else None


def _open(exchange: Exchange, api: ApiRuntime) -> bool:
    if not api.key_required:
        return True
    if exchange.caller is None:
        return False
    subscription = exchange.caller.uses.get(api.id)
    return subscription is not None and subscription.status == "approved"


def _places(exchange: Exchange) -> Iterator[Place]:
    """The deployments of the models that the application may use."""
    tenant: TenantRuntime = exchange.tenant  # type: ignore[assignment]
    for model in tenant.models.values():
        api = _door(exchange, tenant, model)
        if api is not None and _open(exchange, api):
            for deployment in model.deployments:
                yield Place(api, model, deployment)


def _mine(exchange: Exchange) -> Iterator[ModelRuntime]:
    """The models that the application may use."""
    tenant: TenantRuntime = exchange.tenant  # type: ignore[assignment]
    allowed = {api.id for api in tenant.apis.values() if _open(exchange, api)}
    for model in tenant.models.values():
        if not allowed.isdisjoint(model.model.api_ids):
            yield model
