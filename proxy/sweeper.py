"""What looks after the clients' connections: time, and the end of a worker."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.server import Protocol

SWEEP_SECONDS = 1.0
STOPPING_SWEEP_SECONDS = 0.1
REST_SECONDS = 0.001
"""After each connection that is given up: it breaks off a call upstream as well, and its buffers
are given back, for which others would wait."""


class Sweeper:
    """Gives up on connections past their deadline. ``now`` is loop time, a second coarse.

    When the worker is to stop, it takes no new connections, and each that it has ends with the
    answer to its next call, which says so. One that stays idle for a tenth of the time is closed:
    a client that keeps its connection busy is always told before, and one that does not finds
    it closed when it looks. Calls that are not over in time are given up.

    ``head_seconds``: from a head's first byte to its last. ``stall_seconds``: a client that is
    slow for so long is dropped; it takes less than 48 KiB of an answer that waits, or sends
    less than ``call.LEAST_BODY`` of a body that is waited for.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, head_seconds: float, stall_seconds: float
    ) -> None:
        self.head_seconds = head_seconds
        self.stall_seconds = stall_seconds
        self.connections: set[Protocol] = set()
        self.complaints: Counter[str] = Counter()
        """By error code, what could not be read as a call."""
        self.stopping = False
        self._grace = self._stop_at = 0.0
        self._loop = loop
        self.now = loop.time()
        self._timer = loop.call_later(SWEEP_SECONDS, self._sweep)

    def stop(self, seconds: float) -> None:
        """Calls have so long to be over."""
        if not self.stopping:
            self.stopping = True
            self._grace = seconds / 10
            self._stop_at = self._loop.time() + seconds
            self._timer.cancel()
            self._sweep()

    def _sweep(self) -> None:
        self.now = self._loop.time()
        if not self.stopping:
            self._look(iter(list(self.connections)))
            return
        for connection in list(self.connections):
            connection.wind_up(self.now, self._grace, self._stop_at)
        self._timer = self._loop.call_later(STOPPING_SWEEP_SECONDS, self._sweep)

    def _look(self, connections: Iterator[Protocol]) -> None:
        """Goes on later where one is given up."""
        for connection in connections:
            if not connection.lost and connection.look(self.now):
                self._timer = self._loop.call_later(REST_SECONDS, self._look, connections)
                return
        self._timer = self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def close(self) -> None:
        self._timer.cancel()
