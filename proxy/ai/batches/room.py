"""How much room the files take that wait for their batches (``shelf``): a tenant's, and all.

Both are in Valkey, since all workers fill it; of a cluster, each node has its own sum, so that one
that is lost matters to its own tenants only. A tenant's files are listed, each with its size and
until when it is kept. What all tenants' files take is added up by the quarter of an hour in which
they expire, so that looking costs the same however many there are. Room is taken before it is
filled, and what a worker leaves that is killed in between is free again when the file would have
expired.
"""

from __future__ import annotations

from time import time

from contract.keys import batch_files, batch_room
from proxy.ai.batches.errors import BatchFilesFull, BatchRoomFull
from proxy.cluster import Reach

KEPT_SECONDS = 86_400
MOST_BYTES = 67_108_864
"""As they are kept, of one tenant."""
MOST_OF_ALL = 536_870_912
"""On one node, where nobody says otherwise."""
OVERHEAD = 4096
"""Bytes that a file takes besides, as an allowance for its names: tiny ones are bounded too."""
_STEP = 900
_SPARE = 300
"""Seconds for which a file is said to take room after it is gone."""


class Room:
    """``most``: bytes of all tenants' files on one node. All raise ValkeyError."""

    def __init__(self, reach: Reach, most: int) -> None:
        self._reach = reach
        self._most = most

    async def take(self, tenant_id: str, id_: str, before: int, size: int, until: int) -> None:
        """So many bytes more for a file that had ``before`` and is kept ``until`` then.

        Raises BatchFilesFull and BatchRoomFull; ``free`` it then, as in any case in the end.
        """
        files, ask = batch_files(tenant_id), self._reach.ask
        room = await self._reach.beside(files, batch_room)
        await ask("HINCRBY", room, _bucket(until), size)
        await ask("HSET", files, id_, f"{before + size}:{until}")
        await ask("EXPIRE", files, KEPT_SECONDS + _SPARE)
        await ask("EXPIRE", room, KEPT_SECONDS + _STEP)
        if await self._of_tenant(files) > MOST_BYTES:
            raise BatchFilesFull
        if await self._of_all(room) > self._most:
            raise BatchRoomFull

    async def free(self, tenant_id: str, id_: str) -> None:
        """Twice is as good as once: who takes it off the list gives its room back."""
        files, ask = batch_files(tenant_id), self._reach.ask
        listed = await ask("HGET", files, id_)
        if not await ask("HDEL", files, id_) or listed is None:
            return
        size, until = map(int, listed.split(b":"))
        if until > time():
            room = await self._reach.beside(files, batch_room)
            left = await ask("HINCRBY", room, _bucket(until), -size)
            if left < 0:  # Valkey has lost what was taken: it is not there to be given back.
                await ask("HINCRBY", room, _bucket(until), -left)
                await ask("EXPIRE", room, KEPT_SECONDS + _STEP)

    async def _of_tenant(self, files: str) -> int:
        now, total = time(), 0
        for name, value in await self._pairs(files):
            size, until = map(int, value.split(b":"))
            if until < now:
                await self._reach.ask("HDEL", files, name)
            else:
                total += size
        return total

    async def _of_all(self, room: str) -> int:
        now, total = time(), 0
        for bucket, value in await self._pairs(room):
            if int(bucket) < now:
                await self._reach.ask("HDEL", room, bucket)
            else:
                total += int(value)
        return total

    async def _pairs(self, key: str) -> list[tuple[bytes, bytes]]:
        flat = await self._reach.ask("HGETALL", key)
        return list(zip(flat[::2], flat[1::2], strict=True))


def _bucket(until: int) -> int:
    """Its end, which is not before ``until``."""
    return -(-until // _STEP) * _STEP
