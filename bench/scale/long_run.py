"""The memory of a worker at rest, and how it changes over a million calls."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bench import tenants
from bench.cases import REST_GET
from bench.measure import job, under_load
from bench.subjects.hubpo import records, valkey, worker
from bench.subjects.processes import resident, upstream

STEPS = 10


def measured(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    step = options.calls // STEPS
    with upstream() as upstream_port, valkey(work) as url:
        tenants.store(url, [tenants.small(upstream_port)])
        with worker(url, work / "var") as (port, pid):
            figures: dict[str, Any] = {"MB at rest": round(resident(pid), 1)}
            calls = job(port, [REST_GET.request(port)], REST_GET.answer)
            for number in range(1, STEPS + 1):
                under_load("bench.load", calls | {"calls": step, "warmup": 0}, pid)
                records(url)
                figures[f"MB after {number * step:,} calls"] = round(resident(pid), 1)
    first, last = (figures[f"MB after {n * step:,} calls"] for n in (1, STEPS))
    return figures | {f"MB of growth from call {step:,} on": round(last - first, 1)}
