"""A bar for work whose size is known, on a terminal; a line now and then elsewhere."""

from __future__ import annotations

import time
from typing import TextIO

_WIDTH = 30


class Progress:
    """``progress(n)`` tells that another ``n`` of ``total`` are done."""

    def __init__(self, total: int, out: TextIO, *, what: str = "rows") -> None:
        self.total, self.out, self.what = total, out, what
        self.done = 0
        self.began = self.shown = time.monotonic()
        self.live = out.isatty()

    def __call__(self, count: int) -> None:
        self.done += count
        now = time.monotonic()
        finished = self.done >= self.total
        if not finished and now - self.shown < (0.1 if self.live else 5):
            return
        self.shown = now
        self.out.write(("\r" if self.live else "") + self._line(now - self.began))
        if finished or not self.live:
            self.out.write("\n")
        self.out.flush()

    def _line(self, seconds: float) -> str:
        share = min(1.0, self.done / self.total) if self.total else 1.0
        rate = self.done / seconds if seconds else 0
        left = (self.total - self.done) / rate if rate else 0
        full = round(share * _WIDTH)
        bar = "#" * full + "." * (_WIDTH - full)
        return (
            f"[{bar}] {share:4.0%}  {self.done:,} of {self.total:,} {self.what}  "
            f"{rate:,.0f}/s  {_clock(left)} left "
        )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
