"""Two workers against one, where load and upstream need a core as well.

The unit is a core with everything on it: a worker, an upstream and a load generator that calls
this worker. First one core runs one such unit while the other idles, then each of two cores runs
one, with one Valkey, one tenant and one directory between them. Twice the calls would be perfect;
what is missing is what the workers cost each other. The CPU time of a call in the workers tells
the same without what it takes to make the load.
"""

from __future__ import annotations

import argparse
import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import tenants
from bench.cases import REST_GET
from bench.measure import Load, job
from bench.subjects.hubpo import valkey, worker
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
        upstreams = [stack.enter_context(upstream(core)) for core in cores]
        url = stack.enter_context(valkey(work, core=cores[0] if len(cores) == 1 else None))
        tenants.store(url, [tenants.small(*upstreams)])
        started = [stack.enter_context(worker(url, work / "var", core)) for core in cores]
        loads = []
        for place, (core, (port, _)) in enumerate(zip(cores, started, strict=True)):
            case = replace(REST_GET, path=f"{tenants.rest_path(place)}/item")
            call = job(port, [case.request(port)], case.answer) | {"seconds": seconds}
            loads.append(Load("bench.load", call, core))
        pids = [pid for _, pid in started]
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
