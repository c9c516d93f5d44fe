"""One subject under one case: starts the load and reads the CPU time from the process table."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.cases import Case
from bench.subjects import Running, Subject
from bench.subjects.processes import LOAD_CORE, core_ticks, cpu_seconds, pinned

WARMUP = 1.5
BUSY = 0.85
"""From here on a load core is too busy: calls wait for the load and the upstream."""


class Wrong(RuntimeError):
    """An answer, or the lack of one, for which no figure may be quoted."""


def measure(
    subject: Subject, running: Running, case: Case, *, connections: int, seconds: float
) -> dict[str, Any]:
    """``us_per_request`` is CPU time of the subject, ``rps`` what this load reached,
    ``load_core`` how busy the core of load and upstream was (of 1), and ``reads_per_answer``
    in how many pieces an answer arrived. Raises Wrong.
    """
    connections = case.connections or connections
    work = _job(subject, running, case) | {
        "connections": min(connections, subject.connections or connections),
        "spread": case.spread,
        "warmup": max(min(WARMUP, seconds), 1.2 * case.spread),
        "seconds": seconds,
    }
    result, spent = under_load("bench.load", work, running.pid)
    _check_records(running, result["total"])
    each = spent / result["count"] * 1e6
    row = {"us_per_request": round(each, 1), **_figures(result), "connections": work["connections"]}
    if case.chunks > 1:
        row |= {"us_per_chunk": round(each / case.chunks, 2)}
        row |= {"reads_per_answer": round(result["reads"] / result["count"], 1)}
    return row


def steadily(
    subject: Subject,
    running: Running,
    case: Case,
    us_per_request: float,
    share: float,
    *,
    seconds: float,
) -> dict[str, Any]:
    """Latency over 32 connections at a share of what one core can do, which is known by the
    cost of a call in the closed loop. ``us_per_request`` is what one costs here, and
    ``subject_core`` how busy the subject was. Raises Wrong.
    """
    rate = share * 1e6 / us_per_request
    work = _job(subject, running, case) | {
        "rate": rate,
        "warmup": min(WARMUP, seconds),
        "seconds": seconds,
    }
    result, spent = under_load("bench.steady", work, running.pid)
    _check_records(running, result["total"])
    if result["late"] > rate * 0.01 * seconds:
        raise Wrong(f"At {rate:.0f} calls a second {result['late']} could not be sent.")
    return {
        "us_per_request": round(spent / result["count"] * 1e6, 1),
        **_figures(result),
        "rate": round(rate),
        "share": share,
        "subject_core": round(spent / result["seconds"], 2),
        "late": result["late"],
        "behind_p99_ms": round(result["behind_p99_ms"], 2),
    }


def of_rounds(rounds: list[dict], figure: str) -> dict:
    """The round whose figure is in the middle; a latency is shown with those of all rounds and
    with a ``note`` where the load's core was too busy for it to be quoted.
    """
    row = sorted(rounds, key=lambda row: row[figure])[len(rounds) // 2]
    if "rate" not in row:
        return row
    row = row | {"p99_rounds_ms": [one["p99_ms"] for one in rounds]}
    if row["load_core"] > BUSY:
        row["note"] = f"load core {row['load_core']:.0%} busy: its latency is not to be quoted"
    return row


def refuses_without_key(subject: Subject, running: Running, case: Case) -> bool:
    """Whether the subject's key check is really on."""
    headers = {**subject.headers(running.upstream), "Connection": "close"}
    headers.pop("Authorization", None)
    with closing(socket.create_connection(("127.0.0.1", running.port), 10)) as connection:
        connection.sendall(case.request(running.port, headers, key=False))
        return connection.recv(64).split(b" ", 2)[1] >= b"400"


def job(port: int, requests: list[bytes], answer: bytes, *, rewritten: bool = False) -> dict:
    """What every load generator needs to know."""
    return {
        "port": port,
        "requests": [base64.b64encode(request).decode() for request in requests],
        "answer": base64.b64encode(answer).decode(),
        "rewritten": rewritten,
        "connections": 32,
        "spread": 0.0,
        "warmup": WARMUP,
    }


def _job(subject: Subject, running: Running, case: Case) -> dict[str, Any]:
    headers = subject.headers(running.upstream) | (subject.translating if case.translated else {})
    rewritten = subject.rewrites or case.translated
    requests = case.requests(running.port, headers)
    return job(running.port, requests, case.answer, rewritten=rewritten)


class Load:
    """A load generator in a process of its own, from its start to its result."""

    def __init__(self, module: str, job: dict[str, Any], core: int | None = LOAD_CORE) -> None:
        self._process = subprocess.Popen(
            [*pinned(core), sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        assert self._process.stdin
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.close()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def await_start(self) -> None:
        """Until the warm-up is over."""
        self._await("go")

    def await_end(self) -> None:
        """Until the measured time is over."""
        self._await("stop")

    def result(self) -> dict[str, Any]:
        """What was counted. Raises Wrong where an answer was wrong or none came."""
        result: dict[str, Any] = self.told()
        if result["errors"] or not result["count"]:
            first = " ".join(result["first_error"].split())
            raise Wrong(f"{result['errors']} wrong answers, the first: {first}")
        return result

    def told(self) -> Any:
        """What it said at its end."""
        told = json.loads(self._line())
        self._process.wait(30)
        return told

    def _await(self, wanted: str) -> None:
        if (line := self._line().strip()) != wanted:
            raise Wrong(f"The load generator broke off before it said {wanted}: {line}")

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()


def under_load(module: str, job: dict[str, Any], pid: int) -> tuple[dict[str, Any], float]:
    """What a load generator counted, and the CPU seconds that the process spent meanwhile.
    Raises Wrong.
    """
    load = Load(module, job)
    load.await_start()
    before, busy, ticks = cpu_seconds(pid), *core_ticks(LOAD_CORE)
    load.await_end()
    spent = cpu_seconds(pid) - before
    busy_now, ticks_now = core_ticks(LOAD_CORE)
    core = (busy_now - busy) / max(1, ticks_now - ticks)
    return load.result() | {"load_core": core}, spent


def _figures(result: dict[str, Any]) -> dict[str, Any]:
    return {
        "rps": round(result["count"] / result["seconds"]),
        "p50_ms": round(result["p50_ms"], 2),
        "p99_ms": round(result["p99_ms"], 2),
        "errors": result["errors"],
        "load_core": round(result["load_core"], 2),
    }


def _check_records(running: Running, calls: int) -> None:
    """That each answered call has left its usage record, where the subject keeps them."""
    if running.recorded is None:
        return
    deadline = time.monotonic() + 10
    recorded = running.recorded()
    while recorded < calls and time.monotonic() < deadline:
        time.sleep(0.1)
        recorded += running.recorded()
    if recorded < calls:
        raise Wrong(f"{calls} calls were answered and {recorded} were recorded.")
