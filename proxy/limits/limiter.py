"""The limiter as the rest of the gateway sees it."""

from __future__ import annotations

from itertools import count
from secrets import token_hex

from contract.counters import Reading
from contract.servers import servers
from proxy.limits.batch import Answer
from proxy.limits.bills import Bills
from proxy.limits.counts import Counts
from proxy.limits.held import Held
from proxy.limits.items import Limits, Verdict
from proxy.limits.shard import Shard, Worker
from proxy.limits.shares import Shares
from proxy.valkey import dial


class Limiter:
    """On a single server (``spread`` has the one on a cluster). ``start`` it once; ``close`` it
    at the end."""

    def __init__(self, url: str) -> None:
        """Raises AddressError."""
        self.counts = Counts()
        self._worker = Worker(token_hex(6), self.counts, count(1))
        server = servers(url)[0]
        self._only = Shard(lambda: dial(server), self._worker)
        self._books = self._only.ledger
        self._shares = Shares(self._books)
        self._only.join(self._books, self._shares, lambda tenant_id: True)
        self._link = self._only.link
        self._batch = self._only.batch
        self.bills = Bills(self._worker.name, lambda tenant_id: self._link)

    @property
    def connected(self) -> bool:
        return self._link.usable

    def check(self, limits: Limits) -> Answer | None:
        """Spends a unit of each of plain limits. None, at once or later: Valkey is away."""
        return self._batch.add(limits) if self._link.usable else None

    def draw(self, limits: Limits) -> Verdict | None:
        """Spends a unit of each of leased limits of calls. None: ask, with ``hold``."""
        if not self._link.usable:
            return None
        return self._shares.take(limits, limits.ones, self._link.now)

    def hold(self, held: Held, *, alike: bool) -> Verdict | Answer | None:
        """Reserves the units of ``held``; they are the same for all calls of its limits if
        ``alike``. None, at once or later: Valkey is away."""
        if not self._link.usable:
            return None
        if held.limits.leased:
            verdict = self._shares.lend(held, self._link.now)
            if verdict is not None:
                return verdict
        return self._batch.add_held(held, alike=alike)

    async def readings(self, limits: Limits) -> list[Reading]:
        """What each counter holds now. Raises ValkeyError."""
        return await self._only.readings(limits)

    async def start(self) -> None:
        """Connects if that is possible at once, and keeps trying otherwise."""
        await self._only.start()

    async def close(self) -> None:
        """Gives back and reports what is left, if that is quick."""
        self._shares.close()
        await self._only.close()
