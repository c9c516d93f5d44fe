"""Anthropic. Source: its API reference, "Versions", "Beta headers" and "Authentication"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from proxy.ai.providers.openai import passed_on
from proxy.errors import Headers

if TYPE_CHECKING:
    from proxy.ai.compiled import Destination

VERSION = b"2023-06-01"
_FORMATS = {"chat": ("messages",), "count": ("messages",), "batches": ("message_batches",)}
_PATHS = {"chat": "/v1/messages", "count": "/v1/messages/count_tokens"}
_PASSED_ON = (b"accept", b"user-agent", b"anthropic-beta")


def speaks(to: Destination, operation: str) -> tuple[str, ...]:
    return _FORMATS.get(operation, ())


def path(to: Destination, operation: str, spoken: str, model: str, *, stream: bool) -> bytes:
    return (to.base.removesuffix("/v1") + _PATHS[operation]).encode()


def headers(to: Destination, client: Mapping[bytes, bytes], path: bytes, body: bytes) -> Headers:
    sent = passed_on(client, _PASSED_ON)
    sent.append((b"anthropic-version", client.get(b"anthropic-version", VERSION)))
    if to.credential is not None:
        sent.append((b"x-api-key", to.credential.encode()))
    return sent
