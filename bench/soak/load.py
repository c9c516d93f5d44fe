"""Clients of all kinds, at a steady rate, with every answer judged.

Reads a job as JSON from standard input: ``port``, ``began`` (``time.monotonic`` of the first
version of the moving tenant), ``rate`` in calls a second, ``seconds``, and whether these are the
calls ``filling`` what is remembered. Prints ``go``, at the end ``stop``, and then the
result: ``outcomes`` as lists of kind, status, code and count, ``wrong`` (how many), ``complaints``
(the first of them), and ``late``, the calls that were not made since this process came too late
for them or too many were under way.

A connection carries calls of one kind, as those of real clients do, and one in a hundred is
closed after a call.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter, defaultdict
from itertools import cycle

import httptools
import uvloop

from bench.soak.calls import FILLING, KINDS, LEFT, NONE, Kind, Outcome, turns
from bench.soak.world import CHANGE_SECONDS

TICK = 0.005
MOST_UNDER_WAY = 300
CATCH_UP = 0.02
"""Seconds whose calls are made at once where this process comes late; the others are not made."""
IDLE_SECONDS = 10.0
"""After which a client closes a connection that it does not use."""
PATIENCE = 30.0
"""Seconds after which an answer is held to be missing."""
RENEWED = 101
"""A connection is closed after one in so many calls."""
MOST_COMPLAINTS = 20


class Client(asyncio.Protocol):
    """One connection: a call, its answer, the next call."""

    def __init__(self, run: Run, kind: Kind, call: bytes) -> None:
        self.run = run
        self.kind = kind
        self.call: bytes | None = call
        self.sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        if self.call is not None:
            self.send(self.call)

    def send(self, call: bytes) -> None:
        self.call = call
        self.sent = time.monotonic()
        self.parser = httptools.HttpResponseParser(self)
        self.body: list[bytes] = []
        self.complete = False
        self.transport.write(call)

    def data_received(self, data: bytes) -> None:
        if self.call is None:
            return
        self.parser.feed_data(data)
        if self.complete:
            body = b"".join(self.body)
            status = self.parser.get_status_code()
            self._over((status, _code(body) if status >= 400 else ""), body)
        elif self.body and self.kind.leaves:
            self._over(LEFT, b"")
            self.transport.abort()

    def on_body(self, data: bytes) -> None:
        self.body.append(data)

    def on_message_complete(self) -> None:
        self.complete = True

    def connection_lost(self, error: Exception | None) -> None:
        self.run.closed(self)
        if self.call is None:
            return
        begun = bool(self.body)
        self._over((200, "upstream_broken") if begun else NONE, b"")

    def _over(self, outcome: Outcome, body: bytes) -> None:
        self.call = None
        self.run.over(self, outcome, body)


def _code(body: bytes) -> str:
    try:
        told = json.loads(body)
        return str(told.get("error", told).get("code", ""))
    except (ValueError, AttributeError):
        return ""


class Run:
    def __init__(self, job: dict) -> None:
        self.job = job
        self.order = cycle(turns(FILLING if job["filling"] else KINDS))
        self.numbers: Counter[str] = Counter()
        self.idle: dict[str, list[Client]] = defaultdict(list)
        self.busy: set[Client] = set()
        self.outcomes: Counter[tuple[str, int, str]] = Counter()
        self.wrong = 0
        self.complaints: list[str] = []
        self.late = 0
        self._opening: set[asyncio.Task] = set()

    async def go(self) -> dict:
        print("go", flush=True)
        if self.job["filling"]:
            # As many connections as there will ever be.
            for _ in range(MOST_UNDER_WAY):
                self._call(next(self.order))
        began, made = time.monotonic(), 0
        while (passed := time.monotonic() - began) < self.job["seconds"]:
            due = int(passed * self.job["rate"])
            most = max(1, int(CATCH_UP * self.job["rate"]))
            self.late += max(0, due - made - most)
            for _ in range(min(due - made, most)):
                self._call(next(self.order))
            made = due
            self._tidy()
            await asyncio.sleep(TICK)
        print("stop", flush=True)
        await self._end()
        return {
            "outcomes": [[*outcome, count] for outcome, count in sorted(self.outcomes.items())],
            "wrong": self.wrong,
            "complaints": self.complaints,
            "late": self.late,
        }

    def _call(self, kind: Kind) -> None:
        if len(self.busy) >= MOST_UNDER_WAY:
            self.late += 1
            return
        number = self.numbers[kind.name]
        self.numbers[kind.name] += 1
        version = int((time.monotonic() - self.job["began"]) / CHANGE_SECONDS)
        call = kind.request(number, version)
        idle = self.idle[kind.name]
        if idle:
            client = idle.pop()
            self.busy.add(client)
            client.send(call)
        else:
            task = asyncio.ensure_future(self._open(Client(self, kind, call)))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, client: Client) -> None:
        self.busy.add(client)
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: client, "127.0.0.1", self.job["port"])
        except OSError as error:
            self.busy.discard(client)
            self._complain(f"{client.kind.name}: no connection: {error}")

    def over(self, client: Client, outcome: Outcome, body: bytes) -> None:
        kind = client.kind
        self.busy.discard(client)
        self.outcomes[(kind.name, *outcome)] += 1
        if complaint := kind.judge(outcome, body):
            self._complain(f"{kind.name}: {complaint}")
        if client.transport.is_closing():
            return
        if outcome[0] in (0, 400) or self.outcomes.total() % RENEWED == 0:
            client.transport.close()
        else:
            self.idle[kind.name].append(client)

    def closed(self, client: Client) -> None:
        """By either side."""
        idle = self.idle[client.kind.name]
        if client in idle:
            idle.remove(client)

    def _complain(self, complaint: str) -> None:
        self.wrong += 1
        if len(self.complaints) < MOST_COMPLAINTS:
            self.complaints.append(complaint)

    def _tidy(self) -> None:
        self._give_up(PATIENCE)
        oldest = time.monotonic() - IDLE_SECONDS
        for idle in self.idle.values():
            if idle and idle[0].sent < oldest:
                idle.pop(0).transport.close()

    def _give_up(self, patience: float) -> None:
        oldest = time.monotonic() - patience
        for client in [one for one in self.busy if one.sent and one.sent < oldest]:
            client.transport.abort()

    async def _end(self) -> None:
        """Lets calls under way end, and closes all connections."""
        deadline = time.monotonic() + PATIENCE
        while self.busy and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        self._give_up(0.0)
        for client in [one for idle in self.idle.values() for one in idle]:
            client.transport.close()
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    print(json.dumps(uvloop.run(Run(json.loads(sys.stdin.readline())).go())), flush=True)
