"""Calls at a steady rate, whatever the gateway does (an open loop), with every answer checked.

Latency counts from the moment at which a call was due, so a gateway that stalls is charged
for the calls that could not be sent meanwhile. The job is that of ``bench.load`` with
``rate``, in calls a second; what is printed is the same, with ``late`` besides: the calls
that were due at the end and had not been sent.

asyncio and epoll count in milliseconds, in which twenty calls would be due at once; ``select``
on the epoll waits for as many microseconds as are left.
"""

from __future__ import annotations

import base64
import ctypes
import json
import socket
import sys
import time
from collections import deque
from select import EPOLLIN, epoll, select

from bench.answers import Answers
from bench.load import percentiles

_PR_SET_TIMERSLACK = 29
_DRAIN = 2.0


class Run:
    def __init__(self, job: dict) -> None:
        self.request = base64.b64decode(job["requests"][0])
        self.interval = 1 / job["rate"]
        self.ready = epoll()
        self.due: dict[int, float] = {}
        """What each busy connection's call is measured from."""
        self.idle: deque[socket.socket] = deque()
        self.connections: dict[int, tuple[socket.socket, Answers]] = {}
        for _ in range(job["connections"]):
            connection = socket.create_connection(("127.0.0.1", job["port"]))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.ready.register(connection, EPOLLIN)
            self.idle.append(connection)
            answers = Answers(base64.b64decode(job["answer"]))
            self.connections[connection.fileno()] = connection, answers
        self.times: list[float] = []
        self.errors = 0
        self.first_error = ""

    def go(self, warmup: float, seconds: float) -> dict:
        self._at_rate(warmup)
        warm, self.times = len(self.times), []
        print("go", flush=True)
        started = time.perf_counter()
        late = self._at_rate(seconds)
        elapsed = time.perf_counter() - started
        print("stop", flush=True)
        deadline = time.perf_counter() + _DRAIN
        while self.due and time.perf_counter() < deadline and not self.errors:
            self._receive(0.1)
        return {
            "total": warm + len(self.times),
            "seconds": elapsed,
            "late": late,
            "errors": self.errors + len(self.due),
            "first_error": self.first_error or "No answer came.",
            **percentiles(self.times),
        }

    def _at_rate(self, seconds: float) -> int:
        """Sends for so long. Returns how many calls were due and not sent."""
        started = time.perf_counter()
        end, due = started + seconds, started
        while not self.errors:
            now = time.perf_counter()
            if now >= end:
                break
            while due <= now and self.idle:
                connection = self.idle.popleft()
                connection.send(self.request)
                self.due[connection.fileno()] = due
                due += self.interval
            self._receive(max(0.0, due - time.perf_counter()) if self.idle else end - now)
        return max(0, int((end - due) / self.interval))

    def _receive(self, seconds: float) -> None:
        if not select([self.ready], [], [], seconds)[0]:
            return
        for number, _ in self.ready.poll(0):
            connection, answers = self.connections[number]
            data = connection.recv(65_536)
            right = answers.feed(data) if data else False
            if right is None:
                continue
            self.times.append(time.perf_counter() - self.due.pop(number))
            self.idle.append(connection)
            if not right:
                self.errors += 1
                self.first_error = data[:300].decode(errors="replace")


if __name__ == "__main__":
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1)
    job = json.loads(sys.stdin.readline())
    print(json.dumps(Run(job).go(job["warmup"], job["seconds"])), flush=True)
