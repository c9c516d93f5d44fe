"""The usage records of the soak, taken off the stream and counted by how their calls ended."""

from __future__ import annotations

import time
from collections import Counter

import redis

from bench.soak.calls import FILLING, KINDS, OVERLOADED, Outcome
from contract import usage
from contract.keys import USAGE_STREAM

_AT_ONCE = 2000
_RECORDED = {kind.name for kind in (*KINDS, *FILLING) if kind.recorded}


class Records:
    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url)
        self.counts: Counter[Outcome] = Counter()

    def take(self) -> None:
        """All that have arrived."""
        while entries := self._client.xrange(USAGE_STREAM, count=_AT_ONCE):
            for _, fields in entries:
                event = usage.decode(fields[b"e"])
                self.counts[event.status, "left" if event.abandoned else event.error_code] += 1
            time_ms, _, number = entries[-1][0].decode().partition("-")
            self._client.xtrim(
                USAGE_STREAM, minid=f"{time_ms}-{int(number) + 1}", approximate=False
            )

    def difference(self, calls: Counter[Outcome], seconds: float = 20.0) -> Counter[Outcome]:
        """Records too many or, below 0, too few, when all have arrived or time is up."""
        deadline = time.monotonic() + seconds
        while True:
            self.take()
            found = Counter(self.counts)
            found.subtract(calls)
            if not any(found.values()) or time.monotonic() > deadline:
                return Counter({outcome: count for outcome, count in found.items() if count})
            time.sleep(0.2)


def expected(outcomes: list[list]) -> Counter[Outcome]:
    """The records that calls leave, from what the load has counted."""
    found: Counter[Outcome] = Counter()
    for name, status, code, count in outcomes:
        if name in _RECORDED and (status, code) != OVERLOADED:
            found[status, code] += count
    return found
