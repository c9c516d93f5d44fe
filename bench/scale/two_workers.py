"""Two workers against one, where load and upstream need a core as well.

The unit is a core with everything on it: a worker, an upstream and a load generator. First
one core runs one such set while the other idles, then both cores run one each, with the
workers on one socket and one Valkey between them. Twice the calls would be perfect; what is
missing is what the workers cost each other (Valkey, memory, the kernel). The CPU time of a
call in the workers alone tells the same without the load.
"""

from __future__ import annotations

import argparse
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench import tenants
from bench.cases import REST_GET
from bench.measure import Load, job
from bench.subjects.hubpo import valkey, workers
from bench.subjects.processes import cpu_seconds, upstream

CALLS, COST = "calls a second", "us of CPU a call"


def measured(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    cores = sorted(os.sched_getaffinity(0))[:2]
    one = _run(work / "one", cores[:1], options.seconds)
    two = _run(work / "two", cores, options.seconds)
    figures = {f"one worker: {what}": value for what, value in one.items()}
    figures |= {f"two workers: {what}": value for what, value in two.items()}
    return figures | {
        "speed-up of the whole": round(two[CALLS] / one[CALLS], 2),
        "speed-up by CPU time of the workers": round(2 * one[COST] / two[COST], 2),
    }


def _run(work: Path, cores: list[int], seconds: float) -> dict[str, Any]:
    work.mkdir()
    with ExitStack() as stack:
        ports = [stack.enter_context(upstream(core)) for core in cores]
        url = stack.enter_context(valkey(work, core=cores[0] if len(cores) == 1 else None))
        tenants.store(url, [tenants.small(*ports)])
        port, pids = stack.enter_context(workers(url, work / "var", cores))
        call = job(port, [REST_GET.request(port)], REST_GET.answer) | {"seconds": seconds}
        loads = [Load("bench.load", call, core) for core in cores]
        for load in loads:
            load.await_start()
        before = [cpu_seconds(pid) for pid in pids]
        for load in loads:
            load.await_end()
        spent = [cpu_seconds(pid) - b for pid, b in zip(pids, before, strict=True)]
        results = [load.result() for load in loads]
    count = sum(result["count"] for result in results)
    return {
        CALLS: round(sum(result["count"] / result["seconds"] for result in results)),
        COST: round(sum(spent) / count * 1e6, 1),
        "share of each": [round(one / sum(spent), 2) for one in spent],
    }
