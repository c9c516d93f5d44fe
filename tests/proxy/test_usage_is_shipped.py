"""Usage events outlive whatever dies between the answer and the stream."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from contract.keys import USAGE_STREAM
from contract.usage import UsageEvent, decode
from proxy.usage.journal import Journal
from proxy.usage.ship import Shipper

ROOT = Path(__file__).resolve().parents[2]


def event(number: int, tenant: str = "t") -> UsageEvent:
    return UsageEvent(f"event-{number}", number, tenant, "GET", "/x", 200)


def read_all(journal: Journal) -> list[str]:
    ids = []
    for segment in [*journal.orphans(), *journal.segments]:
        events, _ = segment.read(1 << 20)
        ids += [decode(item).id for item in events]
    return ids


# The journal


def test_segments_rotate_by_size_and_keep_their_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 200)
    for number in range(20):
        journal.append(event(number))
    assert len(journal.segments) > 3
    assert [segment.closed for segment in journal.segments][-1] is False
    assert read_all(journal) == [f"event-{number}" for number in range(20)]


def test_a_living_workers_segment_is_nobody_elses(tmp_path: Path) -> None:
    first, second = Journal(tmp_path, 1 << 20), Journal(tmp_path, 1 << 20)
    first.append(event(1))
    assert second.orphans() == []
    first.close()
    assert read_all(second) == ["event-1"]


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 20])
def test_a_torn_tail_is_dropped_and_what_is_before_it_read(tmp_path: Path, cut: int) -> None:
    journal = Journal(tmp_path, 1 << 20)
    journal.append(event(1))
    whole = journal.segments[0].size
    journal.append(event(2))
    os.truncate(journal.segments[0].path, whole + cut)
    journal.close()
    assert read_all(Journal(tmp_path, 1 << 20)) == ["event-1"]


def test_a_full_disk_loses_the_event_and_not_the_call(tmp_path: Path, caplog: Any) -> None:
    journal = Journal(tmp_path, 1 << 20)
    journal.append(event(1))
    journal.segments[0].append = _no_space  # type: ignore[method-assign]
    journal.append(event(2))
    assert "Usage cannot be recorded" in caplog.text
    assert read_all(journal) == ["event-1"]


def _no_space(record: bytes) -> None:
    raise OSError(28, "No space left on device")


# Shipping


async def test_closed_segments_are_deleted_once_shipped(own_valkey: Any, tmp_path: Path) -> None:
    journal = Journal(tmp_path, 200)
    for number in range(20):
        journal.append(event(number))
    shipper = Shipper(journal, own_valkey.url)
    await shipper.ship()
    assert [e.id for e in own_valkey.events("t")] == [f"event-{n}" for n in range(20)]
    assert len(list(tmp_path.glob("*.usage"))) == 1
    await shipper.close()


_DIES_BEFORE_THE_CURSOR = """
import asyncio, os, signal, sys
from pathlib import Path
from contract.usage import UsageEvent
from proxy.usage.journal import Journal, Segment
from proxy.usage.ship import Shipper

async def main():
    journal = Journal(Path(sys.argv[2]), 1 << 20)
    for number in range(50):
        journal.append(UsageEvent(f"event-{number}", number, "t", "GET", "/x", 200))
    Segment.advance = lambda self, cursor: os.kill(os.getpid(), signal.SIGKILL)
    await Shipper(journal, sys.argv[1]).ship()

asyncio.run(main())
"""


async def test_a_death_between_store_and_cursor_ships_the_same_ids_again(
    own_valkey: Any, tmp_path: Path
) -> None:
    path = f"{ROOT}:{ROOT / 'platform'}"
    command = [sys.executable, "-c", _DIES_BEFORE_THE_CURSOR, own_valkey.url, str(tmp_path)]
    died = subprocess.run(command, env={"PYTHONPATH": path}, capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert own_valkey.client().xlen(USAGE_STREAM) == 50

    shipper = Shipper(Journal(tmp_path, 1 << 20), own_valkey.url)
    await shipper.ship()
    assert own_valkey.client().xlen(USAGE_STREAM) == 100
    assert sorted(e.at for e in own_valkey.events("t")) == list(range(50))
    await shipper.ship()
    assert own_valkey.client().xlen(USAGE_STREAM) == 100
    await shipper.close()


async def test_every_answered_call_is_recorded_though_the_gateway_is_killed(
    own_valkey: Any, start_gateway: Any, sites: Any, upstream: Any
) -> None:
    gateway = start_gateway(own_valkey.url)
    site = sites(gateway, "alice", own_valkey)
    await site.publish()
    own_valkey.stop()
    answers = await asyncio.gather(*(site.call(f"/orders/{n}") for n in range(100)))
    gateway.kill()
    ids = {answer.headers["x-request-id"] for answer in answers}

    own_valkey.start()
    start_gateway(own_valkey.url)
    events = await site.events(100)
    assert ids <= {event.id for event in events}


async def test_the_record_tells_what_happened(alice_site: Any, upstream: Any) -> None:
    before = time.time() * 1e6

    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello")

    upstream.script = script
    response = await alice_site.call("/orders/7?secret=1", "POST", content=b"x" * 1000)
    (told,) = await alice_site.events(1)
    assert told.id == response.headers["x-request-id"]
    assert before <= told.at <= time.time() * 1e6
    assert (told.method, told.path, told.status, told.error_code) == ("POST", "/orders/7", 201, "")
    assert (told.api_id, told.route_id) == ("orders", "all")
    assert (told.application_id, told.key_id, told.plan_id) == ("app", "key", "gold")
    assert (told.request_bytes, told.response_bytes) == (1000, 5)
    assert 90_000 <= told.upstream_us <= told.first_byte_us <= told.total_us < 2_000_000
    assert not told.abandoned


async def test_a_stop_lets_calls_in_flight_finish_and_ships_their_records(
    own_valkey: Any, start_gateway: Any, sites: Any, upstream: Any
) -> None:
    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.7)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    gateway = start_gateway(own_valkey.url)
    site = sites(gateway, "alice", own_valkey)
    await site.publish()
    upstream.script = script
    call = asyncio.create_task(site.call("/orders/7"))
    await asyncio.sleep(0.2)
    gateway.process.terminate()
    response: httpx.Response = await call
    assert response.text == "ok"
    assert await asyncio.to_thread(gateway.process.wait, 6) is not None
    events = await site.events(1)
    assert events[-1].id == response.headers["x-request-id"]
