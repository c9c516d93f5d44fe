"""Slow clients are given up a few at a time, so that the others need not wait."""

from __future__ import annotations

import asyncio
from typing import Any

from proxy.sweeper import GIVEN_UP_IN_A_TURN, Sweeper


class Slow:
    """A connection past its deadline."""

    def __init__(self, *, late: bool = True) -> None:
        self.late = late
        self.lost = False
        self.looked = 0

    def look(self, now: float) -> bool:
        self.looked += 1
        return self.late


def sweep(*connections: Slow) -> tuple[Sweeper, Any]:
    sweeper: Any = Sweeper(asyncio.get_running_loop(), 10.0, 20.0)
    sweeper.connections |= set(connections)
    sweeper._timer.cancel()
    sweeper._sweep()
    return sweeper, connections


async def turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0.001)


async def test_many_that_are_late_are_given_up_over_several_turns() -> None:
    many = [Slow() for _ in range(5 * GIVEN_UP_IN_A_TURN)]
    sweeper, _ = sweep(*many)
    assert sum(one.looked for one in many) == GIVEN_UP_IN_A_TURN
    await turns(20)
    assert [one.looked for one in many] == [1] * len(many)
    sweeper.close()


async def test_those_in_time_are_looked_at_all_at_once() -> None:
    many = [Slow(late=False) for _ in range(1000)]
    sweeper, _ = sweep(*many)
    assert sum(one.looked for one in many) == 1000
    sweeper.close()


async def test_who_has_left_meanwhile_is_passed_over() -> None:
    many = [Slow() for _ in range(2 * GIVEN_UP_IN_A_TURN)]
    sweeper, _ = sweep(*many)
    for one in many:
        one.lost = True
    await turns(10)
    assert sum(one.looked for one in many) == GIVEN_UP_IN_A_TURN
    sweeper.close()


async def test_closing_ends_a_sweep_that_is_under_way() -> None:
    many = [Slow() for _ in range(3 * GIVEN_UP_IN_A_TURN)]
    sweeper, _ = sweep(*many)
    sweeper.close()
    await turns(10)
    assert sum(one.looked for one in many) == GIVEN_UP_IN_A_TURN
