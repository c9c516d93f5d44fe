"""Sums that are worked out again from the records are those that ingest has made."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from usage_stream import (
    CALLS,
    CHAT,
    DEPLOYMENT,
    LATER,
    MEASURES,
    REST,
    Feed,
    actual_rollups,
    assert_tables_hold,
    call,
    expected_rollups,
    seconds,
    uid,
)

from analytics.ingest import Stream, consume
from analytics.models import INTERVALS, RollupDay, RollupMinute, UsageRecord
from analytics.models.rollups import NOTHING
from analytics.rebuild import rebuild
from contract.usage import UsageEvent

pytestmark = pytest.mark.django_db(transaction=True)

ELSEWHERE = uid(0x801)
STREAM = {"streamed": True, "first_byte_us": 77_000, "total_us": 300_000, "output_tokens": 5}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is always LATER."""
    monkeypatch.setattr("django.utils.timezone.now", lambda: LATER)


@pytest.fixture
def feed(valkey_url: str) -> Iterator[Feed]:
    feed = Feed(valkey_url)
    feed.clear()
    yield feed
    feed.clear()


def take(feed: Feed, calls: list[UsageEvent], batch: int = 1000) -> None:
    feed.send(calls)
    consume(Stream(feed.url, "here", 60.0), batch=batch, now=LATER)


def rebuilt(first: date | None = None) -> list[tuple[date, bool]]:
    """The days of these calls: the tables of others, that are empty, may be left of other tests."""
    return [
        (day, done) for day, done in rebuild(first=first) if day.year == 2026 and day.month == 3
    ]


def test_streams_are_summed_up_by_deployment(feed: Feed) -> None:
    quick = {"streamed": True, "first_byte_us": 100_000, "total_us": 1_100_000}
    take(
        feed,
        [
            call(1, seconds(0), **CHAT, **quick, output_tokens=40, cache_write_tokens=3),
            call(2, seconds(1), **CHAT, **quick, output_tokens=60, cache_write_tokens=4),
            call(3, seconds(2), **CHAT | {"deployment_id": ELSEWHERE}, **quick),
            call(4, seconds(3), **CHAT, total_us=9_000_000, first_byte_us=9_000_000),
        ],
    )
    here, there = (RollupDay.objects.get(deployment_id=id_) for id_ in (DEPLOYMENT, ELSEWHERE))
    assert (here.calls, here.streams, here.first_token_us) == (3, 2, 200_000)
    assert (here.written_tokens, here.writing_us, here.cache_write_tokens) == (100, 2_000_000, 7)
    assert (sum(here.first_token), sum(here.latency)) == (2, 3)
    assert (there.calls, there.streams, there.written_tokens, there.writing_us) == (1, 1, 0, 0)


def test_what_comes_late_or_twice_is_in_the_sums_of_its_own_time_once(feed: Feed) -> None:
    late = [call(900, seconds(-7200), **CHAT), call(901, seconds(7), **CHAT | STREAM)]
    take(feed, CALLS)
    take(feed, [*late, *CALLS[:20]])
    assert_tables_hold([*CALLS, *late])


@pytest.mark.parametrize("batch", [7, 1000])
def test_rebuilt_sums_are_the_same(feed: Feed, batch: int) -> None:
    take(feed, CALLS, batch)
    assert rebuilt() == [(date(2026, 3, 14), True), (date(2026, 3, 15), True)]
    assert_tables_hold(CALLS)


def test_sums_from_before_deployments_were_told_apart_are_made_whole(feed: Feed) -> None:
    take(feed, [one for one in CALLS if one.deployment_id != ELSEWHERE])
    for model in INTERVALS.values():
        new = ("cache_write_tokens", "streams", "first_token_us", "written_tokens", "writing_us")
        model.objects.update(deployment_id=NOTHING, first_token=[], **dict.fromkeys(new, 0))
    take(feed, [one for one in CALLS if one.deployment_id == ELSEWHERE])
    call_command("rebuild_usage_sums", "--first", "2026-03-14", "--last", "2026-03-15")
    assert_tables_hold(CALLS)


def test_what_comes_after_a_rebuild_is_added(feed: Feed) -> None:
    late = call(902, seconds(3), **CHAT | STREAM)
    take(feed, CALLS)
    list(rebuild())
    take(feed, [late])
    assert_tables_hold([*CALLS, late])


def test_only_the_days_asked_for_are_touched(feed: Feed) -> None:
    take(feed, CALLS)
    RollupDay.objects.update(calls=0)
    assert rebuilt(first=date(2026, 3, 15)) == [(date(2026, 3, 15), True)]
    touched = RollupDay.objects.exclude(calls=0)
    assert {row.start.date() for row in touched} == {date(2026, 3, 15)}


def test_a_day_of_which_records_are_gone_keeps_its_sums(feed: Feed) -> None:
    take(feed, CALLS)
    UsageRecord.objects.filter(status=404).delete()
    before = actual_rollups("day")
    assert (date(2026, 3, 14), False) in list(rebuild(last=date(2026, 3, 14)))
    assert actual_rollups("day") == before


def test_finer_sums_are_rebuilt_only_as_far_as_they_are_kept(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(feed, CALLS)
    RollupMinute.objects.all().delete()
    monkeypatch.setattr("django.utils.timezone.now", lambda: LATER + timedelta(days=30))
    list(rebuild())
    assert not RollupMinute.objects.exists()
    for interval in ("hour", "day"):
        assert actual_rollups(interval) == expected_rollups(CALLS, interval)


def test_calls_that_are_recorded_during_a_rebuild_are_counted_once(feed: Feed) -> None:
    calls = [call(n, seconds(n / 10), **(CHAT if n % 2 else REST), total_us=n) for n in range(600)]
    feed.send(calls)
    stop = threading.Event()

    def again_and_again() -> None:
        while not stop.is_set():
            list(rebuild())
        connection.close()

    thread = threading.Thread(target=again_and_again)
    thread.start()
    try:
        consume(Stream(feed.url, "here", 60.0), batch=20, now=LATER)
    finally:
        stop.set()
        thread.join()
    assert_tables_hold(calls)


def test_the_migration_keeps_what_is_summed_up(feed: Feed) -> None:
    latest = MigrationExecutor(connection).loader.graph.leaf_nodes("analytics")

    def migrate(targets: list[tuple[str, str]]) -> None:
        MigrationExecutor(connection).migrate(targets)

    take(feed, [one for one in CALLS if one.deployment_id != ELSEWHERE])
    before: dict[str, list[dict[str, Any]]] = {}
    plain = ("start", "calls", "total_us", "input_tokens", "cost_micros", "latency")
    migrate([("analytics", "0006_routing")])
    try:
        for interval, model in INTERVALS.items():
            before[interval] = list(model.objects.order_by("id").values("id", *plain))
    finally:
        migrate(latest)
    for interval, model in INTERVALS.items():
        assert list(model.objects.order_by("id").values("id", *plain)) == before[interval]
        assert set(model.objects.values_list("deployment_id", flat=True)) == {NOTHING}
        assert {sum(row) for row in model.objects.values_list("first_token", flat=True)} == {0}
    late = call(903, seconds(3), **CHAT)
    take(feed, [late])
    assert RollupDay.objects.get(deployment_id=UUID(DEPLOYMENT)).calls == 1
    assert set(MEASURES) <= {field.name for field in RollupDay._meta.fields}
