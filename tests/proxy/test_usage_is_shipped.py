"""Usage events outlive whatever dies between the answer and the stream."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from contract.keys import USAGE_STREAM
from contract.usage import UsageEvent, decode
from proxy.errors import UsageUnrecordable
from proxy.usage.journal import SPARES, Journal
from proxy.usage.segment import HEADER, Segment
from proxy.usage.ship import BATCH_BYTES, INTERVAL, Shipper
from proxy.usage.slots import BLOCK

ROOT = Path(__file__).resolve().parents[2]


def event(number: int, tenant: str = "t") -> UsageEvent:
    return UsageEvent(f"event-{number}", number, tenant, "GET", "/x", 200)


def ids(segments: list[Segment]) -> list[str]:
    return [decode(item).id for segment in segments for item in segment.read(1 << 20)[0]]


def written(journal: Journal) -> list[Segment]:
    return [*journal.waiting, *([journal.open] if journal.open else [])]


def adopted(directory: Path) -> list[str]:
    """Ids of what the workers that are gone have left, the lost calls last."""
    found = Journal(directory, SMALL).orphans()
    lost = [decode(item).id for orphan in found for item in orphan.lost]
    return ids([segment for orphan in found for segment in orphan.segments]) + lost


def outline(number: int) -> tuple[str | int, ...]:
    return (f"event-{number}", number, "t", "GET", "/x", 0, "", "api")


SMALL = 8400
"""A segment with room for two of the largest records, or for many of these tests' small ones."""


# The journal


def test_segments_rotate_by_size_and_keep_their_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path, SMALL)
    for number in range(1000):
        journal.append(event(number))
    assert len(journal.waiting) > 3
    assert ids(written(journal)) == [f"event-{number}" for number in range(1000)]
    journal.close()
    assert adopted(tmp_path) == [f"event-{number}" for number in range(1000)]


def test_a_segment_that_was_shipped_is_used_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path, SMALL)
    numbers = iter(range(10_000))
    for _ in range(20):
        while not journal.waiting:
            journal.append(event(next(numbers)))
        assert ids(journal.waiting)
        journal.recycle(journal.waiting[0])
    assert len(list(tmp_path.glob("*.usage"))) <= 1 + SPARES
    assert ids(written(journal)) == [f"event-{next(numbers) - 1}"]


def test_of_a_segment_in_its_second_use_only_what_is_new_is_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path, SMALL)
    number = 0
    while not journal.waiting:
        journal.append(msgspec.structs.replace(event(number), path="/x" * (number % 7)))
        number += 1
    segment = journal.waiting[0]
    journal.recycle(segment)
    while journal.open is not segment:
        journal.append(event(number))
        number += 1
    for number in range(2000, 2010):
        journal.append(event(number))
        assert ids([segment])[-1] == f"event-{number}"
    journal.close()
    assert adopted(tmp_path)[-10:] == [f"event-{number}" for number in range(2000, 2010)]


def test_what_a_living_worker_wrote_is_nobody_elses(tmp_path: Path) -> None:
    first, second = Journal(tmp_path, SMALL), Journal(tmp_path, SMALL)
    first.append(event(1))
    assert second.orphans() == []
    first.close()
    assert adopted(tmp_path) == ["event-1"]


def test_a_record_that_was_cut_off_is_not_read_and_what_is_before_it_is(tmp_path: Path) -> None:
    journal = Journal(tmp_path, SMALL)
    journal.append(event(1))
    segment = journal.open
    assert segment is not None
    segment.mapping.bytes[segment.end + 4 : segment.end + 14] = b"no length!"
    journal.close()
    assert adopted(tmp_path) == ["event-1"]


def test_a_length_that_cannot_be_ends_its_segment(tmp_path: Path, caplog: Any) -> None:
    journal = Journal(tmp_path, SMALL)
    journal.append(event(1))
    assert journal.open is not None
    journal.open.mapping.words[journal.open.end // 4] = 1 << 30
    assert ids(written(journal)) == ["event-1"]
    assert "is damaged" in caplog.text


def test_the_largest_event_is_recorded_in_brief(tmp_path: Path) -> None:
    journal = Journal(tmp_path, SMALL)
    slot = journal.begin((*outline(1)[:4], "\U0001f600" * 2000, 0, ""))
    journal.append(msgspec.structs.replace(event(1), path="\U0001f600" * 2000), slot)
    assert ids(written(journal)) == ["event-1"]


# Calls under way


def test_calls_that_were_upstream_when_their_worker_died_are_recorded_as_lost(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path, SMALL)
    slots = [journal.begin(outline(number)) for number in range(3)]
    journal.append(event(1), slots[1])
    journal.close()
    (orphan,) = Journal(tmp_path, SMALL).orphans()
    assert ids(orphan.segments) == ["event-1"]
    lost = [decode(item) for item in orphan.lost]
    assert sorted(one.id for one in lost) == ["event-0", "event-2"]
    assert {(one.status, one.error_code, one.api_id, one.attempts) for one in lost} == {
        (500, "gateway_lost", "api", None)
    }


def test_a_death_between_record_and_slot_leaves_one_record(tmp_path: Path) -> None:
    journal = Journal(tmp_path, SMALL)
    journal.begin(outline(1))
    journal.append(event(1))
    journal.close()
    assert adopted(tmp_path) == ["event-1"]


def test_a_death_before_the_record_is_whole_leaves_a_lost_call(tmp_path: Path) -> None:
    journal = Journal(tmp_path, SMALL)
    slot = journal.begin(outline(1))
    journal.append(event(1), slot)
    journal.begin(outline(1))
    assert journal.open is not None
    journal.open.mapping.words[HEADER // 4] = 0
    journal.close()
    (orphan,) = Journal(tmp_path, SMALL).orphans()
    assert (ids(orphan.segments), [decode(one).id for one in orphan.lost]) == ([], ["event-1"])


def test_there_are_slots_for_as_many_calls_as_come(tmp_path: Path) -> None:
    journal = Journal(tmp_path, SMALL)
    slots = [journal.begin(outline(number)) for number in range(1500)]
    for number in range(0, 1500, 2):
        journal.append(event(number), slots[number])
    journal.close()
    assert sorted(adopted(tmp_path)) == sorted(f"event-{number}" for number in range(1500))


# No room


def full(tmp_path: Path, segments: int) -> Journal:
    """A journal that is at its limit."""
    return Journal(tmp_path, SMALL, BLOCK + segments * SMALL)


def fill(journal: Journal) -> None:
    for number in range(1000):
        journal.append(event(number), journal.begin(outline(number)))


def test_without_room_calls_are_refused_and_those_under_way_recorded(tmp_path: Path) -> None:
    journal = full(tmp_path, 4)
    taken = [journal.begin(outline(number)) for number in range(4 * 2)]
    with pytest.raises(UsageUnrecordable):
        journal.begin(outline(8))
    for number, slot in enumerate(taken):
        large = msgspec.structs.replace(event(number), path="x" * 4000)
        journal.append(large, slot)
    assert ids(written(journal)) == [f"event-{number}" for number in range(len(taken))]
    assert journal.refused == 1


def test_refusals_never_take_the_room_of_calls_under_way(tmp_path: Path) -> None:
    journal = full(tmp_path, 3)
    slot = journal.begin(outline(-1))
    large = msgspec.structs.replace(event(0), path="x" * 4000)
    for _ in range(50):
        journal.append(large)
    assert 0 < journal.unrecorded < 50
    journal.append(large, slot)
    assert len(ids(written(journal))) == 50 - journal.unrecorded + 1


@pytest.mark.parametrize("freed", ["shipped", "disk"])
def test_calls_are_taken_again_once_there_is_room(
    tmp_path: Path, freed: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr("proxy.usage.journal.PROBE_SECONDS", 0.0)
    journal = full(tmp_path, 3)
    with pytest.raises(UsageUnrecordable):
        fill(journal)
    if freed == "shipped":
        journal.recycle(journal.waiting[0])
    else:
        journal._most += SMALL
    journal.append(event(-1), journal.begin(outline(-1)))
    assert "event--1" in ids(written(journal))


def test_a_worker_may_start_on_a_full_disk(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("proxy.usage.journal.PROBE_SECONDS", 0.0)
    journal = Journal(tmp_path, SMALL, 0)
    with pytest.raises(UsageUnrecordable):
        journal.begin(outline(1))
    journal.append(event(1))
    assert (journal.refused, journal.unrecorded) == (1, 1)
    journal._most = 1 << 30
    journal.append(event(2), journal.begin(outline(2)))
    assert ids(written(journal)) == ["event-2"]


# Shipping


async def test_nothing_is_left_once_all_is_shipped(own_valkey: Any, tmp_path: Path) -> None:
    journal = Journal(tmp_path, SMALL)
    for number in range(1000):
        journal.append(event(number))
    shipper = Shipper(journal, own_valkey.url)
    await shipper.ship()
    assert [e.id for e in own_valkey.events("t")] == [f"event-{n}" for n in range(1000)]
    assert (journal.waiting, journal.waiting_bytes) == ([], 0)
    await shipper.close()
    journal.close()
    assert list(tmp_path.iterdir()) == []


async def test_batches_are_spread_over_the_time_until_the_next_look(
    own_valkey: Any, tmp_path: Path
) -> None:
    journal = Journal(tmp_path, 1 << 20)
    while journal.waiting_bytes < 8 * BATCH_BYTES:
        journal.append(event(0))
    shipper = Shipper(journal, own_valkey.url)
    shipper.start()
    waiting, seen = journal.waiting_bytes, []
    async with asyncio.timeout(10):
        while journal.waiting_bytes:
            await asyncio.sleep(0.001)
            if journal.waiting_bytes < waiting:
                waiting = journal.waiting_bytes
                seen.append(asyncio.get_running_loop().time())
    assert len(seen) >= 8
    assert seen[-1] - seen[0] > INTERVAL * 0.75
    await shipper.close()


async def test_what_a_dead_worker_left_is_shipped_and_removed(
    own_valkey: Any, tmp_path: Path
) -> None:
    dead = Journal(tmp_path, SMALL)
    for number in range(1000):
        dead.append(event(number))
    dead.begin(outline(1000))
    dead.close()
    journal = Journal(tmp_path, SMALL)
    shipper = Shipper(journal, own_valkey.url)
    await shipper.ship()
    events = own_valkey.events("t")
    assert [e.id for e in events] == [f"event-{n}" for n in range(1001)]
    assert [e.error_code for e in events[-2:]] == ["", "gateway_lost"]
    assert not list(tmp_path.glob(f"{dead.name}*"))
    await shipper.close()


_DIES_BEFORE_THE_CURSOR = """
import asyncio, os, signal, sys
from pathlib import Path
from contract.usage import UsageEvent
from proxy.usage.journal import Journal
from proxy.usage.segment import Segment
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
