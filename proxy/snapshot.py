"""The tenants that this worker serves, kept up to date from Valkey and from disk.

``Holder`` is what a call looks into; ``Watcher`` keeps it true. A snapshot that cannot
be used is refused and logged, and the one before stays.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Container, Generator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from time import monotonic, time
from typing import Any, TypeVar

from contract.keys import SNAPSHOT_CHANNEL, SNAPSHOT_INDEX, snapshot_blob
from contract.secrets import Sealer
from contract.snapshot import SnapshotError, decode
from proxy.cluster import Reach, connect
from proxy.copies import Copies
from proxy.exchange import RequestHead
from proxy.known import Known
from proxy.route import Listen
from proxy.runtime import (
    ApiRuntime,
    DeploymentRuntime,
    Match,
    ModelRuntime,
    ProviderRuntime,
    RouteRuntime,
    SubscriptionRuntime,
    TenantRuntime,
    UpstreamRuntime,
)
from proxy.valkey import ValkeyError

__all__ = [
    "ApiRuntime",
    "DeploymentRuntime",
    "Holder",
    "Match",
    "ModelRuntime",
    "ProviderRuntime",
    "RouteRuntime",
    "Site",
    "SubscriptionRuntime",
    "TenantRuntime",
    "UpstreamRuntime",
    "Watcher",
]

logger = logging.getLogger(__name__)

POLL_SECONDS = 2.0
RETRY_SECONDS = 1.0
GRACE_SECONDS = 120.0
"""A tenant that is missing from the index unannounced is served for this long."""

SLICE_SECONDS = 0.003
"""For so long calls wait at most while a tenant is built; decoding adds 1 ms per 1,000 routes."""

DEFAULT_KEY_HEADER = b"x-api-key"
"""Looked at even where no API of any tenant names it, so that its refusal is the same."""

_SAFE_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_SPELLINGS, _LONGEST_SPELLING = 10_000, 300

Result = TypeVar("Result")

Site = tuple[TenantRuntime, Listen[ApiRuntime, Match]]
"""A tenant and its APIs on one host."""


class Holder:
    """Tenants by id, by host and by key. ``loaded`` once a set was read, even an empty one."""

    def __init__(self) -> None:
        self.tenants: dict[str, TenantRuntime] = {}
        self.loaded = False
        self.changed_at = self.checked_at = 0.0
        """Unix times: when a tenant was last put to use, and when all were known to be current."""
        self.key_headers: tuple[bytes, ...] = (DEFAULT_KEY_HEADER,)
        self.key_queries: tuple[bytes, ...] = ()
        self._hosts: dict[bytes, Site] = {}
        self._claims: dict[bytes, dict[str, Site]] = {}
        """By host and tenant id. The first serves the host; the next does once that is gone."""
        self._spelled: dict[bytes, Site] = {}
        self._keys: dict[bytes, TenantRuntime] = {}
        self.known: dict[RequestHead, Known] = {}
        """By a head that has come before; whoever fills it bounds it."""
        self._header_uses: Counter[bytes] = Counter()
        self._query_uses: Counter[bytes] = Counter()

    def site(self, host: bytes) -> Site | None:
        """By a Host header as sent: in any case, with or without a port."""
        found = self._spelled.get(host)
        if found is None:
            name = host.lower().rstrip(b"0123456789").removesuffix(b":") if b":" in host else host
            found = self._hosts.get(name.lower().removesuffix(b"."))
            if found is not None and len(host) <= _LONGEST_SPELLING:
                if len(self._spelled) >= _SPELLINGS:
                    self._spelled.clear()
                self._spelled[host] = found
        return found

    def site_of_key(self, digest: bytes) -> Site | None:
        tenant = self._keys.get(digest)
        return (tenant, tenant.listen) if tenant is not None else None

    def put(self, tenant: TenantRuntime) -> None:
        """Replaces the tenant. No call sees a mixture: each looks the tenant up once."""
        hosts = _hosts(tenant)
        self._remove(tenant.id, hosts)
        self.tenants[tenant.id] = tenant
        self.changed_at = time()
        for host, listen in hosts.items():
            claims = self._claims.setdefault(host, {})
            claims[tenant.id] = (tenant, listen)
            self._hosts[host] = first = next(iter(claims.values()))
            if first[0] is not tenant:
                logger.error("Host %r of %s belongs to %s.", host, tenant.slug, first[0].slug)
        for digest in tenant.keys:
            self._keys.setdefault(digest, tenant)
        self._count(tenant, 1)

    def remove(self, tenant_id: str) -> None:
        self._remove(tenant_id, ())

    def _remove(self, tenant_id: str, keeps: Container[bytes]) -> None:
        """``keeps``: hosts that it goes on claiming."""
        tenant = self.tenants.pop(tenant_id, None)
        if tenant is None:
            return
        for host in _hosts(tenant):
            if host not in keeps:
                self._release(host, tenant_id)
        for digest in tenant.keys:
            if self._keys.get(digest) is tenant:
                del self._keys[digest]
        self._count(tenant, -1)

    def _release(self, host: bytes, tenant_id: str) -> None:
        claims = self._claims[host]
        del claims[tenant_id]
        if claims:
            self._hosts[host] = next(iter(claims.values()))
        else:
            del self._claims[host], self._hosts[host]

    def _count(self, tenant: TenantRuntime, step: int) -> None:
        self._spelled.clear()
        self.known.clear()
        for api in tenant.apis.values():
            self._header_uses[api.key_header] += step
            if api.key_query is not None:
                self._query_uses[api.key_query] += step
        # Without those that are in use no more.
        self._header_uses, self._query_uses = +self._header_uses, +self._query_uses
        self.key_headers = tuple({DEFAULT_KEY_HEADER, *self._header_uses})
        self.key_queries = tuple(self._query_uses)


def _hosts(tenant: TenantRuntime) -> dict[bytes, Listen[ApiRuntime, Match]]:
    hosts = {host.encode(): tenant.listen for host in tenant.snapshot.hosts}
    return hosts | {host.encode(): listen for host, listen in tenant.extra_hosts.items()}


class Watcher:
    """Loads the last good copies, then follows Valkey for as long as the worker runs."""

    def __init__(self, holder: Holder, url: str, directory: Path, sealer: Sealer | None) -> None:
        self._holder = holder
        self._url = url
        self._copies = Copies(directory)
        self._sealer = sealer
        self._seen: dict[str, bytes] = {}
        """Tenant id -> what the index said of the blob that was last read."""
        self._digests: dict[str, bytes] = {}
        self._missing: dict[str, float] = {}
        self._announced: set[str] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when everything that can be had at once is loaded."""
        for tenant_id, blob in self._copies.read():
            await self._use(tenant_id, blob, keep=False)
            await asyncio.sleep(0)
        self._holder.loaded = bool(self._holder.tenants)
        reach = Reach(self._url)
        try:
            await self._reconcile(reach)
        except ValkeyError as error:
            logger.warning("Valkey does not answer, starting from the copies: %s", error)
        finally:
            reach.close()
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._copies.close()

    async def _follow(self) -> None:
        while True:
            try:
                await self._session()
            except ValkeyError as error:
                logger.warning("Changes are not followed: %s", error)
            except Exception:
                # The outermost boundary of this task: a fault here must not end the following.
                logger.exception("Following changes failed.")
            await asyncio.sleep(RETRY_SECONDS)

    async def _session(self) -> None:
        """Follows until a connection is lost. Raises ValkeyError."""
        listening = await connect(self._url, SNAPSHOT_INDEX, on_push=self._announce)
        asking = Reach(self._url)
        listening.subscribe(SNAPSHOT_CHANNEL)
        listening.lost.add_done_callback(lambda _: self._wake.set())
        try:
            while listening.alive:
                await self._reconcile(asking)
                if self._announced:
                    continue
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._wake.wait()
                self._wake.clear()
        finally:
            listening.close()
            asking.close()

    def _announce(self, message: list[Any]) -> None:
        if message[0] == b"message":
            self._announced.add(message[2].decode())
            self._wake.set()

    async def _reconcile(self, reach: Reach) -> None:
        """Brings the holder to what the index says. Raises ValkeyError."""
        announced, self._announced = self._announced, set()
        flat = await reach.ask("HGETALL", SNAPSHOT_INDEX)
        index = {key.decode(): value for key, value in zip(flat[::2], flat[1::2], strict=True)}
        for tenant_id, mark in index.items():
            if self._seen.get(tenant_id) != mark:
                blob = await reach.ask("GET", snapshot_blob(tenant_id), seconds=10.0)
                if blob is None:
                    logger.error("Tenant %s is in the index without a snapshot.", tenant_id)
                    continue
                await self._use(tenant_id, blob, keep=True)
                self._seen[tenant_id] = mark
        self._drop(index, announced)
        self._holder.loaded = True
        self._holder.checked_at = time()

    def _drop(self, index: dict[str, bytes], announced: set[str]) -> None:
        """Forgets deleted tenants.

        An announced deletion counts at once. Without an announcement an index may also
        have lost its data, so a missing tenant is kept for a while, and an empty index
        is taken for a lost one.
        """
        now = monotonic()
        for tenant_id in list(self._holder.tenants):
            if tenant_id in index:
                self._missing.pop(tenant_id, None)
                continue
            since = self._missing.setdefault(tenant_id, now)
            if tenant_id in announced or (index and now - since > GRACE_SECONDS):
                logger.info("Tenant %s is gone.", tenant_id)
                self._holder.remove(tenant_id)
                for known in (self._seen, self._digests, self._missing):
                    known.pop(tenant_id, None)
                self._copies.forget(tenant_id)

    async def _use(self, tenant_id: str, blob: bytes, *, keep: bool) -> None:
        """Puts a blob to use, and keeps a copy of it unless it came from one."""
        digest = sha256(blob).digest()
        if self._digests.get(tenant_id) == digest:
            return
        try:
            snapshot = decode(blob)
            if snapshot.tenant_id != tenant_id or not _SAFE_ID.fullmatch(tenant_id):
                raise SnapshotError(f"The snapshot names the tenant {snapshot.tenant_id!r}.")
            self._holder.put(await _unhurried(TenantRuntime.gradually(snapshot, self._sealer)))
        except SnapshotError as error:
            logger.error(
                "Snapshot of tenant %s refused, the one before stays: %s", tenant_id, error
            )
            return
        self._digests[tenant_id] = digest
        if keep:
            self._copies.keep(tenant_id, blob)


async def _unhurried(work: Generator[None, None, Result]) -> Result:
    """What ``work`` returns. Calls go first whenever it has held the loop for a while."""
    while True:
        end = monotonic() + SLICE_SECONDS
        while monotonic() < end:
            try:
                next(work)
            except StopIteration as done:
                result: Result = done.value
                return result
        await asyncio.sleep(0)
