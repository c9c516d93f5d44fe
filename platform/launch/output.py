"""One terminal for many processes: every line carries the name of who wrote it."""

from __future__ import annotations

import os
from typing import TextIO

_COLOURS = (36, 33, 35, 32, 34, 96, 93, 95)
_LONGEST = 64 * 1024


class Printer:
    """Writes whole lines, prefixed, and coloured where ``stream`` is a terminal.

    A terminal that has gone away (a closed pipe, a full disk under a redirection) loses lines;
    it does not stop the platform.
    """

    def __init__(self, stream: TextIO, width: int = 10):
        self._stream = stream
        self._width = width
        self._coloured = stream.isatty() and not os.environ.get("NO_COLOR")
        self._colours: dict[str, int] = {}

    def line(self, name: str, text: str) -> None:
        label = name.ljust(self._width)
        if self._coloured:
            colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
            label = f"\x1b[{colour}m{label}\x1b[0m"
        self._write(f"{label} | {text}\n")

    def say(self, text: str = "") -> None:
        """A line of the launcher's own."""
        self._write(text + "\n")

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            self._stream = open(os.devnull, "w")  # noqa: SIM115 - it lives as long as we do


class Lines:
    """Cuts bytes as they come from a pipe into lines of text; over-long ones are cut too."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST:
            whole.append(self._rest)
            self._rest = b""
        return [line.decode(errors="replace").rstrip("\r") for line in whole]

    def end(self) -> list[str]:
        return self.feed(b"\n") if self._rest else []
