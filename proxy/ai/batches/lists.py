"""The lists of files and batches: of what providers list, what belongs to the application.

Providers are gone through one after the other, each from its newest on, so that a page can begin
after whatever was the last of the page before. One that cannot be asked now is left out, and the
answer's head says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode

from proxy.ai.batches import keepers, objects
from proxy.ai.batches.marks import Kind, Mark
from proxy.ai.batches.places import Desk
from proxy.ai.errands import Place
from proxy.ai.errors import AnswerUnreadable, InvalidRequest, ProviderSays
from proxy.errors import GatewayError, UpstreamError

PAGE = 100
MOST_PAGES = 20
"""Asked for at most for one list: who shares a provider's account with many sees the newest."""

MISSING = b"x-hubpo-missing"
"""Header: the providers that could not be asked."""

Shown = Callable[[Desk, dict[str, Any]], dict[str, Any] | None]


async def listed(
    desk: Desk, kind: Kind, shown: Shown, not_found: type[GatewayError]
) -> dict[str, Any]:
    """Raises InvalidRequest, ``not_found`` for what the page should begin after, and what
    ``Desk.told`` raises."""
    asked = parse_qs(desk.exchange.query.decode("latin-1"))
    query = {name: values[-1] for name, values in asked.items()}
    limit = _limit(query.get("limit", "20" if kind == "batch" else "100"))
    after: Mark | None = None
    if "after" in query:
        after = desk.marks.read(kind, query["after"])
        if after is None or after.deployment not in desk.places:
            raise not_found
    own: list[dict[str, Any]] = []
    if kind == "batch" or query.get("purpose", "batch") == "batch":
        own = await _own(desk, f"/{kind}s".replace("batchs", "batches"), shown, after, limit + 1)
    page = own[:limit]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": len(own) > limit,
    }


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= 10_000):
        raise InvalidRequest("The parameter 'limit' must be a whole number from 1.", "limit")
    return min(int(text), PAGE)


async def _own(
    desk: Desk, path: str, shown: Shown, after: Mark | None, most: int
) -> list[dict[str, Any]]:
    own: list[dict[str, Any]] = []
    providers: dict[str, Place] = {}
    for place in desk.places.values():
        if keepers.of(place).LISTS:
            providers.setdefault(place.deployment.provider.id, place)
    begin = desk.places[after.deployment].deployment.provider.id if after is not None else ""
    pages, missing = MOST_PAGES, []
    for provider_id in sorted(providers):
        if provider_id < begin:
            continue
        last = after.id if after is not None and provider_id == begin else ""
        while pages and len(own) < most:
            pages -= 1
            try:
                items, more = await _page(desk, providers[provider_id], path, last)
            except (UpstreamError, ProviderSays):
                missing.append(providers[provider_id].deployment.provider.provider.name)
                break
            for item in items:
                seen = shown(desk, item)
                if seen is not None and _is_there(desk, path, item, provider_id):
                    own.append(seen)
            last = items[-1].get("id", "") if items else ""
            if not more or not isinstance(last, str) or not last:
                break
    if missing:
        _say_missing(desk, missing)
    return own[:most]


def _say_missing(desk: Desk, names: list[str]) -> None:
    told = ", ".join(names).encode("ascii", "replace").replace(b"\r", b" ").replace(b"\n", b" ")
    desk.exchange.added_headers = [*(desk.exchange.added_headers or []), (MISSING, told)]


async def _page(
    desk: Desk, place: Place, path: str, after: str
) -> tuple[list[dict[str, Any]], bool]:
    query = {"limit": str(PAGE)} | ({"after": after} if after else {})
    if path == "/files":
        query["purpose"] = "batch"
    try:
        told = await desk.told(place, "GET", f"{path}?{urlencode(query)}")
    except ProviderSays as error:
        if error.answered in (404, 405):
            return [], False  # It has no such thing, so nothing of ours is there.
        raise
    items = told.get("data")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise AnswerUnreadable
    return items, told.get("has_more") is True


def _is_there(desk: Desk, path: str, item: dict[str, Any], provider_id: str) -> bool:
    """The mark is one of this provider's deployments."""
    if path == "/files":
        named = desk.marks.named(item.get("filename"))
        mark = named[0] if named is not None else None
    else:
        mark = objects.mark_of(desk, item)
    place = desk.places.get(mark.deployment) if mark is not None else None
    return place is not None and place.deployment.provider.id == provider_id
