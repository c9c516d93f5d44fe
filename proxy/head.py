"""What a request's head means: the rules of RFC 9112 that llhttp leaves to a server.

Whatever two parsers might read in two ways is refused, as one of them may stand before
the gateway and the other behind it. All functions raise MalformedRequest.
"""

from __future__ import annotations

import re

from proxy.errors import MalformedRequest
from proxy.exchange import RequestHead

_METHODS = (
    "GET HEAD POST PUT DELETE PATCH OPTIONS TRACE QUERY SEARCH REPORT PURGE LINK UNLINK SOURCE "
    "ACL BIND REBIND UNBIND CHECKOUT COPY LOCK UNLOCK MERGE MKACTIVITY MKCALENDAR MKCOL MOVE "
    "PROPFIND PROPPATCH M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE"
)
METHODS = {name.encode(): name for name in _METHODS.split()}
"""Neither CONNECT nor the methods of RTSP, which llhttp also takes."""
_absolute = re.compile(
    rb"(https?)://([^/?#@]+)(/[^?#]*)?(?:\?([^#]*))?(?:#.*)?", re.IGNORECASE
).fullmatch
_host = re.compile(rb"[\w.~!$&'()*+,;=:%\[\]-]*").fullmatch
_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}


def method(name: bytes) -> str:
    try:
        return METHODS[name]
    except KeyError:
        raise MalformedRequest("The gateway does not serve this method.") from None


def check_host(head: RequestHead, *, old: bool) -> None:
    """There is one, or none in HTTP/1.0."""
    hosts = [value for name, value in head.pairs if name == b"host"]
    if len(hosts) != 1:
        if hosts or not old:
            raise MalformedRequest("A request must have one Host header.")
    elif _host(hosts[0]) is None:
        raise MalformedRequest("The Host header holds what no host name does.")


def target(url: bytes, head: RequestHead) -> tuple[bytes, bytes]:
    """Path and query of a request target. A fragment is no part of either.

    An absolute target is taken where it names the same host as the Host header does.
    """
    if not url.isascii():
        raise MalformedRequest("The path holds characters that must be percent-encoded.")
    if url[:1] == b"/":
        path, _, query = url.partition(b"#")[0].partition(b"?")
        return path, query
    found = _absolute(url)
    if found is None:
        raise MalformedRequest("The request's target must be a path, or an address with http.")
    scheme, authority, path, query = found.groups()
    port = _DEFAULT_PORTS[scheme.lower()]
    host = head.fields.get(b"host", b"")
    if authority.lower().removesuffix(port) != host.lower().removesuffix(port):
        raise MalformedRequest("The request's target and its Host header name two hosts.")
    return path or b"/", query or b""


def check_body(head: RequestHead, *, old: bool, upgrade: bool) -> None:
    """The body of a request that has one ends where everybody sees it end."""
    codings = [value.strip() for name, value in head.pairs if name == b"transfer-encoding"]
    if codings and (old or len(codings) > 1 or codings[0].lower() != b"chunked"):
        raise MalformedRequest("A body may be sent in chunks, and in no other transfer coding.")
    if upgrade:
        # llhttp takes the body for the other protocol's.
        raise MalformedRequest("A request that asks for an upgrade must have no body.")
