"""Calls that a worker makes to see whether targets are well, where their upstream asks for it.

Each worker probes for itself: what counts is whether *it* reaches a target. Probes keep to
what calls keep to, above all to the addresses that a tenant may reach, but have connections
of their own, so a target that stalls its callers is still seen to answer, or not to.
"""

from __future__ import annotations

import asyncio
from random import uniform

from contract.snapshot import Probe, Target, Timeouts
from proxy.errors import UpstreamError
from proxy.health import Health
from proxy.runtime import TenantRuntime
from proxy.snapshot import Holder
from proxy.upstream.pool import Pool

LOOK_SECONDS = 1.0
"""Between two looks for changed tenants."""
MOST_AT_ONCE = 64
MOST_OF_TENANT = 200
"""Targets. Further ones are not probed."""
BODY_LIMIT = 65_536
"""Bytes of an answer that are read; the connection is not kept after a longer one."""

Check = tuple[Target, Probe, bool, bool]
"""What is called and how; whether certificates are verified and private addresses allowed."""

_HEADERS = [(b"user-agent", b"hubpo-probe"), (b"accept", b"*/*")]


class Prober:
    def __init__(self, holder: Holder, health: Health) -> None:
        self._holder = holder
        self._health = health
        self._pool = Pool()
        self._room = asyncio.Semaphore(MOST_AT_ONCE)
        self._known: dict[str, TenantRuntime] = {}
        self._running: dict[str, dict[Check, asyncio.Task[None]]] = {}
        self._looker = asyncio.get_running_loop().create_task(self._look())

    def probed(self) -> dict[str, list[str]]:
        """The ids of the targets that are probed, by tenant id."""
        return {tenant: [check[0].id for check in of] for tenant, of in self._running.items()}

    async def close(self) -> None:
        tasks = [self._looker, *(task for of in self._running.values() for task in of.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._pool.close()

    async def _look(self) -> None:
        while True:
            tenants = self._holder.tenants
            for tenant_id in [known for known in self._known if known not in tenants]:
                del self._known[tenant_id]
                self._renew(tenant_id, [])
            for tenant in tenants.values():
                if self._known.get(tenant.id) is not tenant:
                    self._known[tenant.id] = tenant
                    self._renew(tenant.id, _checks(tenant))
            await asyncio.sleep(LOOK_SECONDS)

    def _renew(self, tenant_id: str, wanted: list[Check]) -> None:
        """Makes these the tenant's checks. Those that stay go on as they are."""
        old = self._running.pop(tenant_id, {})
        new = {check: old.pop(check, None) for check in wanted}
        still = {check[0].id for check in wanted}
        for check, task in old.items():
            task.cancel()
            if check[0].id not in still:
                self._health.unprobed(check[0].id)
        if new:
            self._running[tenant_id] = {
                check: task or asyncio.create_task(self._keep(tenant_id, check))
                for check, task in new.items()
            }

    async def _keep(self, tenant_id: str, check: Check) -> None:
        target, probe = check[0], check[1]
        # Workers that start together, and the targets of one, do not probe in step.
        await asyncio.sleep(uniform(0.0, min(probe.interval, 2.0)))
        while True:
            async with self._room:
                well = await self._ask(check)
            self._health.probed(target.id, probe, tenant_id, well=well)
            await asyncio.sleep(probe.interval * uniform(0.9, 1.1))

    async def _ask(self, check: Check) -> bool:
        target, probe, tls_verify, private_ok = check
        timeouts = Timeouts(probe.timeout, probe.timeout, probe.timeout)
        try:
            async with asyncio.timeout(probe.timeout):
                response = await self._pool.send(
                    target,
                    "GET",
                    (target.path + probe.path).encode(),
                    _HEADERS,
                    b"",
                    timeouts,
                    tls_verify=tls_verify,
                    private_ok=private_ok,
                )
                try:
                    await response.read(BODY_LIMIT)
                    return response.status == probe.status
                finally:
                    response.close()
        except (UpstreamError, TimeoutError):
            return False


def _checks(tenant: TenantRuntime) -> list[Check]:
    if tenant.suspended is not None:
        return []
    checks = [
        (target, upstream.upstream.probe, upstream.upstream.tls_verify, tenant.private_ok)
        for upstream in tenant.upstreams.values()
        if upstream.upstream.probe is not None
        for target in upstream.upstream.targets
    ]
    return checks[:MOST_OF_TENANT]
