"""Shares of leased limits: units that a worker holds ahead, for calls that need not ask.

A share is held like any reservation: it counts against the limit from the moment it is
drawn, so shares never let through more than the limit. What they cost is that units which
lie idle in one worker are missing in another. So a draw takes at most a quarter of what is
left and a twentieth of the limit, grows with use, and is given back after a second without.

Units used from a share are reported every quarter of a second and with the next draw. A worker
that is killed in between has used them uncounted: at most one share of each limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from math import inf

from proxy.limits.books import Books
from proxy.limits.held import Held
from proxy.limits.items import Counter, Item, Limits, Verdict

REPORT_SECONDS = 0.25
IDLE_REPORTS = 4
SPARE_REPORTS = 240
"""Without use for so many reports, a share is forgotten."""
LARGEST = 20
"""A share is at most this part of the limit's amount."""


class Share:
    """Of one counter, for limits of one amount: what was drawn under a wider limit must not
    serve calls under a narrower one.

    ``slack`` is drawn and not in use, ``elsewhere`` what else was left, ``lent`` reserved by
    calls under way.
    """

    __slots__ = (
        "_freed", "_idle", "_largest", "_size", "_used", "busy", "counter", "elsewhere", "lent",
        "name", "slack",
    )  # fmt: skip

    def __init__(self, counter: Counter, amount: int) -> None:
        self.counter = counter
        self.name = (counter.key, amount)
        self.slack = 0
        self.lent = 0
        self.elsewhere = 0
        self.busy = False
        """Touched since the last report."""
        self._largest = max(1, amount // LARGEST)
        self._size = 1
        self._idle = 0
        self._freed = 0
        self._used = 0

    def wanted(self, unit: int) -> int:
        """How much more than a call's unit to draw. Asked for often, it grows.

        Nothing where a share would not do for one call.
        """
        if self._largest < unit:
            return 0
        self._size = min(self._largest, max(self._size * 2, unit))
        return max(0, self._size - self.slack)

    def draw(self, drawn: int, left: int) -> None:
        """``left`` of the limit before ``drawn`` were taken out of it."""
        self.slack += drawn
        self.elsewhere = left - drawn
        self.busy = True

    def use(self, units: int) -> None:
        """Units of the share are spent."""
        self._freed += units
        self._used += units
        self.busy = True

    def lend(self, units: int) -> None:
        """Units of the share are reserved."""
        self.lent += units
        self.busy = True

    def give_back(self, unit: int, spent: int) -> None:
        """A call that had ``unit`` reserved is over and has used ``spent``."""
        kept = min(unit, spent)
        self.lent -= unit
        self.slack += unit - kept
        self._freed += kept
        self._used += spent
        self.busy = True

    def hand_on(self, unit: int) -> None:
        """A call that had ``unit`` reserved is over, and its units are counted elsewhere."""
        self.lent -= unit
        self._freed += unit
        self.busy = True

    def empty(self) -> None:
        """Gives back, with the next report, what is not in use."""
        self._freed += self.slack
        self.slack = 0

    def tick(self, books: Books) -> None:
        """Reports, and gives back what has not been used for a while."""
        if self.busy:
            self.busy, self._idle = False, 0
        else:
            self._idle += 1
        if self._idle >= IDLE_REPORTS and self.slack:
            self._size = max(1, self._size // 4)
            self.empty()
        self.report(books)

    def report(self, books: Books) -> None:
        """Says what was used and what is held no longer."""
        if self._freed or self._used:
            freed, used, self._freed, self._used = self._freed, self._used, 0, 0
            books.settle(self.counter, freed, used)

    @property
    def spare(self) -> bool:
        """Holds nothing and was not used lately."""
        unused = not (self.slack or self.lent or self._freed or self._used)
        return unused and self._idle >= SPARE_REPORTS


class Shares:
    """All of one worker."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._loop = asyncio.get_running_loop()
        self._shares: dict[tuple[str, int], Share] = {}
        self._timer: asyncio.TimerHandle | None = None

    def of(self, limits: Limits, counters: tuple[Counter, ...]) -> tuple[Share, ...]:
        """The shares of leased limits, one for each; anew where one has been forgotten."""
        shares = limits.shares
        if not shares or any(self._shares.get(share.name) is not share for share in shares):
            pairs = zip(limits.items, counters, strict=True)
            shares = limits.shares = tuple(self._share(item, counter) for item, counter in pairs)
        return shares

    def _share(self, item: Item, counter: Counter) -> Share:
        share = Share(counter, item.amount)
        share = self._shares.setdefault(share.name, share)
        if self._timer is None:
            self._timer = self._loop.call_later(REPORT_SECONDS, self._report)
        return share

    def take(
        self, limits: Limits, units: Sequence[int], clock: Callable[[], float]
    ) -> Verdict | None:
        """Takes a call's units out of the shares. None, and nothing taken: ask Valkey."""
        if limits.until != inf:
            limits.resolve(clock())
        shares = limits.shares or self.of(limits, limits.counters)
        for share, unit in zip(shares, units, strict=True):
            if share.slack < unit:
                return None
        remaining = []
        for share, unit, item in zip(shares, units, limits.items, strict=True):
            share.slack -= unit
            if item.measure == "calls":
                share.use(unit)
            else:
                share.lend(unit)
            remaining.append(share.elsewhere + share.slack)
        return Verdict(True, remaining)

    def lend(self, held: Held, clock: Callable[[], float]) -> Verdict | None:
        """``take`` for a call whose units are given back."""
        limits = held.limits
        verdict = self.take(limits, held.units, clock)
        if verdict is not None:
            held.granted(self._books, limits.counters, limits.shares)
        return verdict

    def _report(self) -> None:
        for share in list(self._shares.values()):
            share.tick(self._books)
            if share.spare:
                del self._shares[share.name]
        self._timer = self._loop.call_later(REPORT_SECONDS, self._report) if self._shares else None

    def void(self, tenants: Callable[[str], bool]) -> None:
        """Their Valkey is away: what was drawn is no longer sure."""
        for share in self._shares.values():
            if not tenants(share.counter.tenant_id):
                continue
            self._books.forget(share.counter, share.slack)
            share.slack = 0

    def close(self) -> None:
        """Gives everything back."""
        if self._timer is not None:
            self._timer.cancel()
        for share in self._shares.values():
            share.empty()
            share.report(self._books)
