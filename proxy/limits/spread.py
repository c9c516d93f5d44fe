"""The limiter on a cluster: each tenant's counters are together on one node.

Which node that is follows from the cluster's map, read anew every few seconds and whenever a
node says that keys are elsewhere or cannot be reached. A node that says so has done nothing:
its checks go on to where the keys are, for a while, and are then answered as though Valkey
were away. What is held and still to be reported moves with its tenant.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from itertools import count
from secrets import token_hex

from contract.counters import Reading
from contract.keys import limits_rebuilt
from contract.servers import Server
from proxy.cluster import Map, load
from proxy.limits.batch import Answer, Group, give_up
from proxy.limits.bills import Bills
from proxy.limits.counts import Counts
from proxy.limits.held import Held
from proxy.limits.items import Counter, Limits, Verdict
from proxy.limits.link import Link
from proxy.limits.shard import Shard, Worker
from proxy.limits.shares import Shares
from proxy.valkey import Redirected, ValkeyError, dial

logger = logging.getLogger(__name__)

MAP_SECONDS = 10.0
RETRY_SECONDS = 0.5
PATIENCE = 0.25
"""How long a check may look for its keys."""
AGAIN_SECONDS = 0.01
"""Until it is tried again where nobody could say."""


class SpreadLimiter:
    """As ``Limiter``."""

    def __init__(self, url: str) -> None:
        self.counts = Counts()
        self._url = url
        self._loop = asyncio.get_running_loop()
        self._worker = Worker(token_hex(6), self.counts, count(1))
        self._shares = Shares(self)
        self.bills = Bills(self._worker.name, self._link)
        self._map: Map | None = None
        self._shards: dict[Server, Shard] = {}
        self._homes: dict[str, Shard] = {}
        """Of tenants asked for since the map last changed."""
        self._stale = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    def _home(self, tenant_id: str) -> Shard | None:
        home = self._homes.get(tenant_id)
        if home is None and self._map is not None:
            server = self._map.server(limits_rebuilt(tenant_id))
            home = self._homes[tenant_id] = self._shards[server]
        return home

    def _link(self, tenant_id: str) -> Link | None:
        home = self._home(tenant_id)
        return home.link if home is not None else None

    @property
    def connected(self) -> bool:
        return bool(self._shards) and all(shard.link.usable for shard in self._shards.values())

    def check(self, limits: Limits) -> Answer | None:
        home = self._home(limits.tenant_id)
        return home.batch.add(limits) if home is not None and home.link.usable else None

    def draw(self, limits: Limits) -> Verdict | None:
        home = self._home(limits.tenant_id)
        if home is None or not home.link.usable:
            return None
        return self._shares.take(limits, limits.ones, home.link.now)

    def hold(self, held: Held, *, alike: bool) -> Verdict | Answer | None:
        home = self._home(held.limits.tenant_id)
        if home is None or not home.link.usable:
            return None
        if held.limits.leased:
            verdict = self._shares.lend(held, home.link.now)
            if verdict is not None:
                return verdict
        return home.batch.add_held(held, alike=alike)

    async def readings(self, limits: Limits) -> list[Reading]:
        home = self._home(limits.tenant_id)
        if home is None:
            raise ValkeyError("The cluster has not been reached yet.")
        return await home.readings(limits)

    # Books: a tenant's are where its counters are. Without a map nothing was ever held.

    def add(self, counter: Counter, amount: int) -> None:
        if home := self._home(counter.tenant_id):
            home.ledger.add(counter, amount)

    def forget(self, counter: Counter, amount: int) -> None:
        if home := self._home(counter.tenant_id):
            home.ledger.forget(counter, amount)

    def doubt(self, counter: Counter) -> None:
        if home := self._home(counter.tenant_id):
            home.ledger.doubt(counter)

    def settle(self, counter: Counter, freed: int, used: int) -> None:
        if home := self._home(counter.tenant_id):
            home.ledger.settle(counter, freed, used)

    # The map

    async def start(self) -> None:
        with suppress(ValkeyError):
            await self._read_map()
        self._keeper = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        while True:
            pause = MAP_SECONDS if self.connected else RETRY_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stale.wait()
            self._stale.clear()
            try:
                await self._read_map()
            except ValkeyError as error:
                logger.warning("The cluster's map cannot be read: %s", error)
            await asyncio.sleep(RETRY_SECONDS)

    async def _read_map(self) -> None:
        found = await load(self._url, set(self._shards))
        fresh = {server: self._shard(server) for server in found.servers - self._shards.keys()}
        await asyncio.gather(*(shard.start() for shard in fresh.values()))
        gone = {s: shard for s, shard in self._shards.items() if s not in found.servers}
        before, self._shards = (
            self._shards,
            {
                server: shard
                for server, shard in (self._shards | fresh).items()
                if server in found.servers
            },
        )
        self._map = found
        self._homes.clear()
        self._move(before)
        for shard in gone.values():
            await shard.close()

    def _shard(self, server: Server) -> Shard:
        shard = Shard(lambda: dial(server), self._worker, apart=True, moved=self._stale.set)
        shard.join(
            self, self._shares, lambda tenant_id: self._home(tenant_id) is shard, self._redirect
        )
        return shard

    # Moving

    def _redirect(self, groups: list[Group], error: Redirected) -> None:
        """Checks of one tenant go where a node has sent them."""
        now = self._loop.time()
        first = not groups[0].until
        for group in groups:
            group.until = group.until or now + PATIENCE
        late = [group for group in groups if group.until <= now]
        give_up(late)
        groups = [group for group in groups if group.until > now]
        if not groups:
            return
        shard = self._named(error)
        if shard is not None and error.kind == "ASK":
            shard.batch.put(groups, asking=True)
        elif shard is not None and error.kind == "MOVED" and first:
            self._rehome(groups[0].limits.tenant_id, shard)
            shard.batch.put(groups)
        else:
            self._loop.call_later(AGAIN_SECONDS, self._try_again, groups)

    def _try_again(self, groups: list[Group]) -> None:
        home = self._home(groups[0].limits.tenant_id)
        if home is None:
            give_up(groups)
        else:
            home.batch.put(groups)

    def _named(self, error: Redirected) -> Shard | None:
        """The node that an error names, if it is known and can be asked."""
        for server, shard in self._shards.items():
            if error.place == f"{server.host}:{server.port}" and shard.link.usable:
                return shard
        return None

    def _rehome(self, tenant_id: str, home: Shard) -> None:
        before, self._homes[tenant_id] = self._homes.get(tenant_id), home
        if before is not None and before is not home:
            home.ledger.adopt(before.ledger.hand_over(tenant_id), moved=True)

    def _move(self, shards: dict[Server, Shard]) -> None:
        """Brings the books of tenants whose keys have moved to where the keys are."""
        for shard in shards.values():
            for tenant_id in shard.ledger.tenants():
                home = self._home(tenant_id)
                if home is not None and home is not shard:
                    moved = shard.link.usable
                    home.ledger.adopt(shard.ledger.hand_over(tenant_id), moved=moved)

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        self._shares.close()
        await asyncio.gather(*(shard.close() for shard in self._shards.values()))
