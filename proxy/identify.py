"""Who calls: the tenant by host name or by key, then the application by key."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from contract.keys import API_KEY_PREFIX, digest
from proxy.errors import ApiKeyExpired, ApiKeyMissing, ApiKeyUnknown, TenantUnknown
from proxy.known import MOST, Known
from proxy.runtime import ApiRuntime, TenantRuntime

if TYPE_CHECKING:
    from proxy.exchange import Exchange
    from proxy.snapshot import Holder, Site

_PREFIX = API_KEY_PREFIX.encode()

AI_KEY_HEADERS = (b"x-api-key", b"x-goog-api-key", b"api-key")
AI_KEY_QUERY = b"key"
"""Where the SDKs of AI providers put their keys, besides Authorization."""


def site(exchange: Exchange, holder: Holder) -> Site:
    """The tenant and its APIs on this host. Raises TenantUnknown and ApiKeyUnknown.

    Where the host names no tenant, a key in any header or parameter that some API
    takes keys from does.
    """
    head = exchange.head
    known = holder.known.get(head) if head.kept else None
    if known is not None and (known.by_host or not _may_name(exchange, holder)):
        exchange.known = known
        return known.site
    found = holder.site(exchange.headers.get(b"host", b""))
    by_host = found is not None
    if found is None:
        found = _site_of_key(exchange, holder)
    if head.kept and (by_host or not _may_name(exchange, holder)):
        if len(holder.known) >= MOST:
            holder.known.clear()
        holder.known[head] = exchange.known = Known(found, by_host=by_host)
    return found


def _may_name(exchange: Exchange, holder: Holder) -> bool:
    """Whether the query may hold a key, and so the tenant: it is not among the head's fields."""
    query = exchange.query
    return bool(query) and (bool(holder.key_queries) or AI_KEY_QUERY + b"=" in query)


def _site_of_key(exchange: Exchange, holder: Holder) -> Site:
    given = False
    for key in _candidates(exchange, holder):
        given = True
        found = holder.site_of_key(digest(key))
        if found is not None:
            return found
    raise ApiKeyUnknown if given else TenantUnknown


def _candidates(exchange: Exchange, holder: Holder) -> list[bytes]:
    keys = [exchange.headers.get(name) for name in (*holder.key_headers, *AI_KEY_HEADERS)]
    if exchange.query:
        keys += [_query_key(exchange.query, name) for name in (*holder.key_queries, AI_KEY_QUERY)]
    keys.append(_bearer(exchange.headers.get(b"authorization")))
    return [key for key in keys if key]


def application(exchange: Exchange, tenant: TenantRuntime, api: ApiRuntime) -> None:
    """Sets the caller. Raises ApiKeyMissing, ApiKeyUnknown, ApiKeyExpired.

    The API's header goes first, then its query parameter, then a Bearer token: beside
    either of them, that one is the upstream's own. An API that needs no key takes a
    good one for the record and overlooks any other.
    """
    known = exchange.known
    if known is not None and known.api is api:
        exchange.caller = known.caller
        exchange.drop_authorization = known.drop_authorization
        return
    headers = exchange.headers
    given = headers.get(api.key_header)
    if api.key_query is not None and exchange.query:
        in_query = _query_key(exchange.query, api.key_query)
        if in_query is not None:
            exchange.query = _without(exchange.query, api.key_query)
            given = given or in_query
    if not given:
        given = _bearer(headers.get(b"authorization"))
        if given is not None and (api.key_required or given.startswith(_PREFIX)):
            exchange.drop_authorization = True
    in_query = b""
    if not given and api.kind == "ai":
        given = next(filter(None, map(headers.get, AI_KEY_HEADERS)), None)
        if not given and exchange.query:
            given = in_query = _query_key(exchange.query, AI_KEY_QUERY) or b""
    if not given:
        if api.key_required:
            raise ApiKeyMissing
        return
    found = tenant.keys.get(digest(given))
    if found is None:
        if api.key_required:
            raise ApiKeyUnknown
        return
    ends = found.expires_at
    if ends is not None and ends <= time():
        if api.key_required:
            raise ApiKeyExpired
        return
    exchange.caller = found
    if known is not None and ends is None and api.key_query is None and not in_query:
        known.api, known.caller = api, found
        known.drop_authorization = exchange.drop_authorization
        known.passed = None


def _bearer(value: bytes | None) -> bytes | None:
    if value is not None and value[:7].lower() == b"bearer ":
        return value[7:].strip() or None
    return None


def _named(pair: bytes, name: bytes) -> bool:
    return unquote_plus(pair.partition(b"=")[0].decode("latin-1")) == name.decode()


def _query_key(query: bytes, name: bytes) -> bytes | None:
    for pair in query.split(b"&"):
        if _named(pair, name):
            return unquote_plus(pair.partition(b"=")[2].decode("latin-1")).encode() or None
    return None


def _without(query: bytes, name: bytes) -> bytes:
    return b"&".join(pair for pair in query.split(b"&") if not _named(pair, name))
