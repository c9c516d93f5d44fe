"""How much a worker takes on, and whose calls it refuses when that is too much.

Mutable state shared between calls, beside ``health`` and ``limits``: how many calls each
tenant has under way and has begun. It belongs to one worker.

A timer measures how long one turn of the event loop takes; a call needs about four. Where turns
stay long, new calls are refused before anything is done for them, so that a little less comes in
than is served, and ever more again once turns are short. What comes in is shared out so that a
tenant that asks for less than its share gets all of that. A tenant that asks for much more than
its share is cut back while turns are hardly longer than usual; everybody is only where they
are so long that an error is better.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from time import perf_counter

SMOOTHING = 0.3
TICK = 0.05
"""Seconds between two looks."""
FAIR_LAG, FAIR_CROWD = 0.003, 64
"""Seconds of a turn from which on the tenants with far more than their share are cut back, and
calls under way: with fewer it is not they that make it long, but another program on the CPU."""
MOST_LAG, MOST_CROWD = 0.015, 256
"""The same for all tenants."""
WORST_LAG = 0.06
"""Seconds of a turn up to which only those with far more than their share are cut back, as long
as there are any."""
STANDING = 3
"""Ticks for which turns must be long."""
LEAST_OF_SERVED = 0.25
"""Of what was served when refusing began, so much comes in at least: refusing costs time too."""
FORGETTING = 0.98
"""Who is refused asks less for that reason alone, so its rate falls no faster than this a tick."""
HEAVY = 1.5
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
        """Since the last look."""
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

    def look(self) -> int:
        """Brings ``rate`` up to date. How many calls were taken on since the last look."""
        fresh, self.seen = self.begun - self.seen, self.begun
        rate = self.rate + (fresh - self.rate) * SMOOTHING
        self.rate = max(rate, self.rate * FORGETTING) if self.refusing else rate
        refused, self.refused = self.refused, 0
        return fresh - refused


class Load:
    """``most`` calls may be under way at once; one tenant may have half of them."""

    def __init__(self, most: int = 8192) -> None:
        self.most = most
        self.shares: dict[str, Share] = {}
        """By tenant id, of tenants that have called."""
        self.lag = 0.0
        """Seconds of a turn, the least of the last ticks."""
        self.refused = 0
        """Calls, since the start."""
        self.refusing = False
        """Some calls are."""
        self._lags = [0.0] * STANDING
        self._limit: float | None = None
        """Calls a tick that are let in; None while there is no need to count them."""
        self._least = FEWEST
        self._settling = 0
        """Ticks until it can be seen what the last change has done."""
        self._served = 0.0
        """Calls a tick that are over, on average over the last few."""
        self._in_flight = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._began = 0.0

    def refuses(self, tenant_id: str) -> bool:
        """Whether the tenant's call that comes now is refused, which is then counted."""
        share = self.shares.get(tenant_id)
        if share is None or not share.refusing or not share.refuses():
            return False
        share.begun += 1
        self.refused += 1
        return True

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
        self._timer = self._loop.call_later(TICK, self._begin_turn)

    def _begin_turn(self) -> None:
        assert self._loop is not None
        self._began = perf_counter()
        self._loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self.tick(perf_counter() - self._began)
        self._arm()

    def tick(self, lag: float) -> None:
        """Decides what is refused until the next tick. ``lag``: seconds of a turn."""
        self._lags = [*self._lags[1:], lag]
        self.lag = min(self._lags)
        in_flight = taken = 0
        for name, share in list(self.shares.items()):
            taken += share.look()
            in_flight += share.in_flight
            if share.rate < 1e-4 and not share.in_flight:
                del self.shares[name]
        self._served += (taken - in_flight + self._in_flight - self._served) * SMOOTHING
        self._in_flight = in_flight
        shares = [share for share in self.shares.values() if share.rate > 0.5]
        wanted = sum(share.rate for share in shares)
        heavy = _heavy(shares, wanted if self._limit is None else self._limit)
        bearable, crowd = (FAIR_LAG, FAIR_CROWD) if heavy else (MOST_LAG, MOST_CROWD)
        self._set_limit(wanted, bearable, crowded=in_flight >= crowd)
        self._share_out(shares, heavy)
        self._bound(in_flight)
        self.refusing = any(share.refusing for share in self.shares.values())

    def _set_limit(self, wanted: float, bearable: float, *, crowded: bool) -> None:
        if self._settling > 0:
            self._settling -= 1
        elif crowded and self.lag > bearable:
            limit = wanted if self._limit is None else min(self._limit, wanted)
            if self._limit is None:
                self._least = max(LEAST_OF_SERVED * self._served, FEWEST)
            less = 0.9 if self.lag < 2 * bearable else 0.7
            self._limit = max(limit * less, self._least)
            self._settling = STANDING
        elif self._limit is not None and (not crowded or self.lag < bearable / 2):
            self._limit *= 1.02
            if self._limit > wanted * 1.2:
                self._limit = None

    def _share_out(self, shares: list[Share], heavy: list[Share]) -> None:
        for share in self.shares.values():
            share.refusing = 0.0
        if self._limit is None:
            return
        cut, left = shares, self._limit
        if heavy and self.lag <= WORST_LAG:
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
