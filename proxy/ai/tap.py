"""Token usage read from a stream while it passes through in the client's own format."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Raw, Struct

from proxy.ai.middle import Usage
from proxy.ai.middle.events import merged

HELD_LIMIT = 1_048_576
"""Bytes of one unfinished line. A longer line is passed on as it arrives and not looked into."""

_LINE_BREAKS = (b"\n", b"\r\n")
_BLANK = (b"\n\n", b"\n\r\n")


class _Chunk(Struct):
    choices: list[Raw] | None = None


_decode = msgspec.json.Decoder(_Chunk).decode


def _says_nothing_else(data: bytes) -> bool:
    """A chunk of chat that holds nothing but usage."""
    try:
        return not _decode(data).choices
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


class StreamTap:
    """Passes a stream of server-sent events on in whole lines and remembers its usage.

    An unfinished line is held until the rest arrives: no client can read half a line, and
    a stream that breaks off can then be ended with a readable error. ``drop_usage`` takes
    out the chunk that holds nothing but usage, for clients that did not ask for it; all
    else is passed on byte for byte.
    """

    tail = b"\n\n\r\n"
    """How a frame of a chunked body ends that holds whole events."""

    __slots__ = ("_drop", "_held", "_read", "_skip_blank", "blank", "mark", "usage")

    def __init__(
        self, mark: bytes, read: Callable[[bytes], Usage | None], *, drop_usage: bool = False
    ) -> None:
        """``mark``: in a line without it there is no usage; ``read`` finds it in the others."""
        self.mark = mark
        self._read = read
        self._drop = drop_usage
        self._held = b""
        self._skip_blank = False
        self.blank = True
        """What was passed on ends with an empty line, so a new event may begin."""
        self.usage: Usage | None = None

    def feed(self, chunk: bytes) -> bytes:
        """What to send on now, perhaps nothing."""
        if chunk[-1:] != b"\n" or self._held:
            chunk = self._whole_lines(chunk)
            if not chunk:
                return b""
        if self._skip_blank or chunk.find(self.mark) >= 0:
            chunk = self._look(chunk)
        if chunk:
            self.blank = chunk.endswith(_BLANK) or chunk in _LINE_BREAKS
        return chunk

    @property
    def at_rest(self) -> bool:
        """``feed`` would return whatever frame of a chunked body ends with ``tail`` and does not
        hold ``mark`` as it is, and be left as it was."""
        return self.blank and not self._held and not self._skip_blank

    def end(self) -> bytes:
        """The last line, if the stream ends without a line break."""
        last, self._held = self._held, b""
        return self._look(last) if last else b""

    def _whole_lines(self, chunk: bytes) -> bytes:
        data = self._held + chunk if self._held else chunk
        end = data.rfind(b"\n") + 1
        if len(data) - end > HELD_LIMIT:
            end = len(data)
        self._held = data[end:]
        return data[:end]

    def _look(self, lines: bytes) -> bytes:
        kept = []
        for line in lines.splitlines(keepends=True):
            if self._skip_blank:
                self._skip_blank = False
                if not line.strip():
                    continue
            if self.mark in line and line.startswith(b"data:"):
                usage = self._read(line[5:])
                if usage is not None:
                    self.usage = merged(self.usage, usage)
                    if self._drop and _says_nothing_else(line[5:]):
                        self._skip_blank = True
                        continue
            kept.append(line)
        return b"".join(kept)
