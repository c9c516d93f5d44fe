"""A thousand tenants in one worker: memory, time to load, time to a change, cost of a call."""

from __future__ import annotations

import argparse
import http.client
import time
from contextlib import closing
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


def measured(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    with upstream() as upstream_port:
        one = _figures(work / "one", upstream_port, 1, options.seconds)
        many = _figures(work / "many", upstream_port, options.tenants, options.seconds)
    figures: dict[str, Any] = {}
    for name, unit in {
        "start to ready, from Valkey": "s",
        "start to ready, from copies on disk": "s",
        "resident memory once loaded": "MB",
        "resident memory after calls to every tenant": "MB",
        "one tenant's change live, median": "s",
        "one tenant's change live, slowest": "s",
        "CPU of a call": "us",
    }.items():
        figures[f"{name} ({unit}), one tenant"] = one[name]
        figures[f"{name} ({unit}), {options.tenants} tenants"] = many[name]
    ratio = many["CPU of a call"] / one["CPU of a call"]
    return figures | {"CPU of a call, many by one": round(ratio, 3)}


def _figures(work: Path, upstream_port: int, count: int, seconds: float) -> dict[str, Any]:
    work.mkdir()
    figures: dict[str, Any] = {}
    with valkey(work) as url:
        tenants.store(url, (tenants.large(n, upstream_port) for n in range(1, count + 1)))
        for source in ("Valkey", "copies on disk"):
            started = time.perf_counter()
            with worker(url, work / "var") as (port, pid):
                took = time.perf_counter() - started
                figures[f"start to ready, from {source}"] = round(took, 2)
                if source == "Valkey":
                    continue  # The copies are on disk now.
                figures["resident memory once loaded"] = round(resident(pid))
                times = [_change(url, port, upstream_port, 2 + n) for n in range(CHANGES)]
                figures["one tenant's change live, median"] = round(median(times), 3)
                figures["one tenant's change live, slowest"] = round(max(times), 3)
                result, spent = under_load("bench.load", _calls(port, count, seconds), pid)
                figures["CPU of a call"] = round(spent / result["count"] * 1e6, 1)
                figures["resident memory after calls to every tenant"] = round(resident(pid))
        records(url)
    return figures


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
