"""The gateways' store: where snapshots are put and announced."""

from __future__ import annotations

from functools import cache

from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from contract import keys
from tenants.valkey import Client, Unreachable, connect

TIMEOUT = 2.0
"""Seconds. A save waits no longer than this for a store that does not answer."""

# Stores only what is newer than what is there: a publisher that was held up between its
# reading and its writing cannot put an old version over a new one.
_STORE = """
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if stored == ARGV[2] .. ':' .. ARGV[3] then
  return 1
end
if stored and tonumber(string.match(stored, '^%d+')) >= tonumber(ARGV[2]) then
  return 0
end
redis.call('SET', KEYS[2], ARGV[4])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ':' .. ARGV[3])
redis.call('PUBLISH', ARGV[5], ARGV[1])
return 1
"""

_REMOVE = """
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
redis.call('PUBLISH', ARGV[2], ARGV[1])
"""

StoreError = Unreachable


@cache
def _client(url: str) -> Client:
    # Tried twice: the first failure may be a connection that the store closed long ago.
    return connect(
        url,
        socket_timeout=TIMEOUT,
        socket_connect_timeout=TIMEOUT,
        retry=Retry(NoBackoff(), 1),
    )


def client() -> Client:
    """One client for each process; it reconnects by itself."""
    return _client(settings.REDIS_URL)


def _entry(value: bytes | None) -> tuple[int, str]:
    """Version and digest of an index entry; (0, "") where there is none."""
    version, _, digest = (value or b"0:").decode().partition(":")
    return int(version), digest


def stored(tenant_id: str) -> tuple[int, str]:
    """Version and digest of the tenant's stored snapshot; (0, "") where there is none."""
    return _entry(client().hget(keys.SNAPSHOT_INDEX, tenant_id))


def stored_all() -> dict[str, tuple[int, str]]:
    """As ``stored``, for all tenants that have one."""
    entries = client().hgetall(keys.SNAPSHOT_INDEX)
    return {tenant_id.decode(): _entry(value) for tenant_id, value in entries.items()}


def has_blob(tenant_id: str) -> bool:
    """Whether the snapshot itself is there, beside its entry in the index."""
    return bool(client().exists(keys.snapshot_blob(tenant_id)))


def put(tenant_id: str, version: int, digest: str, blob: bytes) -> bool:
    """Stores and announces in one step; False where a version as new is there already."""
    names = [keys.SNAPSHOT_INDEX, keys.snapshot_blob(tenant_id)]
    values = [tenant_id, version, digest, blob, keys.SNAPSHOT_CHANNEL]
    return bool(client().eval(_STORE, len(names), *names, *values))


def remove(tenant_id: str) -> None:
    """Takes the tenant out of the store and announces it."""
    client().delete(keys.limits_rebuilt(tenant_id))
    names = [keys.SNAPSHOT_INDEX, keys.snapshot_blob(tenant_id)]
    client().eval(_REMOVE, len(names), *names, tenant_id, keys.SNAPSHOT_CHANNEL)
