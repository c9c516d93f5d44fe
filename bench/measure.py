"""One subject under one case: starts the load and reads the CPU time from the process table."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

from bench.cases import Case

TICK = os.sysconf("SC_CLK_TCK")
SUBJECT_CORE, LOAD_CORE = 0, (os.cpu_count() or 1) - 1


def pinned(core: int) -> list[str]:
    """The words that start a command on one core."""
    return [sys.executable, "-c", _PIN, str(core)]


_PIN = (
    "import os,sys; os.sched_setaffinity(0,{int(sys.argv[1])}); os.execvp(sys.argv[2],sys.argv[2:])"
)


def _family(pid: int) -> list[int]:
    """The process and all below it."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    below = [int(word) for word in children.read_text().split()] if children.exists() else []
    return [pid] + [one for child in below for one in _family(child)]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and all below it."""
    total = 0
    for one in _family(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def measure(
    case: Case, port: int, pid: int, *, connections: int = 32, seconds: float = 5
) -> dict[str, float | int | None]:
    """``us_per_request`` is CPU time of the subject, ``rps`` what this load reached."""
    job = {
        "port": port,
        "connections": connections,
        "warmup": 1.5,
        "seconds": seconds,
        "request": base64.b64encode(case.request(port)).decode(),
        "answer": base64.b64encode(case.answer).decode(),
    }
    load = subprocess.Popen(
        [*pinned(LOAD_CORE), sys.executable, "-m", "bench.load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert load.stdin
    assert load.stdout
    load.stdin.write(json.dumps(job) + "\n")
    load.stdin.flush()
    if load.stdout.readline().strip() != "go":
        raise RuntimeError("The load generator did not start.")
    before = cpu_seconds(pid)
    line = load.stdout.readline()
    spent = cpu_seconds(pid) - before
    load.wait(10)
    result = json.loads(line)
    if result["errors"] or not result["count"]:
        raise RuntimeError(f"{result['errors']} wrong answers, the first: {result['first_error']}")
    return {
        "us_per_request": round(spent / result["count"] * 1e6, 1),
        "rps": round(result["count"] / result["seconds"]),
        "p50_ms": round(result["p50_ms"], 2),
        "p99_ms": round(result["p99_ms"], 2),
        "errors": result["errors"],
    }
