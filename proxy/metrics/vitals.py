"""How the process itself is doing: its event loop, its memory, its processor time."""

from __future__ import annotations

import asyncio
import os
import resource
import time

from proxy.metrics.tally import Durations

LAG_SECONDS = 0.25
"""How often the lag is looked at."""

STARTED = time.time()


class Lag:
    """How late the event loop runs what is due: what every call in it waits in addition."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.durations = Durations()
        self._loop = loop
        self._due = loop.time() + LAG_SECONDS
        self._timer = loop.call_at(self._due, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        self.durations.add(max(0, int((now - self._due) * 1e6)))
        self._due = now + LAG_SECONDS
        self._timer = self._loop.call_at(self._due, self._look)

    def close(self) -> None:
        self._timer.cancel()


def resident_bytes() -> int:
    """Memory in use now; where the system does not tell, the most that was ever in use."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def open_files() -> int:
    for directory in ("/proc/self/fd", "/dev/fd"):
        try:
            return len(os.listdir(directory)) - 1
        except OSError:
            continue
    return 0
