"""Rate limits that are exact over all workers and nodes.

Mutable state shared between calls, one of the two places that have any (the other is
``health``): the batch being gathered and the calls in flight to Valkey. The counters
themselves live in Valkey.

All checks asked for in one turn of the event loop, or while enough calls are on their
way, travel in one script call. Checks of the same limits are merged: n are wanted, the
script says how many it grants. A call under several limits passes all of them or
consumes none.

A counter never grants more than ``limit`` in any ``window`` seconds. It keeps 60 slots a
window, by Valkey's own clock, so a used unit comes free up to 1/60 window late and never
early. A clock that jumps backwards grants less, not more.

Where Valkey is gone or takes longer than 0.25 s, limits are not enforced: calls pass at
once while the connection is tried again every half second.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from hashlib import sha1

from msgspec import Struct

from contract.keys import limit_counter
from proxy.valkey import Connection, Part, ValkeyError, connect

logger = logging.getLogger(__name__)

TIMEOUT = 0.25
RETRY_SECONDS = 0.5
IN_FLIGHT = 2
"""Calls on their way at once. Checks that come meanwhile are gathered for the next."""

_SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local reply, counters = {}, {}
local function counter(key, limit, window)
  local c = counters[key]
  if c then return c end
  local width = window * 1000000 / 60
  local slot = math.floor(now / width)
  local state = redis.call('HMGET', key, 'n', 'f')
  local n, first = tonumber(state[1]) or 0, tonumber(state[2]) or slot
  if first < slot - 60 then
    if first < slot - 180 then
      redis.call('DEL', key)
      n, first = 0, slot
    else
      local old = {}
      for s = first, slot - 61 do old[#old + 1] = s end
      local counts = redis.call('HMGET', key, unpack(old))
      for i = 1, #old do n = n - (tonumber(counts[i]) or 0) end
      redis.call('HDEL', key, unpack(old))
      first = slot - 60
      redis.call('HSET', key, 'n', n, 'f', first)
    end
  end
  slot = math.max(slot, first)
  c = {n = n, first = first, slot = slot, width = width, taken = 0, window = window}
  counters[key] = c
  return c
end
local function wait(key, c)
  local slots = {}
  for s = c.first, math.max(c.slot, c.first + 120) do slots[#slots + 1] = s end
  local counts = redis.call('HMGET', key, unpack(slots))
  for i = 1, #slots do
    if tonumber(counts[i]) then return math.ceil((slots[i] + 61) * c.width - now) end
  end
  return math.ceil(c.width)
end
local a = 1
while a <= #ARGV do
  local wanted, parts = tonumber(ARGV[a]), tonumber(ARGV[a + 1])
  a = a + 2
  local granted, tight, used = wanted, 0, {}
  for p = 1, parts do
    local key, limit = KEYS[tonumber(ARGV[a])], tonumber(ARGV[a + 1])
    local c = counter(key, limit, tonumber(ARGV[a + 2]))
    a = a + 3
    used[p] = {key, c, limit}
    local free = math.max(0, limit - c.n - c.taken)
    if free < granted then granted, tight = free, p end
  end
  local group = {granted, tight, 0}
  for p = 1, parts do
    local c = used[p][2]
    c.taken = c.taken + granted
    group[p + 3] = math.max(0, used[p][3] - c.n - c.taken)
  end
  if granted < wanted then
    local key, c = used[tight][1], used[tight][2]
    if c.n == 0 or granted > 0 then group[3] = math.ceil(c.width * 61) end
    if c.n > 0 then group[3] = wait(key, c) end
  end
  reply[#reply + 1] = group
end
for key, c in pairs(counters) do
  if c.taken > 0 then
    redis.call('HINCRBY', key, 'n', c.taken)
    if redis.call('HINCRBY', key, c.slot, c.taken) == c.taken then
      redis.call('HSETNX', key, 'f', c.first)
      redis.call('PEXPIRE', key, math.ceil(c.width * 62 / 1000))
    end
  end
end
return reply
"""
_SCRIPT_SHA = sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()


class Limit(Struct, frozen=True):
    """``key`` names the counter, ``window`` is in seconds."""

    key: str
    limit: int
    window: int


class Limits:
    """What one call must pass, all or nothing. Compared by identity, so keep and reuse it."""

    __slots__ = ("items",)

    def __init__(self, items: tuple[Limit, ...]) -> None:
        self.items = items


class Verdict(Struct, frozen=True):
    """``remaining`` is per limit, after everything decided in the same batch.

    ``tight`` is the index of the limit that refused; ``wait`` the microseconds until one
    of its units is free.
    """

    allowed: bool
    remaining: list[int]
    tight: int = 0
    wait: int = 0


def limit(tenant_id: str, subject: str, most: int, window: int) -> Limit:
    return Limit(limit_counter(tenant_id, "calls", subject, str(window)), most, window)


Waiters = dict[Limits, list[asyncio.Future[Verdict | None]]]


class Limiter:
    """``start`` it once; ``close`` it at the end."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._batch: Waiters = {}
        self._sent: deque[float] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        return self._connection is not None

    def check(self, limits: Limits) -> asyncio.Future[Verdict | None] | None:
        """Takes one unit of each limit. None, at once or later: limits cannot be enforced now."""
        if self._connection is None:
            return None
        future: asyncio.Future[Verdict | None] = self._loop.create_future()
        if not self._batch and len(self._sent) < IN_FLIGHT:
            self._loop.call_soon(self._flush)
        waiting = self._batch.get(limits)
        if waiting is None:
            self._batch[limits] = [future]
        else:
            waiting.append(future)
        return future

    def _flush(self) -> None:
        batch, self._batch = self._batch, {}
        connection = self._connection
        if not batch:
            return
        if connection is None:
            _settle_all(batch)
            return
        keys: dict[str, int] = {}
        arguments: list[Part] = []
        for limits, waiting in batch.items():
            arguments += (len(waiting), len(limits.items))
            for item in limits.items:
                index = keys.setdefault(item.key, len(keys) + 1)
                arguments += (index, item.limit, item.window)
        call = connection.call("EVALSHA", _SCRIPT_SHA, len(keys), *keys, *arguments)
        self._sent.append(self._loop.time())
        call.add_done_callback(lambda done: self._answered(done, batch))
        if self._watch is None:
            self._watch = self._loop.call_later(TIMEOUT, self._overdue)

    def _answered(self, done: asyncio.Future[list[list[int]]], batch: Waiters) -> None:
        if self._sent:
            self._sent.popleft()
        if self._batch:
            self._loop.call_soon(self._flush)
        error = done.exception()
        if error is not None:
            # Among others NOSCRIPT after a SCRIPT FLUSH: connecting anew loads it.
            _settle_all(batch)
            self._drop(str(error))
            return
        for (granted, tight, wait, *remaining), waiting in zip(
            done.result(), batch.values(), strict=True
        ):
            verdict = Verdict(True, remaining)
            for future in waiting[:granted]:
                if not future.done():
                    future.set_result(verdict)
            if granted < len(waiting):
                refusal = Verdict(False, remaining, tight - 1, wait)
                for future in waiting[granted:]:
                    if not future.done():
                        future.set_result(refusal)

    def _overdue(self) -> None:
        self._watch = None
        if not self._sent:
            return
        left = self._sent[0] + TIMEOUT - self._loop.time()
        if left <= 0:
            self._drop(f"no answer in {TIMEOUT:g} s")
        else:
            self._watch = self._loop.call_later(left, self._overdue)

    def _drop(self, reason: str) -> None:
        """Gives the connection up; every call in flight passes."""
        connection, self._connection = self._connection, None
        if connection is not None:
            logger.warning("Rate limits are not enforced: Valkey is lost (%s).", reason)
            connection.close()
        self._sent.clear()

    # Connecting

    async def start(self) -> None:
        """Connects if that is possible at once, and keeps trying otherwise."""
        await self._connect()
        self._keeper = asyncio.create_task(self._keep())

    async def _connect(self) -> None:
        try:
            connection = await connect(self._url)
            await connection.ask("SCRIPT", "LOAD", _SCRIPT)
        except ValkeyError as error:
            logger.debug("Valkey does not answer: %s", error)
            return
        self._sent.clear()
        self._connection = connection

    async def _keep(self) -> None:
        while True:
            if self._connection is not None:
                await asyncio.wait([self._connection.lost])
                self._drop("connection closed")
            await asyncio.sleep(RETRY_SECONDS)
            await self._connect()
            if self._connection is not None:
                logger.info("Rate limits are enforced again.")

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()


def _settle_all(batch: Waiters) -> None:
    for waiting in batch.values():
        for future in waiting:
            if not future.done():
                future.set_result(None)
