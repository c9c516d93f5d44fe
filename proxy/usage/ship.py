"""From the journal to the stream in Valkey, in batches.

The cursor moves after the reply, so an event is shipped at least once; its id makes it
count once. A primary that has replicas is not believed before one of them has the events too:
it may fail, and the replica take its place without what it had not received. Calls never wait
for any of this: while Valkey is down the journal grows. What workers that are gone have left,
any other ships.
"""

from __future__ import annotations

import asyncio
import logging
from hashlib import sha1
from time import monotonic

from contract.keys import USAGE_STREAM
from proxy.cluster import load
from proxy.usage.journal import Journal
from proxy.usage.orphan import Orphan
from proxy.usage.segment import Segment
from proxy.valkey import Connection, ValkeyError, dial

logger = logging.getLogger(__name__)

BATCH_BYTES = 24 * 1024
"""About 80 events. While Valkey takes a batch it answers no limit, and calls wait for that."""
INTERVAL = 0.2
"""Seconds over which the batches that there are are spread: one after the other they would be
so much work at once that calls wait for them."""
ORPHAN_SECONDS = 5.0
LONGEST_PAUSE = 5.0

COPY_SECONDS = 2.0
"""How long a replica may take."""

# One reply for a whole batch costs a worker a fraction of one for each event. It tells how many
# replicas there are that keep up.
_SCRIPT = """
for i = 1, #ARGV do redis.call('XADD', KEYS[1], '*', 'e', ARGV[i]) end
local _, replicas = string.gsub(redis.call('INFO', 'replication'), 'state=online', '')
return replicas
"""
_COPIED = ("WAIT", 1, int(COPY_SECONDS * 1000))
_SCRIPT_SHA = sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()


class Shipper:
    """One task per worker: its own segments, and those of workers that are gone."""

    def __init__(self, journal: Journal, url: str) -> None:
        self._journal = journal
        self._url = url
        self._connection: Connection | None = None
        self._copied = False
        """It has a replica, or had one while it was connected, or has one by the cluster's map."""
        self._orphans: list[Orphan] = []
        self._looked = -ORPHAN_SECONDS
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        patience = INTERVAL
        while True:
            pause = INTERVAL / max(1.0, self._journal.waiting_bytes / BATCH_BYTES)
            try:
                await self.ship(pause)
                patience = INTERVAL
            except (ValkeyError, OSError) as error:
                pause = patience = min(patience * 2, LONGEST_PAUSE)
                logger.warning("Usage waits in the journal: %s", error)
            except Exception:
                # The outermost boundary of this task: shipping must go on.
                logger.exception("Shipping usage failed.")
                pause = LONGEST_PAUSE
            await asyncio.sleep(pause)

    async def ship(self, pause: float = 0.0) -> None:
        """Ships all there is now, with a pause of so many seconds between two batches of this
        worker's. Raises ValkeyError and OSError.
        """
        journal = self._journal
        for segment in list(journal.waiting):
            await self._ship_segment(segment, pause)
            journal.recycle(segment)
        if journal.open is not None:
            await self._ship_segment(journal.open, pause, journal.open.end)
        if monotonic() - self._looked >= ORPHAN_SECONDS:
            self._looked = monotonic()
            self._orphans += journal.orphans()
        for orphan in list(self._orphans):
            await self._ship_orphan(orphan)
            orphan.delete()
            self._orphans.remove(orphan)

    async def _ship_orphan(self, orphan: Orphan) -> None:
        for segment in orphan.segments:
            await self._ship_segment(segment)
            segment.rest()
        if orphan.lost:
            logger.warning("Calls lost with a worker, and recorded: %d.", len(orphan.lost))
            await self._store(orphan.lost)

    async def _ship_segment(
        self, segment: Segment, pause: float = 0.0, end: int | None = None
    ) -> None:
        """All of it; of one that is still written, what was there before ``end``."""
        while end is None or segment.cursor < end:
            events, cursor = segment.read(BATCH_BYTES)
            if not events:
                return
            await self._store(events)
            segment.advance(cursor)
            if end is None or cursor < end:
                await asyncio.sleep(pause)

    async def _store(self, events: list[bytes]) -> None:
        if self._connection is None or not self._connection.alive:
            found = await load(self._url)
            server = found.server(USAGE_STREAM)
            self._copied = server in found.copied
            self._connection = await dial(server)
            await self._connection.ask("SCRIPT", "LOAD", _SCRIPT)
        connection = self._connection
        try:
            batch = connection.ask("EVALSHA", _SCRIPT_SHA, 1, USAGE_STREAM, *events, seconds=10.0)
            self._copied = await batch > 0 or self._copied
            if self._copied and not await connection.ask(*_COPIED, seconds=2 * COPY_SECONDS):
                raise ValkeyError(f"no replica has taken it within {COPY_SECONDS:g} s")
        except ValkeyError:
            # Connecting anew also loads the script anew, should it have been flushed.
            connection.close()
            raise

    async def close(self, seconds: float = 1.0) -> None:
        """Ships what is left if that is quick; the rest waits for the next worker."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            async with asyncio.timeout(seconds):
                await self.ship()
        except (TimeoutError, ValkeyError, OSError) as error:
            logger.warning("Usage stays in the journal: %s", error)
        if self._connection is not None:
            self._connection.close()
        for orphan in self._orphans:
            orphan.release()
