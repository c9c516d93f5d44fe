"""Server-sent events, read from pieces cut anywhere.

Source: the HTML standard, "Server-sent events", section 9.2.6: lines end with CR, LF or both; an
empty line ends an event; several ``data`` fields are joined by line breaks; a line that begins
with a colon is a comment; one space after the colon of a field is left out.
"""

from __future__ import annotations

import re

LIMIT = 16_777_216
"""Bytes of one event. Images travel inside."""

_LINE = re.compile(rb"\r\n|\n|\r(?!\Z)")
"""A CR at the end of what is here may be half of a CR LF."""


class TooLong(ValueError):
    """An event of more than ``LIMIT`` bytes."""


class Events:
    """``feed`` returns the events that are complete: pairs of the event's name and its data."""

    __slots__ = ("_data", "_held", "_kept", "_name", "_size")

    def __init__(self) -> None:
        self._held: list[bytes] = []
        """The pieces of a line that has not ended; ``_kept`` bytes."""
        self._kept = 0
        self._name = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> list[tuple[bytes, bytes]]:
        """Raises TooLong."""
        found: list[tuple[bytes, bytes]] = []
        if self._held and self._goes_on(piece):
            self._held.append(piece)
            self._kept += len(piece)
        else:
            if self._held:
                piece = b"".join((*self._held, piece))
            # Hardly anybody ends lines otherwise than with LF, and that is found much faster.
            lines = _LINE.split(piece) if b"\r" in piece else piece.split(b"\n")
            last = lines.pop()
            self._held = [last] if last else []
            self._kept = len(last)
            for line in lines:
                self._take(line, found)
        if self._size + self._kept > LIMIT:
            raise TooLong
        return found

    def _goes_on(self, piece: bytes) -> bool:
        """The line that is held does not end here: it is not searched for its end once more."""
        return b"\n" not in piece and b"\r" not in piece and self._held[-1][-1:] != b"\r"

    def end(self) -> list[tuple[bytes, bytes]]:
        """What a stream that ends without its last empty line still holds."""
        found: list[tuple[bytes, bytes]] = []
        held = b"".join(self._held).rstrip(b"\r")
        self._held, self._kept = [], 0
        self._take(held, found)
        self._take(b"", found)
        return found

    def _take(self, line: bytes, found: list[tuple[bytes, bytes]]) -> None:
        if line[:6] == b"data: ":
            self._data.append(line[6:])
            self._size += len(line) - 6
            return
        if not line:
            if self._data:
                found.append((self._name, b"\n".join(self._data)))
                self._data = []
                self._size = 0
            self._name = b""
            return
        name, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if name == b"data":
            self._data.append(value)
            self._size += len(value)
        elif name == b"event":
            self._name = value


def event(data: bytes, name: bytes = b"") -> bytes:
    """``data`` without line breaks."""
    if name:
        return b"event: %b\ndata: %b\n\n" % (name, data)
    return b"data: %b\n\n" % data
