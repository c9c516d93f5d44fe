"""Units that are reserved for one call, from its check to its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from proxy.limits.items import Counter, Limits

if TYPE_CHECKING:
    from proxy.limits.books import Books
    from proxy.limits.shares import Share


class Held:
    """Made before the check is sent, so that a call which ends while it is under way loses
    nothing: whichever of ``granted`` and ``close`` comes last gives the units back.

    ``units`` are reserved, one number for each limit.
    """

    __slots__ = ("_books", "_closed", "_counters", "_shares", "limits", "units", "used")

    def __init__(self, limits: Limits, units: Sequence[int]) -> None:
        self.limits = limits
        self.units = units
        self.used: Sequence[int] | None = None
        self._closed = False
        self._books: Books | None = None
        self._counters: tuple[Counter, ...] = ()
        self._shares: tuple[Share, ...] = ()

    def granted(
        self, books: Books, counters: tuple[Counter, ...], shares: tuple[Share, ...]
    ) -> None:
        """``shares`` is empty where the units were reserved by the script."""
        self._books = books
        self._counters = counters
        self._shares = shares
        if self._closed:
            self._give_back([0] * len(self.units))

    def close(self, used: Sequence[int], *, billed: bool = False) -> None:
        """``used``: in fact, of each limit; of calls and concurrency it does not matter.
        ``billed``: tokens and cost are counted elsewhere now, and held here no longer."""
        if not self._closed:
            self._closed = True
            if self._books is not None:
                self._give_back(used, billed=billed)

    def _give_back(self, used: Sequence[int], *, billed: bool = False) -> None:
        books, self._books = self._books, None
        for place, item in enumerate(self.limits.items):
            if item.measure == "calls":
                continue
            unit = self.units[place]
            spent = used[place] if item.money and not billed else 0
            if self._shares and billed and item.money:
                self._shares[place].hand_on(unit)
            elif self._shares:
                self._shares[place].give_back(unit, spent)
            elif books is not None and (unit or spent):
                books.settle(self._counters[place], unit, spent)
