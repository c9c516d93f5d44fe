"""What connections cost that are only open: idle ones, and streams between two chunks."""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path
from typing import Any

from bench import tenants
from bench.answers import Answers
from bench.cases import HELD_STREAM, REST_GET, Case
from bench.measure import job, under_load
from bench.subjects.hubpo import valkey, worker
from bench.subjects.processes import resident, upstream

SETTLE = 1.0
AT_ONCE = 100
"""Connections that are opened together."""


class Caller(asyncio.Protocol):
    """One connection with one call; ``begun`` at its first bytes, ``ended`` with its answer."""

    def __init__(self, request: bytes, answer: bytes) -> None:
        loop = asyncio.get_running_loop()
        self.request = request
        self.answers = Answers(answer)
        self.begun: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[bool] = loop.create_future()
        self.open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        if not self.begun.done():
            self.begun.set_result(None)
        right = self.answers.feed(data)
        if right is not None:
            self.ended.set_result(right)

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        for waiting in (self.begun, self.ended):
            if not waiting.done():
                waiting.set_exception(ConnectionError("The gateway closed the connection."))
                waiting.exception()


def measured(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    with upstream() as upstream_port, valkey(work) as url:
        tenants.store(url, [tenants.small(upstream_port)])
        with worker(url, work / "var") as (port, pid):
            some = job(port, [REST_GET.request(port)], REST_GET.answer) | {"calls": 20_000}
            under_load("bench.load", some, pid)
            idle = asyncio.run(_idle(port, pid, options.idle))
            return idle | asyncio.run(_streams(port, pid, options.streams))


async def _idle(port: int, pid: int, count: int) -> dict[str, Any]:
    before = resident(pid)
    callers = await _open(REST_GET, port, count)
    right = await asyncio.gather(*(caller.ended for caller in callers))
    await asyncio.sleep(SETTLE)
    after, took = resident(pid), await _one_call(port)
    still = sum(caller.open for caller in callers)
    for caller in callers:
        caller.transport.close()
    await asyncio.sleep(SETTLE)
    return {
        "idle connections that were answered right": sum(right),
        "idle connections still open": still,
        "KB for each idle connection": round((after - before) * 1e3 / count, 1),
        "ms for a call beside them": took,
    }


async def _streams(port: int, pid: int, count: int) -> dict[str, Any]:
    before = resident(pid)
    callers = await _open(HELD_STREAM, port, count)
    await asyncio.gather(*(caller.begun for caller in callers))
    unfinished = sum(not caller.ended.done() for caller in callers)
    after, took = resident(pid), await _one_call(port)
    right = await asyncio.gather(*(caller.ended for caller in callers))
    for caller in callers:
        caller.transport.close()
    return {
        "streams open at once": unfinished,
        "streams that came to their end right": sum(right),
        "KB for each open stream": round((after - before) * 1e3 / count, 1),
        "ms for a call beside the streams": took,
    }


async def _open(case: Case, port: int, count: int) -> list[Caller]:
    loop, request = asyncio.get_running_loop(), case.request(port)
    callers: list[Caller] = []
    while len(callers) < count:
        together = min(AT_ONCE, count - len(callers))
        opened = await asyncio.gather(
            *(
                loop.create_connection(lambda: Caller(request, case.answer), "127.0.0.1", port)
                for _ in range(together)
            )
        )
        callers += [caller for _, caller in opened]
        await asyncio.gather(*(caller.begun for _, caller in opened))
    return callers


async def _one_call(port: int) -> float:
    """Milliseconds of a call on a connection of its own, which must be answered right."""
    started = time.perf_counter()
    (caller,) = await _open(REST_GET, port, 1)
    if not await caller.ended:
        raise RuntimeError("A call beside open connections was answered wrong.")
    caller.transport.close()
    return round((time.perf_counter() - started) * 1e3, 1)
