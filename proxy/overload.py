"""How much a worker takes on, and whose calls it refuses when that is too much.

Mutable state shared between calls, beside ``health`` and ``limits``: how many calls each
tenant has under way and has begun. It belongs to one worker.

A timer measures by how much the event loop lags behind. Where it lags for several ticks in a
row, new calls are refused, before anything is done for them, until it no longer does: the
rate that is let in falls while there is lag and grows while there is none. It is shared out
so that a tenant that asks for less than its share gets all of that. A tenant that asks for
much more than its share is cut back at a lag that the others would hardly notice; everybody is
only at one that is worse than an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

TICK = 0.05
"""Seconds between two looks."""
FAIR_LAG = 0.003
"""Seconds of lag at which the tenants with far more than their share are cut back."""
MOST_LAG = 0.025
"""Seconds of lag at which all are."""
STANDING = 3
"""Ticks for which there must be lag."""
HEAVY = 2.0
"""So many times its share is far more."""
FEWEST = 10.0
"""Calls a tick that are let in whatever the lag: it is not they that make it."""


class Share:
    """One tenant's calls."""

    __slots__ = ("_due", "begun", "in_flight", "rate", "refused", "refusing", "seen")

    def __init__(self) -> None:
        self.begun = 0
        self.in_flight = 0
        self.refusing = 0.0
        """The share of new calls that is refused, 0 to 1."""
        self.rate = 0.0
        """Calls a tick that are asked for, on average over the last few."""
        self.refused = 0
        self.seen = 0
        self._due = 0.0

    def refuses(self) -> bool:
        """Whether the call that comes now is one of those. Evenly spread."""
        self._due += self.refusing
        if self._due < 1.0:
            return False
        self._due -= 1.0
        self.refused += 1
        return True

    def look(self) -> None:
        fresh, self.seen = self.begun - self.seen, self.begun
        self.rate += (fresh - self.rate) * 0.3


class Load:
    """``most`` calls may be under way at once; one tenant may have half of them."""

    def __init__(self, most: int = 8192) -> None:
        self.most = most
        self.shares: dict[str, Share] = {}
        """By tenant id, of tenants that have called."""
        self.lag = 0.0
        """Seconds, the least of the last ticks."""
        self._lags = [0.0] * STANDING
        self._limit: float | None = None
        """Calls a tick that are let in; None while there is no need to count them."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def share(self, tenant_id: str) -> Share:
        return self.shares.setdefault(tenant_id, Share())

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._arm()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self) -> None:
        assert self._loop is not None
        self._due = self._loop.time() + TICK
        self._timer = self._loop.call_at(self._due, self._measure)

    def _measure(self) -> None:
        assert self._loop is not None
        self.tick(self._loop.time() - self._due)
        self._arm()

    def tick(self, lag: float) -> None:
        """Decides what is refused until the next tick."""
        self._lags = [*self._lags[1:], lag]
        self.lag = min(self._lags)
        for name, share in list(self.shares.items()):
            share.look()
            if share.rate < 1e-4 and not share.in_flight:
                del self.shares[name]
        shares = [share for share in self.shares.values() if share.rate > 0.5]
        wanted = sum(share.rate for share in shares)
        heavy = _heavy(shares, wanted if self._limit is None else self._limit)
        self._set_limit(wanted, FAIR_LAG if heavy else MOST_LAG)
        self._share_out(shares, heavy)
        self._bound(sum(share.in_flight for share in self.shares.values()))

    def _set_limit(self, wanted: float, bearable: float) -> None:
        if self.lag > bearable:
            limit = wanted if self._limit is None else min(self._limit, wanted)
            self._limit = max(limit * 0.9, FEWEST)
        elif self._limit is not None and self.lag < bearable / 2:
            self._limit *= 1.05
            if self._limit > wanted * 1.2:
                self._limit = None

    def _share_out(self, shares: list[Share], heavy: list[Share]) -> None:
        for share in self.shares.values():
            share.refusing = 0.0
        if self._limit is None:
            return
        cut, left = shares, self._limit
        if heavy and self.lag <= MOST_LAG:
            # The others get what they ask for, and these what is left, but no less than their due.
            cut = heavy
            light = sum(share.rate for share in shares) - sum(share.rate for share in heavy)
            left = max(left - light, self._limit * len(heavy) / len(shares))
        level = _level([share.rate for share in cut], left)
        for share in cut:
            if share.rate > max(level, FEWEST / 2):
                share.refusing = 1.0 - level / share.rate

    def _bound(self, in_flight: int) -> None:
        """Refuses all calls of whoever has too many under way."""
        busy = sum(1 for share in self.shares.values() if share.in_flight)
        most = self.most // 2
        if in_flight >= self.most:
            most = min(most, self.most // max(busy, 1))
        for share in self.shares.values():
            if share.in_flight >= most:
                share.refusing = 1.0


def _heavy(shares: list[Share], limit: float) -> list[Share]:
    """Those that ask for far more than their share, where others ask at all."""
    if len(shares) < 2:
        return []
    due = max(HEAVY * limit / len(shares), FEWEST)
    return [share for share in shares if share.rate > due]


def _level(rates: Iterable[float], limit: float) -> float:
    """The most that each may have so that all together have ``limit``."""
    left, ordered = limit, sorted(rates)
    for place, rate in enumerate(ordered):
        each = left / (len(ordered) - place)
        if rate >= each:
            return each
        left -= rate
    return ordered[-1] if ordered else limit
