"""Usage when the primary that has its stream fails, and the replica did not have all of it."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from valkey_cluster import Cluster

from contract.keys import USAGE_STREAM
from contract.usage import UsageEvent
from proxy.usage.journal import Journal
from proxy.usage.ship import Shipper
from proxy.valkey import ValkeyError


@pytest.fixture
def copied() -> Iterator[Cluster]:
    """Three primaries with a replica each."""
    with tempfile.TemporaryDirectory(prefix="hubpo-t-", dir="/tmp") as directory:
        made = Cluster(Path(directory), replicas=3)
        try:
            made.start()
            yield made
        finally:
            made.stop()


def write(journal: Journal, *numbers: int) -> None:
    for number in numbers:
        journal.append(UsageEvent(f"event-{number}", number, "t", "GET", "/x", 200))


async def shipped(shipper: Shipper, seconds: float) -> float:
    """How long it took."""
    began = time.monotonic()
    while True:
        try:
            await shipper.ship()
        except (ValkeyError, OSError):
            assert time.monotonic() - began < seconds
            await asyncio.sleep(0.1)
        else:
            return time.monotonic() - began


async def test_nothing_is_believed_shipped_that_the_replica_does_not_have(
    copied: Cluster, tmp_path: Path
) -> None:
    journal = Journal(tmp_path, 1 << 16)
    shipper = Shipper(journal, copied.url)
    write(journal, 1, 2)
    await shipped(shipper, 5)
    number = copied.node_of(USAGE_STREAM)
    primary, replica = copied.nodes[number], copied.processes[number + 3]

    replica.send_signal(signal.SIGSTOP)
    primary.execute_command("CLIENT", "KILL", "TYPE", "replica")
    write(journal, 3, 4)
    with pytest.raises(ValkeyError):
        await shipper.ship()
    assert primary.xlen(USAGE_STREAM) == 4
    assert journal.waiting_bytes

    copied.kill(number)
    replica.send_signal(signal.SIGCONT)
    assert await shipped(shipper, 20) < 10
    assert journal.waiting_bytes == 0
    events = {event.id for event in copied.events("t")}
    assert events == {f"event-{number}" for number in (1, 2, 3, 4)}
    await shipper.close()
    journal.close()


async def test_a_replica_that_is_dead_is_not_waited_for(copied: Cluster, tmp_path: Path) -> None:
    journal = Journal(tmp_path, 1 << 16)
    shipper = Shipper(journal, copied.url)
    write(journal, 1)
    await shipped(shipper, 5)
    copied.kill(copied.node_of(USAGE_STREAM) + 3)
    write(journal, 2)
    assert 1 < await shipped(shipper, 20) < 10
    write(journal, 3)
    assert await shipped(shipper, 20) < 1
    events = {event.id for event in copied.events("t")}
    assert events == {"event-1", "event-2", "event-3"}
    await shipper.close()
    journal.close()
