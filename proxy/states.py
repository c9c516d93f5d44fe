"""Tells the console every few seconds which targets this worker has something to say of."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import defaultdict
from random import uniform

from contract import keys, target_states
from proxy.cluster import Reach
from proxy.health import Health
from proxy.probe import Prober
from proxy.runtime import TenantRuntime
from proxy.snapshot import Holder
from proxy.valkey import ValkeyError

logger = logging.getLogger(__name__)


class Teller:
    """``worker`` is the name under which it tells."""

    def __init__(
        self, holder: Holder, health: Health, prober: Prober, redis_url: str, worker: str
    ) -> None:
        self._holder = holder
        self._health = health
        self._prober = prober
        self._reach = Reach(redis_url)
        self._worker = worker
        self._host = socket.gethostname()
        self._told: set[str] = set()
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._reach.close()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(target_states.EVERY * uniform(0.8, 1.0))
            try:
                await self._tell()
            except ValkeyError as error:
                logger.debug("The states of targets could not be told: %s", error)

    async def _tell(self) -> None:
        found = self.states()
        # Once more where nothing is left to tell, so that it is not believed until it expires.
        for tenant_id in found.keys() | self._told:
            told = target_states.Told(self._host, found.get(tenant_id, {}))
            key = keys.target_states(tenant_id, self._worker)
            blob, expires = target_states.encode(told), target_states.EXPIRES
            await self._reach.ask("SET", key, blob, "EX", expires)
            tellers = keys.target_tellers(tenant_id)
            await self._reach.ask("SADD", tellers, self._worker)
            await self._reach.ask("EXPIRE", tellers, 10 * expires)
        self._told = set(found)

    def states(self) -> dict[str, dict[str, str]]:
        """By tenant id. Drops what is held against targets that are gone."""
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for tenant_id, target_ids in self._prober.probed().items():
            found[tenant_id] = dict.fromkeys(target_ids, "healthy")
        now = self._health.clock()
        ours: dict[str, set[str]] = {}
        for target_id, circuit in list(self._health.circuits.items()):
            tenant = self._holder.tenants.get(circuit.owner)
            if tenant is None:
                del self._health.circuits[target_id]
                continue
            if tenant.id not in ours:
                ours[tenant.id] = _ids(tenant)
            if target_id not in ours[tenant.id]:
                del self._health.circuits[target_id]
            elif len(found[tenant.id]) < target_states.MOST:
                found[tenant.id][target_id] = circuit.state(now)
        return found


def _ids(tenant: TenantRuntime) -> set[str]:
    """Of all its targets and deployments."""
    ids = {
        target.id for upstream in tenant.upstreams.values() for target in upstream.upstream.targets
    }
    return ids | {item.id for model in tenant.models_by_id.values() for item in model.deployments}
