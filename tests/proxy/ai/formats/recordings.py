"""Recorded exchanges with real providers, where the shared data is there.

Each is as ``../shared/data/README.md`` describes: ``id, provider, endpoint, method, url, status,
stream, request_headers, response_headers, request_body, response_body`` or ``*_body_base64``.
"""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

DATA = Path(__file__).resolve().parents[5] / "shared/data/provider-traffic"

needed = pytest.mark.skipif(not DATA.exists(), reason=f"no recordings at {DATA}")


class Exchange(msgspec.Struct):
    id: str
    provider: str
    endpoint: str
    method: str
    url: str
    status: int
    stream: str = ""
    """``sse``, ``ndjson``, ``aws-eventstream``, or nothing for a whole answer."""
    request_headers: Any = None
    response_headers: Any = None
    request_body: str | None = None
    response_body: str | None = None
    request_body_base64: str | None = None
    response_body_base64: str | None = None

    @property
    def request(self) -> bytes:
        return _bytes(self.request_body, self.request_body_base64)

    @property
    def response(self) -> bytes:
        return _bytes(self.response_body, self.response_body_base64)

    @property
    def headers(self) -> dict[bytes, bytes]:
        """Of the answer, with names in lower case."""
        given = self.response_headers or {}
        pairs = given.items() if isinstance(given, dict) else given
        return {name.lower().encode(): _first(value).encode("latin-1") for name, value in pairs}

    def __repr__(self) -> str:
        return f"{self.provider} {self.id} {self.endpoint} {self.status} {self.stream}"


def _bytes(text: str | None, encoded: str | None) -> bytes:
    if text is not None:
        return text.encode()
    return base64.b64decode(encoded) if encoded else b""


def _first(value: Any) -> str:
    return str(value[0]) if isinstance(value, list) else str(value)


_decode = msgspec.json.Decoder(Exchange).decode


@cache
def _file(path: Path) -> list[Exchange]:
    with gzip.open(path, "rb") as lines:
        return [_decode(line) for line in lines]


def exchanges(
    provider: str | None = None,
    endpoint: str | None = None,
    stream: bool | None = None,
    failed: bool = False,
) -> Iterator[Exchange]:
    """Those of one provider (its name in the recordings) or all; whose endpoint matches a regular
    expression from its beginning to its end; streamed, whole, or both; answered with an error's
    status, or else without. None at all where the data is absent."""
    for path in sorted(DATA.glob("*.jsonl.gz")):
        if provider is not None and path.name != f"{provider.replace('/', '-')}.jsonl.gz":
            continue
        for exchange in _file(path):
            if (
                (endpoint is None or re.fullmatch(endpoint, exchange.endpoint))
                and (stream is None or stream == bool(exchange.stream))
                and failed == (exchange.status >= 400)
            ):
                yield exchange


CHAT = r".*/chat/completions(#stream)?"
"""Chat completions, wherever a provider puts them."""
RESPONSES = r".*/responses"
