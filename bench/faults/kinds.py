"""The faults. Each is done under load, and returns when it is over, perhaps with a remark."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.faults.platform import Platform, wait
from bench.faults.run import Run
from contract.keys import USAGE_STREAM
from contract.usage import UsageEvent, encode

GATEWAY, WORKER = "config.gateway", "launch.worker"
VALKEY, POSTGRES = "valkey-server", "bin/postgres"
STANDSTILL = 4.0
"""Seconds."""


def kill_one_gateway_worker(run: Run) -> None:
    run.platform.kill(GATEWAY, 1)


def kill_the_gateway(run: Run) -> None:
    run.platform.kill(GATEWAY)


def kill_the_celery_worker_in_mid_batch(run: Run) -> str:
    """When its transaction has the records and waits to add them to the roll-ups."""
    platform = run.platform
    with platform.database() as connection, connection.transaction():
        connection.execute("LOCK TABLE public.analytics_rollupminute IN EXCLUSIVE MODE")
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
            "AND query LIKE '%%INSERT INTO public.analytics_rollup%%'"
        )
        wait(lambda: platform.ask(waiting)[0][0], "a batch is under way", 20)
        platform.kill(WORKER)
        pending = platform.valkey().xpending(USAGE_STREAM, "analytics")["pending"]
    return f"{pending} entries in the batch"


def kill_valkey(run: Run) -> None:
    run.platform.kill(VALKEY)


def kill_postgresql(run: Run) -> None:
    run.platform.kill(POSTGRES)


def stall_postgresql(run: Run) -> str:
    with run.platform.stopped(POSTGRES):
        time.sleep(STANDSTILL)
    return f"for {STANDSTILL:.0f} s"


def stall_valkey(run: Run) -> str:
    with run.platform.stopped(VALKEY):
        time.sleep(STANDSTILL)
    return f"for {STANDSTILL:.0f} s"


def fill_the_disk(run: Run) -> str:
    """Valkey stands still meanwhile: as long as usage is shipped, no room is needed."""
    load = run.load
    with run.platform.stopped(VALKEY):
        filler = fill(run.platform.var / "journal")
        try:
            wait(lambda: load.codes["usage_unrecordable"], "calls are refused", 30)
            time.sleep(1)
        finally:
            filler.unlink()
    return "Valkey stood still meanwhile"


def kill_the_gateway_on_a_full_disk(run: Run) -> None:
    filler = fill(run.platform.var / "journal")
    try:
        pids = run.platform.kill(GATEWAY)
        wait(lambda: len(run.platform.children(GATEWAY)) == len(pids), "workers are back", 30)
        time.sleep(3)
    finally:
        filler.unlink()


def fill(directory: Path) -> Path:
    """Takes the last byte of the disk that the directory is on."""
    filler = directory / "filler.other"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
    return filler


def repeat_and_reorder(run: Run) -> str:
    """Entries come again, some twice, in any order, among those that come anyway."""
    platform, valkey = run.platform, run.platform.valkey()
    with platform.stopped(WORKER):
        wait(lambda: valkey.xlen(USAGE_STREAM) > 200, "entries wait", 20)
        entries = [fields for _, fields in valkey.xrange(USAGE_STREAM)]
        again = random.Random(1).sample(entries * 2, len(entries) * 2)
        for fields in again:
            valkey.xadd(USAGE_STREAM, fields)
    return f"{len(again)} entries more"


def poison(run: Run) -> str:
    """Entries that are no events, and one that only PostgreSQL refuses, after a few tries."""
    platform, valkey = run.platform, run.platform.valkey()
    refused = "SELECT count(*) FROM public.analytics_poisonentry"
    (before,) = platform.ask(refused)[0]
    event = UsageEvent("f" * 32, time.time_ns() // 1000, "e" * 32, "GET", "/poison", 200)
    bodies = [b"\x00garbage", b"", b"\x93\x01\x02\x03", b"\xc1" * 100_000, encode(event)]
    with _refused_by_postgresql(platform, "path <> '/poison'"):
        for body in bodies:
            valkey.xadd(USAGE_STREAM, {"e": body})
        wait(lambda: platform.ask(refused)[0][0] == before + len(bodies), "it is set aside", 30)
    return f"{len(bodies)} set aside"


@contextmanager
def _refused_by_postgresql(platform: Platform, condition: str) -> Iterator[None]:
    change = "ALTER TABLE public.analytics_usagerecord"
    with platform.database() as connection:
        connection.execute(f"{change} ADD CONSTRAINT odd CHECK ({condition}) NOT VALID")
        try:
            yield
        finally:
            connection.execute(f"{change} DROP CONSTRAINT odd")


def clients_leave_in_mid_stream(run: Run) -> str:
    """Raises AssertionError where the upstream is told later than after a second."""
    ledger = run.load.ledger
    ledger.slow = 0.1
    try:
        left = run.load.do(run.load.leave_streams(20))
        wait(lambda: left.keys() <= ledger.left.keys(), "the upstream is cancelled", 10)
    finally:
        ledger.slow = 0.0
    longest = max(ledger.left[number] - moment for number, moment in left.items())
    assert longest < 1, f"the upstream was cancelled after {longest:.1f} s"
    return f"20 left; upstream cancelled after at most {longest:.2f} s"


def clock_an_hour_forward(run: Run) -> str:
    return _step_the_clock(run, 3600)


def clock_back_again(run: Run) -> str:
    return _step_the_clock(run, -3600)


def _step_the_clock(run: Run, seconds: int) -> str:
    """From where it is, by so much."""
    assert run.clock is not None
    set_clock(run.clock, seconds + struct.unpack("l", run.clock.read_bytes())[0])
    time.sleep(STANDSTILL)
    return "and stays so"


def set_clock(clock: Path, seconds: int) -> None:
    """How far the programs' clock (``clock.c``) is ahead of the machine's. In one write."""
    with clock.open("r+b" if clock.exists() else "wb", buffering=0) as file:
        file.write(struct.pack("l", seconds))


ON_ONE_PLATFORM = {
    "kill -9 of one gateway worker": kill_one_gateway_worker,
    "kill -9 of the whole gateway": kill_the_gateway,
    "kill -9 of the Celery worker in mid-batch": kill_the_celery_worker_in_mid_batch,
    "kill -9 of Valkey": kill_valkey,
    "kill -9 of PostgreSQL": kill_postgresql,
    "stalled PostgreSQL": stall_postgresql,
    "stalled Valkey": stall_valkey,
    "repeated and reordered entries": repeat_and_reorder,
    "poison entries": poison,
    "clients gone in mid-stream": clients_leave_in_mid_stream,
}
ON_A_SMALL_DISK = {
    "full disk under the journal": fill_the_disk,
    "kill -9 of the whole gateway on a full disk": kill_the_gateway_on_a_full_disk,
}
WITH_A_CLOCK = {
    "clock an hour forward": clock_an_hour_forward,
    "clock an hour back": clock_back_again,
    "clock another hour back": clock_back_again,
}
