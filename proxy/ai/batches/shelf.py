"""Files of batches that the gateway keeps itself, for providers that take a batch but no file.

They wait in Valkey for a day, compressed and sealed, in pieces, so that neither a worker nor a
command ever holds a whole one. Whoever creates the batch has them sent on.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Awaitable
from time import time
from typing import IO, Any

import msgspec
from msgspec import Struct

from contract.keys import batch_file
from contract.secrets import Sealer, SealError
from proxy.ai.batches.errors import BatchesUnavailable
from proxy.ai.batches.room import KEPT_SECONDS, MOST_OF_ALL, OVERHEAD, Room
from proxy.cluster import Reach
from proxy.valkey import Part, ValkeyError

PIECE = 262_144


class Kept(Struct, frozen=True):
    """``size`` is that of what it holds, ``at`` when it came, in Unix seconds."""

    name: str
    size: int
    at: int
    pieces: int


_decode = msgspec.json.Decoder(Kept).decode
_encode = msgspec.json.Encoder().encode


class Shelf:
    """``close`` it at the end. All raise BatchesUnavailable where Valkey is away. ``most``: bytes
    of all tenants' files on one node."""

    def __init__(self, url: str, sealer: Sealer, most: int = MOST_OF_ALL) -> None:
        self._reach = Reach(url)
        self._sealer = sealer
        self._room = Room(self._reach, most)

    async def put(self, tenant_id: str, id_: str, name: str, spool: IO[bytes], size: int) -> Kept:
        """Keeps ``spool`` from its beginning. Raises BatchFilesFull and BatchRoomFull."""
        now = int(time())
        kept = Kept(name, size, now, -(-size // PIECE))
        spool.seek(0)
        taken = 0
        try:
            for place in range(1, kept.pieces + 1):
                key = batch_file(tenant_id, id_, place)
                sealed = self._sealer.seal_bytes(zlib.compress(spool.read(PIECE), 1), key)
                more = len(sealed) + (0 if taken else OVERHEAD)
                await _told(self._room.take(tenant_id, id_, taken, more, now + KEPT_SECONDS))
                taken += more
                await self._ask("SET", key, sealed, "EX", KEPT_SECONDS)
            key = batch_file(tenant_id, id_)
            await self._ask(
                "SET", key, self._sealer.seal_bytes(_encode(kept), key), "EX", KEPT_SECONDS
            )
        except BaseException:
            await self.remove(tenant_id, id_)
            raise
        return kept

    async def find(self, tenant_id: str, id_: str) -> Kept | None:
        opened = await self._piece(tenant_id, id_, 0)
        return _decode(opened) if opened is not None else None

    async def pieces(self, tenant_id: str, id_: str, kept: Kept) -> AsyncIterator[bytes]:
        for place in range(1, kept.pieces + 1):
            opened = await self._piece(tenant_id, id_, place)
            if opened is None:
                raise BatchesUnavailable("The file of the batch is gone. Upload it again.")
            yield zlib.decompress(opened)

    async def _piece(self, tenant_id: str, id_: str, place: int) -> bytes | None:
        key = batch_file(tenant_id, id_, place)
        sealed = await self._ask("GET", key)
        try:
            return self._sealer.open_bytes(sealed, key) if sealed is not None else None
        except SealError:
            return None  # The secret that it was sealed with is not among ours any more.

    async def remove(self, tenant_id: str, id_: str) -> bool:
        """Whether it was there."""
        there = bool(await self._ask("DEL", batch_file(tenant_id, id_)))
        place = 1
        while await self._ask("DEL", batch_file(tenant_id, id_, place)):
            place += 1
        await _told(self._room.free(tenant_id, id_))
        return there

    async def _ask(self, command: str, key: str, *parts: Part) -> Any:
        return await _told(self._reach.ask(command, key, *parts))

    def close(self) -> None:
        self._reach.close()


async def _told(asked: Awaitable[Any]) -> Any:
    try:
        return await asked
    except ValkeyError as error:
        raise BatchesUnavailable from error
