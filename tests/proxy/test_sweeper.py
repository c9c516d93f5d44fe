"""Slow clients are given up, one at a time, so that the others need not wait."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from proxy.call import LEAST_BODY, Call
from proxy.exchange import RequestHead
from proxy.sweeper import Sweeper


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


async def test_many_that_are_late_are_given_up_one_after_the_other() -> None:
    many = [Slow() for _ in range(5)]
    sweeper, _ = sweep(*many)
    assert sum(one.looked for one in many) == 1
    await turns(30)
    assert [one.looked for one in many] == [1] * len(many)
    sweeper.close()


async def test_those_in_time_are_looked_at_all_at_once() -> None:
    many = [Slow(late=False) for _ in range(1000)]
    sweeper, _ = sweep(*many)
    assert sum(one.looked for one in many) == 1000
    sweeper.close()


async def test_who_has_left_meanwhile_is_passed_over() -> None:
    many = [Slow() for _ in range(2)]
    sweeper, _ = sweep(*many)
    for one in many:
        one.lost = True
    await turns(10)
    assert sum(one.looked for one in many) == 1
    sweeper.close()


async def test_closing_ends_a_sweep_that_is_under_way() -> None:
    many = [Slow() for _ in range(3)]
    sweeper, _ = sweep(*many)
    sweeper.close()
    await turns(10)
    assert sum(one.looked for one in many) == 1


class Body:
    """A call whose body comes slowly; what is waited for is as ``Call.receive`` leaves it."""

    def __init__(self) -> None:
        connection: Any = SimpleNamespace(client="", scheme="http")
        head = RequestHead([(b"content-length", b"100000")])
        self.call = Call(connection, "POST", b"/", b"", head)
        self.sweeper: Any = SimpleNamespace(now=100.0, stall_seconds=20.0)

    def wait(self, now: float, came: int = 0) -> float:
        """From ``now`` on, ``came`` bytes after the piece before; until when."""
        self.sweeper.now = now
        self.call.request_bytes += came
        return self.call._deadline(self.sweeper)

    def read(self, now: float) -> None:
        self.call._read = now


def test_a_body_that_drips_gets_no_second_chance() -> None:
    body = Body()
    assert body.wait(100.0) == 120.0
    for second in range(101, 120):
        body.read(second)
        assert body.wait(second, came=1) == 120.0
    body.read(119.0)
    assert body.wait(121.0, came=1) == 122.0, "later by what it was not waited for"


def test_a_body_that_was_not_waited_for_is_not_late() -> None:
    body = Body()
    body.wait(100.0)
    body.read(101.0)
    assert body.wait(190.0, came=1) == 209.0
    body.read(191.0)
    assert body.wait(191.0, came=LEAST_BODY) == 211.0
