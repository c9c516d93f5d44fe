"""Each call is in the tables exactly once, whatever happens on the way.

The tables are compared whole with what ``usage_stream`` works out by itself.
"""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from django.db import DatabaseError, connection
from django.db.models import Sum
from usage_stream import (
    ALICE,
    CALLS,
    CHARLIE,
    CHAT,
    KINDS,
    LATER,
    MEASURES,
    REST,
    Feed,
    actual_records,
    actual_rollups,
    assert_tables_hold,
    call,
    expected_records,
    micros,
    seconds,
)

from analytics import ingest, tasks
from analytics.ingest import Stream, consume
from analytics.ingest.fold import Sums
from analytics.models import INTERVALS, PoisonEntry, RollupDay, RollupMinute, UsageRecord
from analytics.models.rollups import NOTHING
from config import env
from contract.keys import USAGE_STREAM
from contract.usage import Measured, UsageEvent, encode
from proxy.ai.batches import counted

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def feed(valkey_url: str) -> Iterator[Feed]:
    feed = Feed(valkey_url)
    feed.clear()
    yield feed
    feed.clear()


def reader(feed: Feed, name: str = "here", idle: float = 60.0) -> Stream:
    return Stream(feed.url, name, idle)


def run(feed: Feed, batch: int = 1000, name: str = "here", idle: float = 60.0) -> int:
    return consume(reader(feed, name, idle), batch=batch, now=LATER)


# What the tables hold


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_of_each_kind_has_its_record_and_rollups(feed: Feed, kind: str) -> None:
    feed.send([KINDS[kind]])
    assert run(feed) == 1
    assert_tables_hold([KINDS[kind]])


def test_a_record_is_what_the_gateway_told_field_by_field(feed: Feed) -> None:
    feed.send([KINDS["prompt"]])
    run(feed)
    assert actual_records() == [
        {
            "at": datetime(2026, 3, 14, 15, 9, 37, 535897, tzinfo=UTC),
            "id": UUID(int=12),
            "tenant_id": UUID(int=0xA),
            "method": "POST",
            "path": "/greet",
            "status": 200,
            "error_code": "",
            "api_id": UUID(int=0x102),
            "route_id": None,
            "application_id": UUID(int=0x300),
            "key_id": UUID(int=0x400),
            "plan_id": UUID(int=0x500),
            "request_bytes": 0,
            "response_bytes": 0,
            "total_us": 700_000,
            "upstream_us": 0,
            "first_byte_us": 0,
            "streamed": False,
            "abandoned": False,
            "model_id": UUID(int=0x600),
            "model": "tiny",
            "provider_id": UUID(int=0x700),
            "deployment_id": UUID(int=0x800),
            "prompt_id": UUID(int=0x900),
            "prompt_version": 3,
            "input_tokens": 20,
            "output_tokens": 9,
            "cached_tokens": None,
            "reasoning_tokens": None,
            "cost_micros": 44,
            "currency": "USD",
            "attempts": None,
            "end_user": "",
            "routed": "priority 1 after OpenAI 503",
            "adapted": "dropped logit_bias",
            "cache_write_tokens": 4,
            "saved_micros": 56,
            "measure": "picture",
            "measured": 3,
            "measured_kind": "1024x1536/high",
            "demo": False,
        }
    ]


def test_what_the_version_before_wrote_is_recorded_with_what_it_knew(feed: Feed) -> None:
    fields = msgspec.msgpack.decode(encode(KINDS["rest answered"]))
    feed.put(msgspec.msgpack.encode(fields[:31]))
    assert run(feed) == 1
    record = UsageRecord.objects.get()
    assert (record.id, record.upstream_us) == (UUID(int=1), 1200)
    assert (record.attempts, record.end_user) == (None, "")


def test_attempts_that_cannot_be_are_set_aside(feed: Feed) -> None:
    feed.send([call(1, attempts=-1), call(2, attempts=1 << 15), call(3, attempts=(1 << 15) - 1)])
    assert run(feed) == 1
    assert UsageRecord.objects.get().attempts == 32_767
    assert PoisonEntry.objects.count() == 2


def test_what_was_saved_adds_up_and_may_be_less_than_nothing(feed: Feed) -> None:
    saved = [(1, 30), (2, -50), (3, None), (4, 1 << 48), (5, -1 << 48)]
    feed.send([call(n, seconds(n), **CHAT, cost_micros=7, saved_micros=each) for n, each in saved])
    assert run(feed) == 3
    assert list(UsageRecord.objects.order_by("id").values_list("saved_micros", flat=True)) == [
        30,
        -50,
        None,
    ]
    assert RollupDay.objects.get().saved_micros == -20
    assert PoisonEntry.objects.count() == 2


def test_what_cannot_have_been_measured_is_set_aside(feed: Feed) -> None:
    counts = (-1, 1 << 48, None, (1 << 48) - 1)
    feed.send([call(n, measured=Measured("\t" * 99, count)) for n, count in enumerate(counts, 1)])
    assert run(feed) == 2
    records = UsageRecord.objects.order_by("id").values_list("measure", "measured")
    assert list(records) == [("\t" * 60, None), ("\t" * 60, (1 << 48) - 1)]
    assert PoisonEntry.objects.count() == 2


def test_a_call_that_did_something_and_has_no_cost_is_told_as_unpriced(feed: Feed) -> None:
    measured = {"measured": Measured("picture", 1)}
    feed.send([call(1, **CHAT), call(2, **CHAT, **measured)])
    feed.send([call(3, **CHAT, **measured, cost_micros=0)])
    run(feed)
    assert RollupDay.objects.get().unpriced == 1


def test_a_rollup_is_the_sum_of_its_calls(feed: Feed) -> None:
    feed.send([call(n, seconds(n), **CHAT, total_us=5, input_tokens=n) for n in (1, 2, 3)])
    feed.send([call(4, seconds(4), **CHAT, total_us=0, input_tokens=1, cost_micros=7)])
    run(feed)
    day = RollupDay.objects.get()
    assert (day.start, day.calls) == (datetime(2026, 3, 14, tzinfo=UTC), 4)
    assert (day.input_tokens, day.unpriced, day.cost_micros) == (7, 3, 7)
    assert (day.prompt_id, day.currency, day.status_class) == (NOTHING, "USD", 2)
    assert sum(day.latency) == 4
    assert day.latency[0] == 1


def test_a_known_list_of_calls_gives_exactly_these_tables(feed: Feed) -> None:
    feed.send(CALLS)
    assert run(feed) == len(CALLS)
    assert_tables_hold(CALLS)
    assert feed.left() == (0, 0)
    assert not PoisonEntry.objects.exists()


def test_a_day_is_the_sum_of_its_hours_minutes_and_records(feed: Feed) -> None:
    feed.send(CALLS)
    run(feed, batch=50)
    days = [dict(row) for row in _per_day(INTERVALS["day"])]
    assert [row["day"].day for row in days] == [14, 15]
    for interval in ("hour", "minute"):
        assert [dict(row) for row in _per_day(INTERVALS[interval])] == days
    for row in days:
        records = UsageRecord.objects.filter(at__date=row["day"].date())
        assert records.count() == row["calls"]
        for name in ("total_us", "request_bytes", "input_tokens", "cost_micros"):
            assert (records.aggregate(total=Sum(name))["total"] or 0) == row[name]
    histograms = {
        interval: sum(sum(row["latency"].values()) for row in actual_rollups(interval).values())
        for interval in INTERVALS
    }
    assert set(histograms.values()) == {len(CALLS)}


def _per_day(model: type) -> list:
    from django.db.models.functions import TruncDay

    sums = {name: Sum(name) for name in MEASURES}
    return list(
        model.objects.annotate(day=TruncDay("start")).values("day").annotate(**sums).order_by("day")
    )


def test_odd_characters_are_kept_and_the_impossible_one_replaced(feed: Feed) -> None:
    feed.send([call(1, path="/\\N\t\r\n\u2028\U0001f600\0end", error_code="a\\b")])
    run(feed)
    record = UsageRecord.objects.get()
    assert record.path == "/\\N\t\r\n\u2028\U0001f600\N{REPLACEMENT CHARACTER}end"
    assert record.error_code == "a\\b"


# The same tables, however the entries come


def twice(calls: list[UsageEvent]) -> list[UsageEvent]:
    return [*calls, *calls]


def shuffled(calls: list[UsageEvent]) -> list[UsageEvent]:
    return random.Random(3).sample(calls, len(calls))


@pytest.mark.parametrize("batch", [1000, 7, 1])
@pytest.mark.parametrize("order", [list, twice, shuffled, lambda calls: shuffled(twice(calls))])
def test_entries_may_come_twice_late_and_in_any_order(
    feed: Feed, order: Callable[[list[UsageEvent]], list[UsageEvent]], batch: int
) -> None:
    feed.send(order(CALLS))
    assert run(feed, batch) == len(CALLS)
    assert_tables_hold(CALLS)
    assert feed.left() == (0, 0)


def test_what_is_shipped_again_much_later_is_not_counted_again(feed: Feed) -> None:
    feed.send(CALLS)
    run(feed)
    feed.send([*CALLS[::2], call(999, seconds(5))])
    assert run(feed) == 1
    assert_tables_hold([*CALLS, call(999, seconds(5))])


def test_a_batch_that_several_gateways_record_is_counted_once(feed: Feed) -> None:
    """They were asked at different paths, and by different keys."""
    one = msgspec.structs.replace(
        call(1, seconds(5)),
        id=counted.record_id(ALICE, "provider", "batch_1"),
        method="BATCH",
        path="/v1/batches/one",
        key_id="",
        attempts=0,
    )
    other = msgspec.structs.replace(one, path="/v1/files/two/content")
    feed.send([one])
    assert run(feed) == 1
    feed.send([other, call(2, seconds(5)), other])
    assert run(feed) == 1
    assert_tables_hold([one, call(2, seconds(5))])


def test_two_consumers_share_the_work(feed: Feed) -> None:
    feed.send(shuffled(twice(CALLS)))
    new = _at_once(
        *[lambda name=name: run(feed, batch=5, name=name) for name in ("one", "two", "three")]
    )
    assert sum(new) == len(CALLS)
    assert_tables_hold(CALLS)
    assert feed.left() == (0, 0)


def test_two_consumers_with_the_same_entries_count_them_once(feed: Feed) -> None:
    """One took over what the other, which was only slow, had read and still finishes."""
    for _ in range(5):
        feed.send(shuffled(CALLS))
        reader(feed, "slow").read(1000)
        names = ("slow", "quick")
        _at_once(*[lambda name=name: run(feed, batch=200, name=name, idle=0) for name in names])
    assert_tables_hold(CALLS)
    assert feed.left() == (0, 0)


def _at_once(*jobs: Callable[[], int]) -> list[int]:
    results, barrier = [], threading.Barrier(len(jobs))

    def work(job: Callable[[], int]) -> None:
        try:
            barrier.wait()
            results.append(job())
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[job]) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == len(jobs)
    return results


# Whoever dies, wherever

_DYING = """
import os, signal, sys
from datetime import datetime
import django
django.setup()
from analytics import ingest
from analytics.ingest import store, stream
modules = {"store": sys.modules["analytics.ingest.store"], "stream": stream.Stream}

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def dying_after(function):
    return lambda *given: (function(*given), die())

owner, name, when = sys.argv[1:4]
real = getattr(modules[owner], name)
setattr(modules[owner], name, die if when == "before" else dying_after(real))
ingest.consume(
    stream.Stream(sys.argv[4], "dying"), batch=40, now=datetime.fromisoformat(sys.argv[5])
)
"""

POINTS = {
    "with records, before roll-ups": ("store", "add_rollups", "before"),
    "with roll-ups, before the commit": ("store", "add_rollups", "after"),
    "after the commit, before the acknowledgement": ("stream", "finish", "before"),
    "after the acknowledgement": ("stream", "finish", "after"),
}


@pytest.mark.parametrize("point", POINTS)
def test_an_ingester_may_be_killed_anywhere(feed: Feed, point: str, valkey_url: str) -> None:
    feed.send(CALLS)
    database = f"postgresql://postgres@/{connection.settings_dict['NAME']}?host={env.run_dir()}/pg"
    for _ in range(2):
        killed = subprocess.run(
            [sys.executable, "-c", _DYING, *POINTS[point], valkey_url, LATER.isoformat()],
            env={**_environment(), "DATABASE_URL": database, "REDIS_URL": valkey_url},
            timeout=60,
            check=False,
        )
        assert killed.returncode == -9
    run(feed, idle=0)
    assert_tables_hold(CALLS)
    assert feed.left() == (0, 0)


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": f"{ROOT / 'platform'}:{ROOT}"}


@pytest.mark.parametrize("point", POINTS)
def test_what_failed_is_taken_up_again_at_once(
    feed: Feed, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed.send(CALLS)
    owner, name, when = POINTS[point]
    place = sys.modules["analytics.ingest.store"] if owner == "store" else Stream
    real = getattr(place, name)

    def failing(*given: object) -> None:
        if when == "after":
            real(*given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(place, name, failing)
        with pytest.raises(KeyboardInterrupt):
            run(feed, batch=40)
    run(feed, batch=40)
    assert_tables_hold(CALLS)
    assert feed.left() == (0, 0)


def test_an_emptied_valkey_is_set_up_again(feed: Feed) -> None:
    stream = reader(feed)
    feed.send(CALLS[:5])
    consume(stream, now=LATER)
    feed.client.delete(USAGE_STREAM)
    assert consume(stream, now=LATER) == 0
    feed.send(CALLS[5:10])
    assert consume(stream, now=LATER) == 5
    assert_tables_hold(CALLS[:10])


# What cannot be recorded


NEVER = {
    "no event at all": (b"\x00garbage", "no usage event"),
    "an empty entry": (b"", "no usage event"),
    "another shape": (b"\x93\x01\x02\x03", "no usage event"),
    "an id that is none": (encode(call(1)).replace(b"0" * 31 + b"1", b"z" * 32), "id is no UUID"),
    "no tenant": (encode(call(1, tenant_id="")), "no tenant_id"),
    "a tenant that is none": (encode(call(1, tenant_id="alice")), "tenant_id is no UUID"),
    "an API that is none": (encode(call(1, api_id="'; DROP TABLE x")), "api_id is no UUID"),
    "long ago": (encode(call(1, timedelta(days=-95))), "older than"),
    "the future": (encode(call(1, timedelta(days=2, seconds=1))), "future"),
    "no status": (encode(call(1, status=0)), "no status 0"),
    "less than nothing": (encode(call(1, total_us=-1)), "less than nothing"),
    "more than there is": (encode(call(1, response_bytes=1 << 62)), "more than there can be"),
    "a long currency": (encode(call(1, currency="x" * 5000)), "currency"),
}


@pytest.mark.parametrize("what", NEVER)
def test_what_cannot_be_recorded_is_set_aside_and_the_rest_goes_on(feed: Feed, what: str) -> None:
    body, reason = NEVER[what]
    feed.send(CALLS[:3])
    place = feed.put(body)
    feed.send(CALLS[3:6])
    assert run(feed) == 6
    poison = PoisonEntry.objects.get()
    assert (poison.entry_id, bytes(poison.body)) == (place, body)
    assert reason in poison.reason
    assert_tables_hold(CALLS[:6])
    assert feed.left() == (0, 0)


def test_an_entry_without_the_field_is_set_aside(feed: Feed) -> None:
    place = feed.put(b"x", field="other")
    assert run(feed) == 0
    assert PoisonEntry.objects.get().entry_id == place
    assert feed.left() == (0, 0)


@pytest.fixture
def constraint() -> Iterator[Callable[[str, str], None]]:
    """``constraint(table, condition)``: PostgreSQL refuses rows for a reason unknown to ingest."""
    made = []

    def make(table: str, condition: str) -> None:
        made.append(table)
        _execute(f"ALTER TABLE {table} ADD CONSTRAINT odd CHECK ({condition}) NOT VALID")

    yield make
    for table in made:
        _execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS odd")


def _execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.mark.usefixtures("_no_pause")
def test_culprits_that_only_postgresql_knows_are_found(feed: Feed, constraint: Callable) -> None:
    constraint("analytics_usagerecord", "path NOT LIKE '/bad%'")
    bad = [call(900 + number, path=f"/bad/{number}", **REST) for number in range(2)]
    feed.send([*CALLS[:10], bad[0], *CALLS[10:20], bad[1]])
    assert run(feed) == 20
    assert_tables_hold(CALLS[:20])
    assert {bytes(row.body) for row in PoisonEntry.objects.all()} == set(map(encode, bad))
    assert all("odd" in row.reason for row in PoisonEntry.objects.all())
    assert feed.left() == (0, 0)


@pytest.mark.usefixtures("_no_pause")
def test_tables_that_refuse_everything_are_not_held_against_the_calls(
    feed: Feed, constraint: Callable
) -> None:
    constraint("analytics_rollupday", "calls < 0")
    feed.send(CALLS)
    with pytest.raises(DatabaseError):
        run(feed)
    assert not PoisonEntry.objects.exists()
    assert actual_records() == []
    _execute("ALTER TABLE analytics_rollupday DROP CONSTRAINT odd")
    run(feed)
    assert_tables_hold(CALLS)


@pytest.fixture
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "PAUSE", 0.0)


# The task


def test_the_task_empties_the_stream_in_one_go(feed: Feed) -> None:
    now = datetime.now(UTC)
    fresh = [
        UsageEvent(f"{number:032x}", micros(now), ALICE, "GET", "/", 200) for number in range(10)
    ]
    feed.send(fresh)
    assert tasks.ingest() == 10
    assert actual_records() == expected_records(fresh)
    assert tasks.ingest() == 0
    assert feed.client.get(tasks.LOCK) is None


def test_one_task_at_a_time(feed: Feed) -> None:
    feed.client.set(tasks.LOCK, "somebody", px=60_000)
    feed.send([UsageEvent("1" * 32, micros(datetime.now(UTC)), ALICE, "GET", "/", 200)])
    assert tasks.ingest() == 0
    assert feed.client.get(tasks.LOCK) == b"somebody"
    assert feed.client.xlen(USAGE_STREAM) == 1


def test_consumers_that_are_long_gone_leave_the_group(feed: Feed) -> None:
    feed.send(CALLS[:3])
    reader(feed, "died").read(1)
    run(feed, name="old")
    run(feed, name="new")
    stream = reader(feed, "new")
    assert stream.drop_consumers() == 0
    assert stream.drop_consumers(timedelta(0)) == 2
    names = [one["name"] for one in feed.client.xinfo_consumers(USAGE_STREAM, "analytics")]
    assert names == [b"died"]


def test_a_tenants_minutes_are_its_own(feed: Feed) -> None:
    feed.send([call(1), call(2, tenant_id=CHARLIE)])
    run(feed)
    assert sorted(RollupMinute.objects.values_list("tenant_id", "calls")) == [
        (UUID(ALICE), 1),
        (UUID(CHARLIE), 1),
    ]


def test_sums_are_told_by_their_names_and_written_in_the_tables_order() -> None:
    sums = Sums(range(len(MEASURES)))
    assert sums.values == tuple(getattr(sums, name) for name in MEASURES)
    assert sums.plus(sums).values == tuple(2 * number for number in range(len(MEASURES)))
    assert (sums.calls, sums.saved_micros) == (0, len(MEASURES) - 1)
    assert Sums().values == (0,) * len(MEASURES)
