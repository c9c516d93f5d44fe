"""The head of the request that a provider is sent.

Most providers' follows from the client's header fields and the deployment alone, and clients
repeat their fields call after call, so it is remembered with them (``proxy.known``). A provider
whose module has ``ANEW`` is told something else in every call: a signature, or a token that ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.ai.asking import Asking, Told
    from proxy.exchange import Exchange
    from proxy.runtime import DeploymentRuntime

MOST = 8
"""Heads remembered with one client's fields."""
PLAIN = (b"accept-encoding", b"identity")
"""Answers are read on their way, and so are not to be compressed."""
_REMADE = frozenset({"speech", "transcriptions", "translations", "image_edits"})
_DESCRIBE = (b"accept", b"content-type")
"""A client that sends a form or wants sound says so, and where that is translated neither is true
of what the provider gets and gives."""


def head(
    exchange: Exchange, asking: Asking, deployment: DeploymentRuntime, told: Told, host: bytes
) -> bytes:
    """To the empty line. Raises ValueError where a field holds a line break."""
    known, operation = exchange.known, asking.door.operation
    if known is None or getattr(deployment.provider.destination.wire, "ANEW", False):
        start = _start(exchange, asking, deployment, told, host)
    else:
        key = deployment.id, operation, told.format, asking.stream
        kept = known.heads.get(key)
        if kept is None:
            if len(known.heads) >= MOST:
                known.heads.clear()
            kept = known.heads[key] = _start(exchange, asking, deployment, told, host)
        start = kept
    return b"%bcontent-length: %d\r\n\r\n" % (start, len(told.body))


def own_head(deployment: DeploymentRuntime, operation: str, told: Told, host: bytes) -> bytes:
    """Of a request that no client has asked for. Raises ValueError as ``head`` does."""
    start = _written({}, operation, deployment, told, host, stream=False)
    return b"%bcontent-length: %d\r\n\r\n" % (start, len(told.body))


def _start(
    exchange: Exchange, asking: Asking, deployment: DeploymentRuntime, told: Told, host: bytes
) -> bytes:
    operation, stream = asking.door.operation, asking.stream
    client: Mapping[bytes, bytes] = exchange.headers
    if operation in _REMADE and told.format != asking.format:
        client = {name: value for name, value in client.items() if name not in _DESCRIBE}
    return _written(client, operation, deployment, told, host, stream=stream)


def _written(
    client: Mapping[bytes, bytes],
    operation: str,
    deployment: DeploymentRuntime,
    told: Told,
    host: bytes,
    *,
    stream: bool,
) -> bytes:
    """``client``: its header fields."""
    to, model = deployment.provider.destination, deployment.deployment.model
    path = to.wire.path(to, operation, told.format, model, stream=stream)
    fields = [*to.wire.headers(to, client, path, told.body), PLAIN]
    lines = [b"POST %b HTTP/1.1\r\nhost: %b" % (path, host), *map(b": ".join, fields), b""]
    start = b"\r\n".join(lines)
    if start.count(b"\n") != len(lines) or start.count(b"\r") != len(lines):
        raise ValueError("A header to the provider holds a line break.")
    return start
