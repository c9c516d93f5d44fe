"""The way to one Valkey, and the breaker on it.

Slow is worse than gone: where an answer takes longer than ``TIMEOUT``, or several in a row
longer than ``SLOW``, the connection is given up and nothing waits for it any more. It is
tried again in the background, and used again once it has answered quickly a few times.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from proxy.limits.counts import Counts
from proxy.limits.scripts import ALL, Script
from proxy.valkey import Connection, Part, Redirected, ValkeyError, pack

logger = logging.getLogger(__name__)

TIMEOUT = 0.25
SLOW = 0.1
SLOW_ANSWERS = 5
RETRY_SECONDS = 0.5
PROBES = 3


class Link:
    """``run`` it in a task. ``up`` is called when it can be used, ``down`` when it cannot,
    ``moved`` when it says that keys are elsewhere."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        counts: Counts,
        up: Callable[[], None],
        down: Callable[[], None],
        moved: Callable[[], None] = lambda: None,
    ) -> None:
        self._connect = connect
        self._counts = counts
        self._up = up
        self._down = down
        self._moved = moved
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._sent: deque[float] = deque()
        self._slow = 0
        self._watch: asyncio.TimerHandle | None = None
        self._ahead = 0.0
        """Valkey's clock minus ours, in seconds, ours being the one that never jumps."""
        counts.breaker_open += 1

    @property
    def usable(self) -> bool:
        return self._connection is not None

    def now(self) -> float:
        """Unix time by Valkey's clock."""
        return self._ahead + time.monotonic() if self._ahead else time.time()

    def call(
        self, script: Script, keys: dict[str, int], arguments: list[Part]
    ) -> asyncio.Future[Any]:
        """Sends a script call. The future holds its reply or raises ValkeyError.

        ``keys``: each with its place, counted from 1.
        """
        return self.send(pack(("EVALSHA", script.sha, len(keys), *keys, *arguments)))

    def send(self, command: bytes) -> asyncio.Future[Any]:
        """``call`` for a script call that is packed already."""
        connection = self._connection
        if connection is None:
            return self._away()
        call = connection.send(command)
        self._sent.append(self._loop.time())
        call.add_done_callback(self._answered)
        if self._watch is None:
            self._watch = self._loop.call_later(TIMEOUT, self._look, self._loop.time() + TIMEOUT)
        return call

    def ask(self, *parts: Part) -> asyncio.Future[Any]:
        """Any other command, which nobody's call waits for."""
        return self._away() if self._connection is None else self._connection.call(*parts)

    def _away(self) -> asyncio.Future[Any]:
        lost: asyncio.Future[Any] = self._loop.create_future()
        lost.set_exception(ValkeyError("Valkey is away."))
        return lost

    def _answered(self, done: asyncio.Future[Any]) -> None:
        if not self._sent:
            return
        took = self._loop.time() - self._sent.popleft()
        error = done.exception()
        if isinstance(error, Redirected):
            self._moved()
        elif error is not None:
            # Among others NOSCRIPT after a SCRIPT FLUSH: connecting anew loads it.
            self.drop(str(error))
        elif took < SLOW:
            self._slow = 0
        else:
            self._slow += 1
            if self._slow >= SLOW_ANSWERS:
                self.drop(f"{SLOW_ANSWERS} answers took longer than {SLOW:g} s")

    def _look(self, due: float) -> None:
        self._watch = None
        if not self._sent:
            return
        now = self._loop.time()
        left = self._sent[0] + TIMEOUT - now
        if now - due > 0.05 and left <= 0:
            # We were held up ourselves: the answer may be here, unread.
            left = 0.05
        if left <= 0:
            self.drop(f"no answer in {TIMEOUT:g} s")
        else:
            self._watch = self._loop.call_later(left, self._look, now + left)

    def drop(self, reason: str) -> None:
        """Gives the connection up."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self._counts.breaker_open += 1
        self._counts.breaks += 1
        logger.warning("Limits cannot be counted: Valkey is lost (%s).", reason)
        self._sent.clear()
        self._slow = 0
        connection.close()
        self._down()

    async def connect(self) -> bool:
        """Whether it can be used now."""
        try:
            connection = await self._connect()
            try:
                await self._prepare(connection)
            except BaseException:
                connection.close()
                raise
        except ValkeyError as error:
            logger.debug("Valkey does not answer: %s", error)
            return False
        self._connection = connection
        self._counts.breaker_open -= 1
        self._up()
        return True

    async def _prepare(self, connection: Connection) -> None:
        for script in ALL:
            await connection.ask("SCRIPT", "LOAD", script.text)
        for _ in range(PROBES):
            began = self._loop.time()
            seconds, micros = await connection.ask("TIME", seconds=1.0)
            if self._loop.time() - began > SLOW:
                raise ValkeyError("It answers too slowly.")
            self.set_clock(int(seconds), int(micros))

    def set_clock(self, seconds: int, micros: int) -> None:
        self._ahead = seconds + micros / 1e6 - time.monotonic()

    async def run(self) -> None:
        """Connects again whenever the connection was lost."""
        while True:
            if self._connection is not None:
                await asyncio.wait([self._connection.lost])
                self.drop("connection closed")
            await asyncio.sleep(RETRY_SECONDS)
            if await self.connect():
                logger.info("Limits are counted again.")

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if self._watch is not None:
            self._watch.cancel()
        if connection is None:
            self._counts.breaker_open -= 1
        else:
            connection.close()


def heed(done: asyncio.Future[Any]) -> None:
    """For calls whose failure somebody else sees to."""
    done.exception()
