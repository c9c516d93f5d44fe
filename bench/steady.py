"""Calls at a steady rate, whatever the gateway does (an open loop), with every answer checked.

Latency counts from the moment at which a call was due, so a gateway that stalls is charged
for the calls that could not be sent meanwhile. The job is that of ``bench.load`` with
``rate``, in calls a second; what is printed is the same, with ``late`` besides, the calls
that were due at the end and had not been sent, and ``behind_p99_ms``, how long after its time
a call was sent although a connection was idle: that much of the latency is the load's own.

The load shares its core with the upstream, and most of what a call costs at an even rate is
falling asleep and waking up. So it looks for answers and sends what is due once in a tick, a few
calls together: an answer is seen, and a call sent, up to a tick late, for every subject alike.
"""

from __future__ import annotations

import base64
import ctypes
import gc
import json
import socket
import sys
import time
from array import array
from collections import deque
from select import EPOLLIN, epoll

from bench.answers import Answers
from bench.load import percentiles

_PR_SET_TIMERSLACK = 29
_DRAIN = 2.0
_READ = 4096
_TICK = 0.0001
_AT_ONCE = 8
"""Calls that are sent before answers are looked for again."""


class Run:
    def __init__(self, job: dict) -> None:
        self.request = base64.b64decode(job["requests"][0])
        self.interval = 1 / job["rate"]
        self.ready = epoll()
        connections = [_connected(job["port"]) for _ in range(job["connections"])]
        self.connections = len(connections)
        self.idle = deque(one.fileno() for one in connections)
        size = max(self.idle) + 1
        self.sends: list = [None] * size
        self.receives: list = [None] * size
        self.answers: list = [None] * size
        self.known: list[bytes | None] = [None] * size
        """The last answer, if it was right and came in one piece: the same again is right."""
        self.due = array("d", bytes(8 * size))
        """By a connection's number, what its call is measured from."""
        for one in connections:
            self.ready.register(one, EPOLLIN)
            self.sends[one.fileno()] = one.send
            self.receives[one.fileno()] = one.recv
            self.answers[one.fileno()] = Answers(base64.b64decode(job["answer"]))
        self.times = array("d")
        self.behind = array("d")
        self.errors = 0
        self.first_error = ""

    def go(self, warmup: float, seconds: float) -> dict:
        self._at_rate(warmup)
        warm = len(self.times)
        self.times, self.behind = array("d"), array("d")
        print("go", flush=True)
        started = time.perf_counter()
        late = self._at_rate(seconds)
        elapsed = time.perf_counter() - started
        print("stop", flush=True)
        deadline = time.perf_counter() + _DRAIN
        while self._under_way() and time.perf_counter() < deadline and not self.errors:
            time.sleep(_TICK)
            self._receive()
        return {
            "total": warm + len(self.times),
            "seconds": elapsed,
            "late": late,
            "behind_p99_ms": percentiles(self.behind)["p99_ms"],
            "errors": self.errors + self._under_way(),
            "first_error": self.first_error or "No answer came.",
            **percentiles(self.times),
        }

    def _under_way(self) -> int:
        return self.connections - len(self.idle)

    def _at_rate(self, seconds: float) -> int:
        """Sends for so long. Returns how many calls were due and not sent."""
        clock, idle, interval = time.perf_counter, self.idle, self.interval
        now = due = blocked = clock()
        end = now + seconds
        while now < end and not self.errors:
            tick = now + _TICK
            self._receive()
            if not idle:
                blocked = now
            for _ in range(_AT_ONCE):
                if due > now or not idle:
                    break
                number = idle.popleft()
                self.due[number] = due
                self.behind.append(now - max(due, blocked))
                self.sends[number](self.request)
                due += interval
                now = clock()
            if (due > now or not idle) and now < tick:
                time.sleep(tick - now)
            now = clock()
        return max(0, int((end - due) / interval))

    def _receive(self) -> None:
        for number, _ in self.ready.poll(0):
            data = self.receives[number](_READ)
            if data == self.known[number] or self._judge(number, data):
                self.times.append(time.perf_counter() - self.due[number])
                self.idle.append(number)

    def _judge(self, number: int, data: bytes) -> bool:
        """Whether the answer is complete; a wrong one ends the run."""
        answers = self.answers[number]
        right = answers.feed(data) if data else False
        self.known[number] = data if right and answers.is_plain(data) else None
        if right is False:
            self.errors += 1
            self.first_error = data[:300].decode(errors="replace")
        return right is not None


def _connected(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


if __name__ == "__main__":
    gc.disable()  # Nothing here is cyclic, and a pause would be taken for the gateway's.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1)
    job = json.loads(sys.stdin.readline())
    print(json.dumps(Run(job).go(job["warmup"], job["seconds"])), flush=True)
