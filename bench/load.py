"""A closed loop of keep-alive connections that checks every answer.

Reads a job as JSON from standard input, prints ``go`` when the warm-up is over and the
result as JSON at the end of the measured time.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time

import httptools
import uvloop


class Client(asyncio.Protocol):
    """Sends the next call as soon as the last answer is complete."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.body = b""
        self.sent = time.perf_counter()
        self.transport.write(self.run.request)

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.run.errors += 1
            self.transport.close()

    def on_body(self, data: bytes) -> None:
        self.body = self.body + data if self.body else data

    def on_message_complete(self) -> None:
        run = self.run
        if self.parser.get_status_code() != 200 or self.body != run.answer:
            run.errors += 1
            run.first_error = run.first_error or self.body[:300].decode(errors="replace")
        run.times.append(time.perf_counter() - self.sent)
        if not run.stopped:
            self.send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.run.stopped:
            self.run.errors += 1


class Run:
    def __init__(self, job: dict) -> None:
        self.request = base64.b64decode(job["request"])
        self.answer = base64.b64decode(job["answer"])
        self.job = job
        self.times: list[float] = []
        self.errors = 0
        self.first_error = ""
        self.stopped = False

    async def go(self) -> dict:
        loop = asyncio.get_running_loop()
        for _ in range(self.job["connections"]):
            await loop.create_connection(lambda: Client(self), "127.0.0.1", self.job["port"])
        await asyncio.sleep(self.job["warmup"])
        self.times.clear()
        print("go", flush=True)
        started = time.perf_counter()
        await asyncio.sleep(self.job["seconds"])
        elapsed = time.perf_counter() - started
        count, times = len(self.times), sorted(self.times)
        self.stopped = True
        return {
            "count": count,
            "seconds": elapsed,
            "errors": self.errors,
            "first_error": self.first_error,
            "p50_ms": times[count // 2] * 1000 if count else None,
            "p99_ms": times[int(count * 0.99)] * 1000 if count else None,
        }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(Run(json.loads(sys.stdin.readline())).go())), flush=True)
