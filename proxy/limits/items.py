"""What a call must pass, as the limiter takes it."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from contract.keys import limit_counter, limit_held, limits_rebuilt
from contract.periods import period_at
from contract.policies import Measure
from proxy.valkey import word

if TYPE_CHECKING:
    from proxy.limits.shares import Share

NEVER = -1
UNKNOWN = -2

MONEY: tuple[Measure, ...] = ("tokens", "cost")
"""Measures whose limits refuse calls while they cannot be counted."""


class Counter(Struct, frozen=True, eq=False):
    """One counter in Valkey. ``held`` and ``marker`` are names too, empty where there is none.

    ``window`` as scripts take it: seconds, 0 for concurrency, and the negative end, in Unix
    seconds, of a calendar period. ``until`` is when another counter takes its place.
    """

    tenant_id: str
    key: str
    held: str
    window: int
    marker: str = ""
    until: float = inf


class Item(Struct, eq=False):
    """At most ``amount`` of a measure, for whatever ``subject`` names. ``name`` is for people.

    Units are held before they are spent where they are settled later, or drawn as shares.
    """

    tenant_id: str
    measure: Measure
    subject: str
    amount: int
    window: int = 60
    period: Literal["", "day", "month"] = ""
    leased: bool = False
    currency: str = ""
    time_zone: str = "UTC"
    scope: str = ""
    name: str = ""
    fallback: str = ""
    """Id of the model that is asked where this one lets a call not through."""
    _counter: Counter | None = None

    @property
    def money(self) -> bool:
        return self.measure in MONEY

    def counter(self, now: float) -> Counter:
        """The counter at the Unix time ``now``; the same object until its period ends."""
        known = self._counter
        if known is not None and now < known.until:
            return known
        self._counter = known = self._counter_at(now)
        return known

    def _counter_at(self, now: float) -> Counter:
        measure = f"{self.measure}-{self.currency}" if self.measure == "cost" else self.measure
        span, window, until, marker = str(self.window), self.window, inf, ""
        if self.measure == "concurrency":
            span, window = "now", 0
        elif self.period:
            period = period_at(self.period, self.time_zone, now)
            span, window, until = period.name, -period.end, float(period.end)
            marker = limits_rebuilt(self.tenant_id) if self.money else ""
        key = limit_counter(self.tenant_id, measure, self.subject, span)
        held = limit_held(key)
        return Counter(self.tenant_id, key, held, window, marker, until)


class Limits:
    """What one call must pass, all or nothing. Compared by identity, so keep and reuse it.

    ``keys`` and ``heads``, one of these for each limit, are what the script ``take`` is told
    of the counters, packed: with thousands of tenants what calls ask has nothing in common.

    ``leased``: every limit draws shares; beside an exact one, leased ones are exact too.
    ``plain``: otherwise, every unit is one and spent at once.
    ``closed``: a call is refused while it cannot be counted.
    """

    __slots__ = (
        "calls", "closed", "counters", "heads", "items", "key_count", "keys", "leased",
        "once", "ones", "plain", "plain_words", "shares", "tenant_id", "until",
    )  # fmt: skip

    def __init__(self, items: tuple[Item, ...]) -> None:
        self.items = items
        self.tenant_id = items[0].tenant_id
        self.calls = all(item.measure == "calls" for item in items)
        self.leased = all(item.leased for item in items)
        self.plain = self.calls and not self.leased
        self.ones = (1,) * len(items)
        self.closed = any(item.money for item in items)
        self.counters: tuple[Counter, ...] = ()
        self.until = -inf
        self.keys = b""
        self.key_count = 0
        self.heads: tuple[bytes, ...] = ()
        self.plain_words = self.once = b""
        """Of plain limits, what follows the number of calls, and the whole for a single one."""
        self.shares: tuple[Share, ...] = ()
        """The limiter's, for as long as the counters are the same."""

    def resolve(self, now: float) -> tuple[Counter, ...]:
        """The counters at a Unix time."""
        if now >= self.until:
            self.counters = tuple(item.counter(now) for item in self.items)
            self.until = min(counter.until for counter in self.counters)
            self.shares = ()
            self._pack()
        return self.counters

    def _pack(self) -> None:
        keys: list[str] = []
        heads = []
        for item, counter in zip(self.items, self.counters, strict=True):
            more = [] if item.measure == "calls" and not self.leased else [counter.held]
            if more and counter.marker:
                more.append(counter.marker)
            keys += (counter.key, *more)
            heads.append(word(len(more)) + word(item.amount) + word(counter.window))
        self.keys = b"".join(map(word, keys))
        self.key_count = len(keys)
        self.heads = tuple(heads)
        self.plain_words = b"".join((word(len(heads)), *heads))
        self.once = word(1) + self.plain_words


class Verdict(Struct, frozen=True):
    """``remaining`` is per limit, after everything decided in the same batch.

    ``tight`` is the index of the limit that refused; ``wait`` the microseconds until it may
    pass a call, NEVER, or UNKNOWN where its counter is.
    """

    allowed: bool
    remaining: list[int]
    tight: int = 0
    wait: int = 0
