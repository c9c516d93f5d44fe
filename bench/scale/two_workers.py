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
from bench.subjects.hubpo import records, valkey, wait_until_ready, workers
from bench.subjects.processes import cpu_seconds, upstream


def measured(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    cores = sorted(os.sched_getaffinity(0))[:2]
    (work / "one").mkdir()
    (work / "two").mkdir()
    one = _run(work / "one", cores[:1], options.seconds)
    two = _run(work / "two", cores, options.seconds)
    return {
        "one worker: calls a second": one["rps"],
        "two workers: calls a second": two["rps"],
        "speed-up of the whole": round(two["rps"] / one["rps"], 2),
        "one worker: us of CPU a call": one["us"],
        "two workers: us of CPU a call": two["us"],
        "speed-up by CPU time of the workers": round(2 * one["us"] / two["us"], 2),
        "share of each worker": two["shares"],
    }


def _run(work: Path, cores: list[int], seconds: float) -> dict[str, Any]:
    with ExitStack() as stack:
        ports = [stack.enter_context(upstream(core)) for core in cores]
        url = stack.enter_context(valkey(work, core=cores[0] if len(cores) == 1 else None))
        tenants.store(url, [tenants.small(*ports)])
        port, running = stack.enter_context(workers(url, work / "var", cores))
        for number, worker in enumerate(running):
            wait_until_ready(port, worker, work / "var" / f"worker-{number}.log")
        call = job(port, [REST_GET.request(port)], REST_GET.answer) | {"seconds": seconds}
        loads = [Load("bench.load", call, core) for core in cores]
        for load in loads:
            load.await_start()
        before = [cpu_seconds(worker.pid) for worker in running]
        for load in loads:
            load.await_end()
        spent = [cpu_seconds(w.pid) - b for w, b in zip(running, before, strict=True)]
        results = [load.result() for load in loads]
        records(url)
    count = sum(result["count"] for result in results)
    return {
        "rps": round(sum(result["count"] / result["seconds"] for result in results)),
        "us": round(sum(spent) / count * 1e6, 1),
        "shares": [round(one / sum(spent), 2) for one in spent],
    }
