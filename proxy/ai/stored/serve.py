"""The doors of a response that is kept: it is shown, deleted or cancelled where it is held."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlencode

from proxy.ai.calls import field
from proxy.ai.errands import JSON, Errand, Place
from proxy.ai.errors import ProviderSays
from proxy.ai.runtime import keeps
from proxy.ai.stored import holders
from proxy.ai.stored.errors import ResponseNotFound, ResponsesUnavailable
from proxy.errors import MethodNotAllowed, RouteNotFound

if TYPE_CHECKING:
    from proxy.ai.stored.holders import Holder, Holders
    from proxy.exchange import Exchange
    from proxy.gateway import Gateway
    from proxy.upstream.pool import Response

_DOORS = {"": ("GET", "DELETE"), "/input_items": ("GET",), "/cancel": ("POST",)}
"""By what follows the id."""
_SHOWN = ("include", "include[]", "include_obfuscation", "stream", "starting_after")
_ASKED = frozenset((*_SHOWN, "after", "before", "limit", "order"))
"""Of a query; all else, such as a key, is for the gateway alone."""


async def serve(exchange: Exchange, gateway: Gateway, found: Iterator[Place]) -> None:
    """``found``: all deployments of models that the application may use. Raises GatewayErrors."""
    identifier, slash, rest = exchange.rest.removeprefix("/responses/").rstrip("/").partition("/")
    methods = _DOORS.get(slash + rest)
    if methods is None or not identifier:
        raise RouteNotFound
    if exchange.method not in methods:
        raise MethodNotAllowed(list(methods))
    errand = Errand(exchange, gateway)
    if gateway.holders is None:
        raise ResponsesUnavailable
    try:
        await _ask(errand, gateway.holders, list(found), unquote(identifier), slash + rest)
    except ProviderSays as error:
        exchange.error_code = error.noted
        await exchange.respond(error.answered, error.passed, error.body)


async def _ask(
    errand: Errand, known: Holders, places: list[Place], identifier: str, rest: str
) -> None:
    if not places:
        raise ResponseNotFound
    exchange = errand.exchange
    name = holders.name(exchange, identifier)
    place = _place(places, await known.find(name))
    if place is None:
        await errand.gateway.admit(exchange, places[0].api)
        raise ResponseNotFound
    await errand.admit(place)
    path = f"/responses/{quote(identifier, safe='')}{rest}"
    asked = [pair for pair in parse_qsl(exchange.query.decode("latin-1")) if pair[0] in _ASKED]
    if asked:
        path += f"?{urlencode(asked)}"
    response = await errand.ask(place, exchange.method, path)
    try:
        if exchange.method == "DELETE":
            await known.forget(name)
        await _pass_on(exchange, response)
    finally:
        response.close()


def _place(places: list[Place], holder: Holder | None) -> Place | None:
    """Any deployment of the account does, the one that made the response before all others."""
    if holder is None:
        return None
    fit = [one for one in places if _holds(one, holder)]
    fit.sort(key=lambda one: one.deployment.id != holder.deployment)
    return fit[0] if fit else None


def _holds(place: Place, holder: Holder) -> bool:
    return place.deployment.provider.id == holder.provider and keeps(place.deployment)


async def _pass_on(exchange: Exchange, response: Response) -> None:
    kind = field(response, b"content-type")
    headers = [JSON if kind is None else (b"content-type", kind)]
    await exchange.start(response.status, headers, response.length)
    await exchange.finish(await exchange.pour(response, None))
