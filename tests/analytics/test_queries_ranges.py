"""From which roll-ups a range is answered, and what the answer covers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from analytics.queries import QueryError, Range, axis, best_interval, check_interval, cover
from analytics.queries.ranges import pieces, zone

TIME_ZERO = datetime(2026, 3, 14, 15, 9, 26, 535897, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is always TIME_ZERO."""
    monkeypatch.setattr("django.utils.timezone.now", lambda: TIME_ZERO)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def between(start: str, end: str) -> Range:
    return Range(utc(start), utc(end))


def test_days_in_the_middle_and_finer_ones_at_the_edges() -> None:
    found = list(pieces(cover(between("2026-03-10 22:58:30", "2026-03-13 02:01:10"))))
    assert found == [
        ("minute", utc("2026-03-10 22:58"), utc("2026-03-10 23:00")),
        ("hour", utc("2026-03-10 23:00"), utc("2026-03-11 00:00")),
        ("day", utc("2026-03-11 00:00"), utc("2026-03-13 00:00")),
        ("hour", utc("2026-03-13 00:00"), utc("2026-03-13 02:00")),
        ("minute", utc("2026-03-13 02:00"), utc("2026-03-13 02:02")),
    ]


@pytest.mark.parametrize(
    ("start", "end", "read"),
    [
        ("2026-03-14 10:01", "2026-03-14 10:04", ["minute"]),
        ("2026-03-14 10:00", "2026-03-14 13:00", ["hour"]),
        ("2026-03-14 10:30", "2026-03-14 11:30", ["minute"]),
        ("2026-03-14 10:30", "2026-03-14 12:30", ["minute", "hour", "minute"]),
        ("2025-03-14 00:00", "2026-03-14 00:00", ["day"]),
        ("2026-03-13 23:59", "2026-03-14 00:01", ["minute"]),
    ],
)
def test_a_range_is_read_from_the_coarsest_that_fit(start: str, end: str, read: list[str]) -> None:
    assert [interval for interval, _, _ in pieces(cover(between(start, end)))] == read


@pytest.mark.parametrize(
    ("start", "covered"),
    [
        ("2026-03-14 15:00:59", "2026-03-14 15:00"),
        ("2026-03-06 16:01:30", "2026-03-06 16:01"),  # 8 days back, to the hour: still minutes
        ("2026-03-06 15:59:30", "2026-03-06 15:00"),  # before that: hours
        ("2025-02-08 01:30:00", "2025-02-08 01:00"),  # 400 days back, to the day
        ("2025-02-07 23:30:00", "2025-02-07 00:00"),  # before that: days
    ],
)
def test_an_older_edge_is_widened_to_what_is_kept(start: str, covered: str) -> None:
    assert cover(Range(utc(start), TIME_ZERO)) == Range(utc(covered), utc("2026-03-14 15:10"))


def test_an_older_end_is_widened_too() -> None:
    covered = cover(between("2026-01-01 10:20", "2026-01-01 10:40"))
    assert covered == between("2026-01-01 10:00", "2026-01-01 11:00")
    covered = cover(between("2024-01-01 10:20", "2024-01-01 10:40"))
    assert covered == between("2024-01-01", "2024-01-02")


def test_an_offset_is_understood() -> None:
    tz = ZoneInfo("Asia/Kolkata")
    local = Range(datetime(2026, 3, 14, 12, tzinfo=tz), datetime(2026, 3, 14, 13, tzinfo=tz))
    assert cover(local) == between("2026-03-14 06:30", "2026-03-14 07:30")


@pytest.mark.parametrize(
    ("start", "end", "code"),
    [
        (TIME_ZERO, TIME_ZERO, "empty_range"),
        (TIME_ZERO, TIME_ZERO - timedelta(days=1), "empty_range"),
        (TIME_ZERO.replace(tzinfo=None), TIME_ZERO, "naive_time"),
        (datetime.min.replace(tzinfo=UTC), TIME_ZERO, "time_out_of_range"),
        (TIME_ZERO, datetime.max.replace(tzinfo=UTC), "time_out_of_range"),
    ],
)
def test_what_is_no_range(start: datetime, end: datetime, code: str) -> None:
    with pytest.raises(QueryError) as caught:
        Range(start, end)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("back", "interval"),
    [
        (timedelta(hours=1), "minute"),
        (timedelta(hours=24), "hour"),
        (timedelta(days=7), "day"),
        (timedelta(days=30), "day"),
    ],
)
def test_the_best_interval(back: timedelta, interval: str) -> None:
    assert best_interval(Range(TIME_ZERO - back, TIME_ZERO)) == interval


def test_the_best_interval_of_long_ago_is_one_that_is_kept() -> None:
    assert best_interval(between("2026-01-01 10:00", "2026-01-01 11:00")) == "hour"
    assert best_interval(between("2024-01-01 10:00", "2024-01-01 11:00")) == "day"


@pytest.mark.parametrize(
    ("start", "end", "interval", "code"),
    [
        ("2026-03-10", "2026-03-13", "minute", "range_too_long"),
        ("2025-06-01", "2026-03-13", "hour", "range_too_long"),
        ("2010-06-01", "2026-03-13", "day", "range_too_long"),
        ("2026-03-01 10:00", "2026-03-01 11:00", "minute", "interval_not_kept"),
        ("2024-03-01", "2024-03-02", "hour", "interval_not_kept"),
        ("2026-03-01", "2026-03-02", "week", "unknown_interval"),
    ],
)
def test_what_no_series_can_tell(start: str, end: str, interval: str, code: str) -> None:
    with pytest.raises(QueryError) as caught:
        check_interval(between(start, end), interval)
    assert caught.value.code == code


def test_days_of_a_zone_are_as_long_as_they_are_there() -> None:
    along = axis(between("2025-10-25 12:00", "2025-10-27 12:00"), "day", zone("Europe/London"))
    assert [f"{start:%d %H}" for start in along.starts] == ["24 23", "25 23", "27 00"]
    assert along.end == utc("2025-10-28 00:00")


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "/etc/passwd", "a\0b"])
def test_what_is_no_zone(name: str) -> None:
    with pytest.raises(QueryError) as caught:
        zone(name)
    assert caught.value.code == "unknown_zone"
