"""Several tenants' calls, each tenant's at a steady rate, whatever the gateway does.

Reads a job as JSON from standard input: ``port``, ``warmup``, ``seconds``, ``answer`` (base64) and
``tenants``, each with ``request`` (base64), ``rate`` in calls a second and ``connections``. Prints
``go`` and ``stop`` around the measured time, and then for each tenant how many calls were
``answered``, ``refused`` (503), ``wrong``, and ``unsent`` because all connections were busy or had
been told to wait, and the latency of the answered.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections import deque

import uvloop

from bench.load import percentiles

TICK = 0.001
RETRY_AFTER = 1.0
"""What the gateway says; the client on this connection keeps to it."""


class Client(asyncio.Protocol):
    """One connection, and one call on it at a time."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.sent = 0.0
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def send(self) -> None:
        self.sent = time.perf_counter()
        self.transport.write(self.tenant.request)

    def data_received(self, data: bytes) -> None:
        if self.received:
            data = self.received + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self.received = data
            return
        start = data.lower().index(b"content-length: ") + 16
        length = int(data[start : data.index(b"\r\n", start)])
        if len(data) < end + 4 + length:
            self.received = data
            return
        self.received = b""
        self.tenant.take(data[9:12], data[end + 4 :], self)

    def connection_lost(self, error: Exception | None) -> None:
        self.tenant.wrong += 1


class Tenant:
    def __init__(self, job: dict, answer: bytes) -> None:
        self.request = base64.b64decode(job["request"])
        self.interval = 1 / job["rate"]
        self.connections = job["connections"]
        self.answer = answer
        self.idle: deque[Client] = deque()
        self.times: list[float] = []
        self.refused = self.wrong = self.unsent = 0
        self.next = 0.0

    def take(self, status: bytes, body: bytes, client: Client) -> None:
        if status == b"200" and body == self.answer:
            self.times.append(time.perf_counter() - client.sent)
        elif status == b"503":
            self.refused += 1
            asyncio.get_running_loop().call_later(RETRY_AFTER, self.idle.append, client)
            return
        else:
            self.wrong += 1
        self.idle.append(client)

    def send(self, now: float) -> None:
        while self.next <= now:
            self.next += self.interval
            if self.idle:
                self.idle.popleft().send()
            else:
                self.unsent += 1

    def figures(self) -> dict:
        told = percentiles(self.times)
        counts = {"refused": self.refused, "wrong": self.wrong, "unsent": self.unsent}
        return {"answered": told.pop("count"), **counts, **told}


async def main(job: dict) -> list[dict]:
    loop = asyncio.get_running_loop()
    tenants = [Tenant(tenant, base64.b64decode(job["answer"])) for tenant in job["tenants"]]
    for tenant in tenants:
        for _ in range(tenant.connections):
            _, client = await loop.create_connection(
                lambda of=tenant: Client(of), "127.0.0.1", job["port"]
            )
            tenant.idle.append(client)
        await asyncio.sleep(0.0005 * tenant.connections)  # the listener's queue is not endless
    begun = time.perf_counter()
    for tenant in tenants:
        tenant.next = begun
    await _send(tenants, begun + job["warmup"])
    for tenant in tenants:
        tenant.times, tenant.refused, tenant.unsent = [], 0, 0
    print("go", flush=True)
    await _send(tenants, begun + job["warmup"] + job["seconds"])
    print("stop", flush=True)
    return [tenant.figures() for tenant in tenants]


async def _send(tenants: list[Tenant], end: float) -> None:
    while (now := time.perf_counter()) < end:
        for tenant in tenants:
            tenant.send(now)
        await asyncio.sleep(TICK)


if __name__ == "__main__":
    print(json.dumps(uvloop.run(main(json.loads(sys.stdin.readline())))), flush=True)
