"""All that belongs to one Valkey: the way there, what is asked and what is held."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

from contract.counters import Fields, Reading, read
from proxy.limits.batch import Batch, Group
from proxy.limits.books import Books
from proxy.limits.counts import Counts
from proxy.limits.items import Limits
from proxy.limits.ledger import RENEW_SECONDS, Ledger
from proxy.limits.link import Link
from proxy.limits.shares import Shares
from proxy.valkey import Connection, Redirected, ValkeyError

CLOSE_SECONDS = 1.0


class Worker:
    """What the shards of one worker have in common. ``name`` is unique over all workers."""

    def __init__(self, name: str, counts: Counts, numbers: Iterator[int]) -> None:
        self.name = name
        self.counts = counts
        self.numbers = numbers


class Shard:
    """``join`` it to the worker's books and shares, ``start`` it, and ``close`` it at the end.

    ``apart``: tenants may not share a script call, as in a cluster. ``moved`` is called when
    the server says that keys are elsewhere, and when it is lost.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        worker: Worker,
        *,
        apart: bool = False,
        moved: Callable[[], None] = lambda: None,
    ) -> None:
        self.link = Link(connect, worker.counts, self._up, self._down, moved)
        self.ledger = Ledger(worker.name, self.link, worker.counts, worker.numbers, apart=apart)
        self._worker = worker
        self._moved = moved
        self._tasks: list[asyncio.Task[None]] = []

    def join(
        self,
        books: Books,
        shares: Shares,
        mine: Callable[[str], bool],
        elsewhere: Callable[[list[Group], Redirected], None] | None = None,
    ) -> None:
        """``mine`` tells of a tenant's id whether its keys are here; ``elsewhere``: see Batch."""
        self.batch = Batch(self._worker.name, self.link, books, shares, elsewhere)
        self._shares = shares
        self._mine = mine

    async def readings(self, limits: Limits) -> list[Reading]:
        """What each counter holds now. Raises ValkeyError."""
        link = self.link
        counters = limits.resolve(link.now())
        names = [name for counter in counters for name in (counter.key, counter.held)]
        answers = await asyncio.gather(*(link.ask("HGETALL", name) for name in names))
        now = int(link.now() * 1_000_000)
        return [
            read(_fields(spent), _fields(held), max(0, counter.window), now)
            for counter, spent, held in zip(counters, answers[::2], answers[1::2], strict=True)
        ]

    async def start(self) -> None:
        """Connects if that is possible at once, and keeps trying otherwise."""
        await self.link.connect()
        self._tasks = [asyncio.create_task(self.link.run()), asyncio.create_task(self._renew())]

    def _up(self) -> None:
        self.ledger.restore()

    def _down(self) -> None:
        self._shares.void(self._mine)
        self._moved()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            with suppress(ValkeyError):
                self.ledger.renew()
                seconds, micros = await self.link.ask("TIME")
                self.link.set_clock(int(seconds), int(micros))

    async def close(self) -> None:
        """Reports what is left, if that is quick."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.ledger.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.link.close()


def _fields(flat: list[Any]) -> Fields:
    return dict(zip(flat[::2], flat[1::2], strict=True))
