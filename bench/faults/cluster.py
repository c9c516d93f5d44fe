"""Faults to a Valkey Cluster of three primaries with a replica each, in a single Valkey's place.

The load's application has limits meanwhile: on calls, and on tokens, which is closed while it
cannot be counted. Whatever is refused, the tokens that the limit has counted in the end must be
those of the answers that the upstream gave.
"""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench.faults.kinds import STANDSTILL
from bench.faults.ledger import tokens
from bench.faults.platform import wait
from bench.faults.run import Run, under_load
from bench.valkey_nodes import MASTERS, Nodes, Single
from contract.keys import USAGE_STREAM, limits_rebuilt

WITHIN = 20.0
"""Seconds until all is normal again."""
ENOUGH = "1000000000"
_DECLARED = {"limits_unavailable"}
"""The only code with which calls may be refused."""

Remark = Callable[[], str]


@contextmanager
def on_a_cluster() -> Iterator[Run]:
    with tempfile.TemporaryDirectory(prefix="hubpo-cluster-", dir="/tmp") as place:
        nodes, broker = Nodes(Path(place), replicas=3), Single(Path(place))
        try:
            nodes.start()
            broker.start()
            with under_load({"REDIS_URL": nodes.url, "BROKER_URL": broker.url}) as run:
                run.nodes, run.within = nodes, WITHIN
                for measure in ("calls", "tokens"):
                    limit = {"measure": measure, "window": "calendar_day", "amount": ENOUGH}
                    run.platform.manage("/limits/", application=run.application, **limit)
                wait(lambda: len(_used(run)) == 2, "the limits are in force")
                _part(run)
                yield run
        finally:
            broker.stop()
            nodes.stop()


def _part(run: Run) -> None:
    """Usage and the tenant's counters are on two nodes, so that each can be lost without the
    other."""
    nodes, counters = run.nodes, _counters(run)
    if nodes.node_of(counters) == nodes.node_of(USAGE_STREAM):
        nodes.migrate(counters, (nodes.node_of(counters) + 1) % MASTERS)


def _counters(run: Run) -> str:
    """The name of one of those that are where the tenant's counters are."""
    (tenant_id,) = run.platform.ask("SELECT id::text FROM tenants_tenant WHERE slug = 'demo'")[0]
    return limits_rebuilt(tenant_id)


def kill_the_primary_of_the_usage(run: Run) -> Remark:
    return _fail_over(run, USAGE_STREAM)


def kill_the_primary_of_the_limits(run: Run) -> Remark:
    return _fail_over(run, _counters(run))


def _fail_over(run: Run, key: str) -> Remark:
    number = run.nodes.node_of(key)
    run.nodes.kill(number)
    run.dead = number
    return partial(_counted, run)


def start_the_dead_one_again(run: Run) -> Remark:
    """It was a primary, and is a replica now."""
    nodes, number = run.nodes, run.dead
    nodes.start_node(number)
    wait(lambda: nodes.copies(number), "it copies what it missed")
    return partial(_counted, run)


def stall_the_primary_of_the_usage(run: Run) -> Remark:
    return _stall(run, USAGE_STREAM)


def stall_the_primary_of_the_limits(run: Run) -> Remark:
    return _stall(run, _counters(run))


def _stall(run: Run, key: str) -> Remark:
    """For longer than it takes to be replaced: it wakes up and believes to be what it was."""
    process = run.nodes.processes[run.nodes.node_of(key)]
    process.send_signal(signal.SIGSTOP)
    try:
        time.sleep(STANDSTILL)
    finally:
        process.send_signal(signal.SIGCONT)
    return partial(_counted, run)


def _counted(run: Run) -> str:
    """Raises AssertionError where a limit counted otherwise, or calls were refused otherwise,
    than is declared."""
    load = run.load
    odd = load.codes.keys() - _DECLARED
    assert not odd, f"calls were refused with {odd}"
    asked = load.ledger.chat + load.ledger.streams
    answered = sum(times * sum(tokens(number)) for number, times in asked.items())
    try:
        wait(lambda: _used(run)["tokens"] == answered, "the limit has counted all", 10)
    except TimeoutError:
        counted = _used(run)["tokens"]
        raise AssertionError(f"{counted} of {answered} tokens were counted") from None
    uncounted = load.ledger.answered - _used(run)["calls"]
    return f"all {answered} tokens counted; {uncounted} calls so far passed uncounted"


def _used(run: Run) -> dict[str, int]:
    """By measure, of the application's own limits."""
    rows = run.platform.look(f"/applications/{run.application}/limits/")
    return {row["measure"]: int(row["used"]) for row in rows if row["set_on"] == "application"}


IN_A_CLUSTER = {
    "cluster: kill -9 of the usage's primary": kill_the_primary_of_the_usage,
    "cluster: it comes back as a replica": start_the_dead_one_again,
    "cluster: kill -9 of the limits' primary": kill_the_primary_of_the_limits,
    "cluster: that one comes back as a replica": start_the_dead_one_again,
    "cluster: stalled primary of the usage": stall_the_primary_of_the_usage,
    "cluster: stalled primary of the limits": stall_the_primary_of_the_limits,
}
