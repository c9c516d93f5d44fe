"""Several tenants' calls, each tenant's at a steady rate, whatever the gateway does, in phases.

Reads a job as JSON from standard input: ``port``, ``answer`` (base64), ``settle`` and ``seconds``
of each phase, ``tenants``, each with ``request`` (base64) and ``connections``, and ``phases``: the
calls a second of each tenant. A phase that is null is a closed loop of a few connections of each
tenant, which shows what the gateway can answer.

Prints ``go`` and ``stop`` around the measured time of each phase, and at the end for each phase
and tenant how many calls were ``answered``, ``refused`` (503), ``wrong``, and ``unsent`` because
all connections were busy or had been told to wait, and the latency of the answered. A refused
connection waits for as long as ``Retry-After`` says.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import sys
import time
from collections import deque

import uvloop

from bench.load import percentiles

TICK = 0.001
BEHIND = 0.005
"""Seconds for which calls that are due are made up for; those due before are not sent."""
CLOSED = 4
"""Connections of each tenant in a closed loop."""


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
        tenant = self.tenant
        if not self.received and tenant.is_right(data):
            tenant.answered(self)
            return
        if self.received:
            data = self.received + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self.received = data
            return
        head, body = data[:end].lower() + b"\r\n", data[end + 4 :]
        if len(body) < int(_field(head, b"content-length")):
            self.received = data
            return
        self.received = b""
        if head[9:12] == b"503":
            tenant.refused += 1
            pause = float(_field(head, b"retry-after"))
            asyncio.get_running_loop().call_later(pause, tenant.idle.append, self)
        elif head[9:12] == b"200" and body == tenant.answer:
            tenant.answered(self)
        else:
            tenant.wrong += 1
            tenant.idle.append(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.tenant.wrong += 1


def _field(head: bytes, name: bytes) -> bytes:
    start = head.index(b"\r\n" + name + b": ") + len(name) + 4
    return head[start : head.index(b"\r\n", start)]


class Tenant:
    def __init__(self, job: dict, answer: bytes) -> None:
        self.request = base64.b64decode(job["request"])
        self.connections = job["connections"]
        self.answer = answer
        self.idle: deque[Client] = deque()
        self.closed = False
        self.interval = self.next = 0.0
        self.clear()

    def clear(self) -> None:
        self.times: list[float] = []
        self.refused = self.wrong = self.unsent = 0

    def is_right(self, data: bytes) -> bool:
        """Whether it is one whole answer of known length, and the right one."""
        return (
            data.startswith(b"HTTP/1.1 200 ")
            and data.endswith(self.answer)
            and data.find(b"\r\n\r\n") + 4 + len(self.answer) == len(data)
        )

    def answered(self, client: Client) -> None:
        self.times.append(time.perf_counter() - client.sent)
        if self.closed:
            client.send()
        else:
            self.idle.append(client)

    def begin(self, rate: float | None, first: float) -> None:
        self.closed = rate is None
        if rate is None:
            for _ in range(CLOSED):
                self.idle.popleft().send()
        else:
            self.interval = 1 / rate
            self.next = first

    def send(self, now: float) -> None:
        behind = int((now - self.next - BEHIND) / self.interval)
        if behind > 0:
            # A pause of this program, which is not to become a burst of calls.
            self.unsent += behind
            self.next += behind * self.interval
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


async def main(job: dict) -> list[list[dict]]:
    loop = asyncio.get_running_loop()
    tenants = [Tenant(tenant, base64.b64decode(job["answer"])) for tenant in job["tenants"]]
    for tenant in tenants:
        for _ in range(tenant.connections):
            _, client = await loop.create_connection(
                lambda of=tenant: Client(of), "127.0.0.1", job["port"]
            )
            tenant.idle.append(client)
        await asyncio.sleep(0.0005 * tenant.connections)  # the listener's queue is not endless
    return [await _phase(tenants, rates, job) for rates in job["phases"]]


async def _phase(tenants: list[Tenant], rates: list[float] | None, job: dict) -> list[dict]:
    begun = time.perf_counter()
    for place, tenant in enumerate(tenants):
        rate = None if rates is None else rates[place]
        # Tenants do not march in step.
        tenant.begin(rate, begun + (place / len(tenants) / rate if rate else 0.0))
    await _send(tenants, begun + job["settle"])
    for tenant in tenants:
        tenant.clear()
    print("go", flush=True)
    await _send(tenants, begun + job["settle"] + job["seconds"])
    print("stop", flush=True)
    return [tenant.figures() for tenant in tenants]


async def _send(tenants: list[Tenant], end: float) -> None:
    while (now := time.perf_counter()) < end:
        for tenant in tenants:
            if not tenant.closed:
                tenant.send(now)
        await asyncio.sleep(TICK)


if __name__ == "__main__":
    gc.disable()  # Nothing here is cyclic, and a pause would be taken for the gateway's.
    print(json.dumps(uvloop.run(main(json.loads(sys.stdin.readline())))), flush=True)
