"""Cohere, version 2 of its API. Source: its API reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from proxy.ai.providers.openai import passed_on
from proxy.errors import Headers

if TYPE_CHECKING:
    from proxy.ai.compiled import Destination

_FORMATS = {
    "chat": ("cohere",),
    "embeddings": ("cohere_embeddings",),
    "rerank": ("rerank", "cohere_rerank"),
}
_PATHS = {"chat": "/v2/chat", "embeddings": "/v2/embed", "rerank": "/v2/rerank"}


def speaks(to: Destination, operation: str) -> tuple[str, ...]:
    return _FORMATS.get(operation, ())


def path(to: Destination, operation: str, spoken: str, model: str, *, stream: bool) -> bytes:
    base = to.base.removesuffix("/v2").removesuffix("/v1")
    return (base + _PATHS[operation]).encode()


def headers(to: Destination, client: Mapping[bytes, bytes], path: bytes, body: bytes) -> Headers:
    sent = passed_on(client, (b"accept", b"user-agent"))
    if to.credential is not None:
        sent.append((b"authorization", b"Bearer " + to.credential.encode()))
    return sent
