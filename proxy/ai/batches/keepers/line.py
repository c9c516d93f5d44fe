"""A request of a batch, as it stands in a client's file, and lines that come in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from msgspec import Raw, Struct

from proxy.ai.errors import AnswerUnreadable

if TYPE_CHECKING:
    from proxy.ai.doors import Door
    from proxy.ai.passing import Asked
    from proxy.upstream.response import Response

LINE_LIMIT = 16_777_216
"""Bytes of one request or answer."""


class Line(Struct):
    """``door`` is that of its ``url``; ``fields`` are all of it, as they came. ``number``
    counts the file's lines from 1. ``ids``, the same for all lines, are those that were told, where
    the provider wants each but once."""

    number: int
    url: str
    custom_id: str
    door: Door
    asked: Asked
    body: bytes
    fields: dict[str, Raw]
    ids: set[str]


class Splitter:
    """Lines that come in pieces. ``waiting`` is the size of what has no end yet."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.waiting = 0

    def feed(self, data: bytes) -> list[bytes]:
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = b"".join((*self._pieces, lines[0]))
            self._pieces, self.waiting = [], 0
        self._pieces.append(rest)
        self.waiting += len(rest)
        return lines

    def end(self) -> bytes:
        return b"".join(self._pieces)


async def lines_of(response: Response) -> AsyncIterator[bytes]:
    """Those of an answer that hold anything. Closes it. Raises AnswerUnreadable where one is too
    long."""
    splitter = Splitter()
    try:
        async for chunk in response:
            for line in splitter.feed(chunk):
                if line.strip():
                    yield line
            if splitter.waiting > LINE_LIMIT:
                raise AnswerUnreadable
        if (last := splitter.end()).strip():
            yield last
    finally:
        response.close()
