"""What a worker does with more calls than it can answer; ``python -m bench.overload``.

Two questions, each to one worker on a core of its own:

- Past its limit, does it keep the latency of what it accepts? One tenant asks for 0.8, 1.5 and
  2 times what the worker can answer.
- Does one tenant at ten times its share leave the others' latency alone? Ten tenants ask for a
  sixteenth of the capacity each; then one of them asks for ten times that.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import resource
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from bench import tenants
from bench.cases import CASES
from bench.measure import Load, job, under_load
from bench.subjects.hubpo import valkey, worker
from bench.subjects.processes import upstream
from config import env

TENANTS, CONNECTIONS = 10, 2000
SHARE = 1 / 16
CALL = next(case for case in CASES if case.name == "chat-2KB-1KB")
WARMUP = 2.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8, help="measured time of each load")
    parser.add_argument("--slow", action="store_true", help="with a worker that takes longer")
    parser.add_argument("--out", type=Path, help="in place of var/bench-overload.json")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="hubpo-overload-") as work:
        figures = _measured(Path(work), options.seconds, slow=options.slow)
    for name, value in figures.items():
        print(f"{name:<60} {value}")
    out = options.out or env.var_dir() / "bench-overload.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


def _measured(work: Path, seconds: float, *, slow: bool) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    with upstream() as upstream_port, valkey(work) as url:
        made = (tenants.large(n, upstream_port, routes=20, api_keys=2) for n in range(1, 11))
        tenants.store(url, made)
        with slowed() if slow else nullcontext(), worker(url, work / "var") as (port, pid):
            requests = [_request(1)]
            result, _ = under_load(
                "bench.load", job(port, requests, CALL.answer) | {"seconds": seconds}, pid
            )
            capacity = result["count"] / result["seconds"]
            figures["capacity, calls/s"] = round(capacity)
            for times in (0.8, 1.5, 2.0):
                (one,) = _run(port, seconds, [(1, times * capacity, CONNECTIONS)])
                figures |= _told(f"one tenant at {times} times the capacity", one, seconds)
            figures |= _fairness(port, seconds, capacity)
    return figures


@contextmanager
def slowed() -> Iterator[None]:
    """A worker that starts in the block takes some times longer for a call, so that it is not the
    core of load and upstream that has too much to do: Python notes where memory is allocated."""
    os.environ["PYTHONTRACEMALLOC"] = "1"
    try:
        yield
    finally:
        del os.environ["PYTHONTRACEMALLOC"]


def _fairness(port: int, seconds: float, capacity: float) -> dict[str, Any]:
    share = SHARE * capacity
    others = [(number, share, 32) for number in range(2, TENANTS + 1)]
    figures: dict[str, Any] = {}
    worst = []
    for times in (1, 10):
        heavy, *rest = _run(
            port, seconds, [(1, times * share, 32 if times == 1 else CONNECTIONS), *others]
        )
        name = f"nine tenants, the tenth at {times} times its share"
        figures |= _told(f"{name}: the tenth", heavy, seconds)
        p99 = sorted(one["p99_ms"] or 0 for one in rest)
        worst.append(p99[len(p99) // 2])
        figures[f"{name}: p99, median of the nine, ms"] = round(worst[-1], 2)
        figures[f"{name}: p99, worst of the nine, ms"] = round(p99[-1], 2)
        figures[f"{name}: refused"] = sum(one["refused"] for one in rest)
        figures[f"{name}: wrong or not sent"] = sum(one["wrong"] + one["unsent"] for one in rest)
    return figures | {"the nine's p99, by what it was": round(worst[1] / worst[0], 2)}


def _told(name: str, one: dict[str, Any], seconds: float) -> dict[str, Any]:
    return {
        f"{name}: answered, calls/s": round(one["answered"] / seconds),
        f"{name}: refused, calls/s": round(one["refused"] / seconds),
        f"{name}: not sent, calls/s": round(one["unsent"] / seconds),
        f"{name}: wrong": one["wrong"],
        f"{name}: p50 of the answered, ms": round(one["p50_ms"] or 0, 2),
        f"{name}: p99 of the answered, ms": round(one["p99_ms"] or 0, 2),
    }


def _run(port: int, seconds: float, asked: list[tuple[int, float, int]]) -> list[dict[str, Any]]:
    """``asked``: tenant, calls a second, connections."""
    work = {
        "port": port,
        "warmup": WARMUP,
        "seconds": seconds,
        "answer": base64.b64encode(CALL.answer).decode(),
        "tenants": [
            {
                "request": base64.b64encode(_request(number)).decode(),
                "rate": rate,
                "connections": connections,
            }
            for number, rate, connections in asked
        ],
    }
    load = Load("bench.rates", work)
    load.await_start()
    load.await_end()
    return load.told()


def _request(number: int) -> bytes:
    """To a model, which costs the worker more than the core that makes the load."""
    host, _, key = tenants.call_of(number, 0, routes=20, api_keys=2)
    lines = [f"POST {CALL.path} HTTP/1.1", f"Host: {host}", f"X-API-Key: {key}"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(CALL.body)}", "", ""]
    return "\r\n".join(lines).encode() + CALL.body


if __name__ == "__main__":
    sys.exit(main())
