"""Which account holds a response, as it is known in Valkey.

Ids stay as the provider made them, so what they belong to is kept beside them: under a digest of
the application and the id, so that an id says nothing in any other hands. It is written while the
answer is on its way. State that calls of a worker share: what has not reached Valkey yet, which
this worker finds all the same.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from contract.keys import response_holder
from proxy.ai.stored.errors import ResponsesUnavailable
from proxy.cluster import Reach
from proxy.valkey import Part, ValkeyError

if TYPE_CHECKING:
    from proxy.exchange import Exchange

logger = logging.getLogger(__name__)

KEPT_SECONDS = 30 * 86_400
"""For which OpenAI keeps a response."""
MOST_WAITING = 10_000
"""Of which the oldest is forgotten where Valkey is away for so long."""
AGAIN_SECONDS = 1.0
LATE_SECONDS = 0.05
"""After which what is not there is looked for once more: another worker may be writing it."""


class Holder(Struct, frozen=True, array_like=True):
    """Ids of a deployment and of its provider, which is the account."""

    deployment: str
    provider: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Holder).decode


def name(exchange: Exchange, identifier: str) -> str:
    """Under which it is known who holds the caller's response of that id."""
    tenant, caller = exchange.tenant, exchange.caller
    application = caller.application_id if caller is not None else ""
    said = f"{application}\0{identifier}".encode("utf-8", "surrogatepass")
    whose = blake2b(said, digest_size=16).hexdigest()
    return response_holder(tenant.id if tenant is not None else "", whose)


class Holders:
    """``close`` it at the end. Names are those of ``name``."""

    def __init__(self, url: str) -> None:
        self._reach = Reach(url)
        self._waiting: dict[str, bytes] = {}
        self._writer: asyncio.Task[None] | None = None

    def note(self, name: str, holder: Holder) -> None:
        """Does not wait."""
        if len(self._waiting) >= MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[name] = _encode(holder)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        told = False
        while self._waiting:
            name, value = next(iter(self._waiting.items()))
            try:
                await self._reach.ask("SET", name, value, "EX", KEPT_SECONDS)
            except ValkeyError as error:
                if not told:
                    told = True
                    logger.warning("Who holds responses waits to be noted: %s", error)
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                if self._waiting.get(name) is value:
                    del self._waiting[name]

    async def find(self, name: str) -> Holder | None:
        """Raises ResponsesUnavailable."""
        value = await self._find(name)
        if value is None:
            await asyncio.sleep(LATE_SECONDS)
            value = await self._find(name)
        return None if value is None else _decode(value)

    async def _find(self, name: str) -> bytes | None:
        waiting = self._waiting.get(name)
        found: bytes | None = waiting or await self._ask("GET", name)
        return found

    async def forget(self, name: str) -> None:
        """The response is gone. Where this cannot be noted the provider will say so."""
        self._waiting.pop(name, None)
        with suppress(ResponsesUnavailable):
            await self._ask("DEL", name)

    async def _ask(self, command: str, name: str, *parts: Part) -> Any:
        try:
            return await self._reach.ask(command, name, *parts, seconds=1.0)
        except ValkeyError as error:
            raise ResponsesUnavailable from error

    async def close(self) -> None:
        """What waits is written if Valkey takes it at once."""
        if self._writer is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._writer, AGAIN_SECONDS)
        self._reach.close()
