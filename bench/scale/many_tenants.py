"""A thousand tenants in one worker: memory, time to load, time to a change, cost of a call."""

from __future__ import annotations

import argparse
import http.client
import time
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from bench import tenants
from bench.cases import REST_ANSWER
from bench.measure import job, under_load
from bench.subjects.hubpo import records, valkey, worker
from bench.subjects.processes import resident, upstream

CALLS_OF_TENANT = 20
CHANGES = 20
CONNECTIONS = 1000
WAYS = {"another tenant at each call of a connection": False, "each connection one client's": True}
ROUNDS = 5
"""In which the two are measured in turn, so that both see the same of what else goes on."""


def measured(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    with upstream() as upstream_port, ExitStack() as stack:
        one, many = (
            _Loaded(stack, work / str(count), upstream_port, count)
            for count in (1, options.tenants)
        )
        costs = {
            name: [
                (one.cost(options.seconds, own), many.cost(options.seconds, own))
                for _ in range(ROUNDS)
            ]
            for name, own in WAYS.items()
        }
        for loaded in (one, many):
            loaded.end()
    figures: dict[str, Any] = {}
    for name in one.figures:
        figures[f"{name}, one tenant"] = one.figures[name]
        figures[f"{name}, {options.tenants} tenants"] = many.figures[name]
    for name, pairs in costs.items():
        shown = ", ".join(f"{a:.1f} {b:.1f}" for a, b in pairs)
        figures[f"CPU of a call (us), in turn; {name}"] = shown
        figures[f"many by one, median; {name}"] = round(median(b / a for a, b in pairs), 3)
    return figures


class _Loaded:
    """A worker that has loaded so many tenants, and what was found out about it."""

    def __init__(self, stack: ExitStack, work: Path, upstream_port: int, count: int) -> None:
        work.mkdir()
        self.count = count
        self.url = url = stack.enter_context(valkey(work))
        self.figures: dict[str, Any] = {}
        self._warm = False
        tenants.store(url, (tenants.large(n, upstream_port) for n in range(1, count + 1)))
        started = time.perf_counter()
        with worker(url, work / "var"):
            self._told("start to ready, from Valkey (s)", time.perf_counter() - started, 2)
        started = time.perf_counter()
        self.port, self.pid = stack.enter_context(worker(url, work / "var"))
        self._told("start to ready, from copies on disk (s)", time.perf_counter() - started, 2)
        self._told("resident memory once loaded (MB)", resident(self.pid), 0)
        times = [_change(url, self.port, upstream_port, 2 + n) for n in range(CHANGES)]
        self._told("one tenant's change live, median (s)", median(times), 3)
        self._told("one tenant's change live, slowest (s)", max(times), 3)

    def _told(self, name: str, figure: float, digits: int) -> None:
        self.figures[name] = round(figure, digits)

    def cost(self, seconds: float, own: bool) -> float:
        """Microseconds of CPU that a call takes. ``own``: each connection is one application's."""
        work = _calls(self.port, self.count, seconds)
        if self._warm:
            work["warmup"] = 1.0
        self._warm = True
        if own:
            work |= {"connections": CONNECTIONS, "at_once": 32, "warmup": 2.0}
        result, spent = under_load("bench.load", work, self.pid)
        return spent / result["count"] * 1e6

    def end(self) -> None:
        memory = resident(self.pid)
        self._told("resident memory after calls to every tenant (MB)", memory, 0)
        records(self.url)


def _calls(port: int, count: int, seconds: float) -> dict[str, Any]:
    """Calls that go to all tenants in turn, each to all of its routes and keys."""
    calls = [
        tenants.call_of(number, place)
        for place in range(CALLS_OF_TENANT)
        for number in range(1, count + 1)
    ]
    requests = [
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {key}\r\n"
        "Accept: application/json\r\n\r\n".encode()
        for host, path, key in calls
    ]
    # Long enough for each call to have been made once.
    warmup = max(1.5, len(requests) / 5_000)
    return job(port, requests, REST_ANSWER) | {"seconds": seconds, "warmup": warmup}


def _change(url: str, port: int, upstream_port: int, version: int) -> float:
    """Seconds from the store of a tenant's new snapshot until its calls are answered by it."""
    suspended = "For a moment." if version % 2 == 0 else None
    changed = msgspec.structs.replace(
        tenants.large(1, upstream_port, version=version), suspended=suspended
    )
    host, path, key = tenants.call_of(1, 0)
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        started = time.perf_counter()
        tenants.store(url, [changed])
        while True:
            connection.request("GET", path, headers={"Host": host, "X-API-Key": key})
            response = connection.getresponse()
            response.read()
            if (response.status != 200) == (suspended is not None):
                return time.perf_counter() - started
            if time.perf_counter() - started > 30:
                raise RuntimeError("A change was not live within 30 s.")
