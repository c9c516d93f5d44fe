"""The whole platform under load, and what dies in it: a short form of ``make faults``."""

from __future__ import annotations

import sys

import pytest

from bench.faults import kinds
from bench.faults.run import Run, under_load

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
    pytest.mark.timeout(240),
]


def everything_dies(run: Run) -> None:
    kinds.poison(run)
    kinds.kill_one_gateway_worker(run)
    kinds.kill_the_celery_worker_in_mid_batch(run)
    kinds.kill_valkey(run)
    kinds.kill_postgresql(run)


def test_the_tables_hold_exactly_what_the_upstream_answered() -> None:
    with under_load() as run:
        row = run.put_to("all of them", everything_dies, 1.0)
    assert row["answered"] > 100
    assert row["records"] == row["answered"]
    assert (row["difference"], row["rollups"]) == (0, 0), row
