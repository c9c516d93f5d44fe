"""A closed loop of keep-alive connections that checks every answer.

Reads a job as JSON from standard input, prints ``go`` when the warm-up is over, ``stop`` at
the end of the measured time and then the result as JSON. A job holds ``port``,
``connections``, ``requests`` (base64, taken in turn), ``answer`` (base64), ``rewritten``,
``warmup`` and ``spread`` in seconds, and ``seconds`` or ``calls`` as the length of the run. With
``at_once``, no more connections than that have a call under way, the others rest until it is their
turn, and each connection repeats its own request.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import sys
import time
from collections import deque
from itertools import cycle

import uvloop

from bench.answers import Answers


class Client(asyncio.Protocol):
    """Sends the next call as soon as the last answer is complete."""

    def __init__(self, run: Run, request: bytes | None = None) -> None:
        self.run = run
        self.request = request
        """What it repeats; None where the requests are taken in turn."""
        self.answers = Answers(run.answer, rewritten=run.job["rewritten"])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.run.begin(self)

    def send(self) -> None:
        self.sent = time.perf_counter()
        self.transport.write(self.request or next(self.run.requests))

    def data_received(self, data: bytes) -> None:
        right = self.answers.feed(data)
        if right is None:
            return
        run = self.run
        run.times.append(time.perf_counter() - self.sent)
        if not right:
            run.wrong(data)
            self.transport.close()
        elif len(run.times) >= run.calls:
            run.enough.set()
        elif not run.stopped:
            run.go_on(self)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.run.stopped:
            self.run.wrong(b"The connection was closed.")


class Run:
    def __init__(self, job: dict) -> None:
        self.job = job
        self.requests = cycle([base64.b64decode(one) for one in job["requests"]])
        self.answer = base64.b64decode(job["answer"])
        self.calls = sys.maxsize
        self.times: list[float] = []
        self.errors = 0
        self.first_error = ""
        self.stopped = False
        self.enough = asyncio.Event()
        self.at_once = job.get("at_once") or sys.maxsize
        self.begun = 0
        self.resting: deque[Client] = deque()

    def begin(self, client: Client) -> None:
        if self.begun < self.at_once:
            self.begun += 1
            client.send()
        else:
            self.resting.append(client)

    def go_on(self, client: Client) -> None:
        if self.resting:
            self.resting.append(client)
            client = self.resting.popleft()
        client.send()

    def wrong(self, data: bytes) -> None:
        self.errors += 1
        self.first_error = self.first_error or data[:300].decode(errors="replace")
        self.enough.set()

    async def go(self) -> dict:
        clients = await self._connect()
        await self._wait(self.job["warmup"])
        warm, self.times = len(self.times), []
        reads = sum(client.answers.reads for client in clients)
        self.calls = self.job.get("calls") or sys.maxsize
        started = time.perf_counter()
        print("go", flush=True)
        await self._wait(self.job.get("seconds") or 600)
        self.stopped = True
        print("stop", flush=True)
        elapsed = time.perf_counter() - started
        reads = sum(client.answers.reads for client in clients) - reads
        return {
            "total": warm + len(self.times),
            "seconds": elapsed,
            "reads": reads,
            "errors": self.errors,
            "first_error": self.first_error,
            **percentiles(self.times),
        }

    async def _connect(self) -> list[Client]:
        loop = asyncio.get_running_loop()
        count = self.job["connections"]
        clients = []
        for _ in range(count):
            own = next(self.requests) if self.at_once < count else None
            _, client = await loop.create_connection(
                lambda own=own: Client(self, own), "127.0.0.1", self.job["port"]
            )
            clients.append(client)
            await asyncio.sleep(self.job["spread"] / count)
        return clients

    async def _wait(self, seconds: float) -> None:
        """For so long, or until there is an error or there were enough calls."""
        try:
            async with asyncio.timeout(seconds):
                await self.enough.wait()
        except TimeoutError:
            pass


def percentiles(times: list[float]) -> dict:
    """``count`` and the latencies in ms of calls that took so many seconds."""
    ordered, count = sorted(times), len(times)
    return {
        "count": count,
        "p50_ms": ordered[count // 2] * 1000 if count else None,
        "p99_ms": ordered[int(count * 0.99)] * 1000 if count else None,
    }


if __name__ == "__main__":
    gc.disable()  # Nothing here is cyclic, and a pause would be taken for the gateway's.
    print(json.dumps(uvloop.run(Run(json.loads(sys.stdin.readline())).go())), flush=True)
