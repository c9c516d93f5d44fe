"""Which target gets the next call: weighted round robin over the healthy ones."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import reduce
from math import gcd
from typing import Protocol, TypeVar

from proxy.health import Health


class Weighted(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def weight(self) -> int: ...


Item = TypeVar("Item", bound=Weighted)

_LONGEST = 1000


def sequence(items: Sequence[Item]) -> tuple[Item, ...]:
    """One round in which each item appears as often as its weight, well spread.

    Smooth weighted round robin: at each step every item gains its weight and the richest
    one pays the total. Items of weight 0 do not appear.
    """
    weighted = [item for item in items if item.weight > 0]
    if not weighted:
        return ()
    step = reduce(gcd, (item.weight for item in weighted))
    weights = [item.weight // step for item in weighted]
    total = sum(weights)
    if total > _LONGEST:
        weights = [max(1, weight * _LONGEST // total) for weight in weights]
        total = sum(weights)
    credit = [0] * len(weighted)
    order = []
    for _ in range(total):
        credit = [have + weight for have, weight in zip(credit, weights, strict=True)]
        richest = max(range(len(credit)), key=credit.__getitem__)
        credit[richest] -= total
        order.append(weighted[richest])
    return tuple(order)


class Balance:
    def __init__(self, health: Health) -> None:
        self._health = health

    def pick(self, name: str, order: tuple[Item, ...], tried: Collection[str] = ()) -> Item | None:
        """The next item of a ``sequence`` that may be called and is not in ``tried``, or None.

        Those that rest come last, the one that rests shortest first. ``name`` tells whose
        turns are counted.
        """
        count = len(order)
        if count == 0:
            return None
        circuits = self._health.circuits
        if count == 1 and not tried and not (circuits and order[0].id in circuits):
            return order[0]
        now = self._health.clock()
        start = self._health.turn(name) if count > 1 else 0
        resting: list[tuple[float, int]] = []
        for offset in range(count):
            item = order[(start + offset) % count]
            if item.id in tried:
                continue
            circuit = circuits.get(item.id)
            if circuit is None:
                return item
            if circuit.rests_until > now:
                resting.append((circuit.rests_until, offset))
            elif circuit.admits(now):
                return item
        for _, offset in sorted(resting):
            item = order[(start + offset) % count]
            if circuits[item.id].admits(now):
                return item
        return None

    def first(self, order: Sequence[Item], tried: Collection[str] = ()) -> Item | None:
        """The first in the order that may be called and is not in ``tried``, or None. Those that
        rest come last, as in ``pick``."""
        circuits, now = self._health.circuits, self._health.clock()
        resting: list[tuple[float, int]] = []
        for place, item in enumerate(order):
            if item.id in tried:
                continue
            circuit = circuits.get(item.id)
            if circuit is None:
                return item
            if circuit.rests_until > now:
                resting.append((circuit.rests_until, place))
            elif circuit.admits(now):
                return item
        for _, place in sorted(resting):
            if circuits[order[place].id].admits(now):
                return order[place]
        return None
