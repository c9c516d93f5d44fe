"""Calendar periods in time zones, and reading counters."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from contract import counters, keys
from contract.periods import period_at


def at(zone: str, *parts: int) -> float:
    return datetime(*parts, tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", (2026, 3, 29), 23),
        ("Europe/Berlin", (2026, 10, 25), 25),
        ("America/Havana", (2026, 3, 8), 23),  # skips midnight itself
        ("America/Havana", (2026, 11, 1), 25),  # has midnight twice
        ("Australia/Lord_Howe", (2026, 4, 5), 24.5),
        ("Asia/Kolkata", (2026, 3, 29), 24),
    ],
)
def test_days_are_as_long_as_they_are(zone: str, day: tuple[int, int, int], hours: float) -> None:
    period = period_at("day", zone, at(zone, *day, 12))
    assert period.name == f"day:{day[0]}-{day[1]:02d}-{day[2]:02d}"
    assert (period.end - period.start) / 3600 == hours
    for second in (period.start, period.end - 1):
        assert period_at("day", zone, second) == period
    for second in (period.start - 1, period.end):
        assert period_at("day", zone, second).name != period.name


def test_months_end_where_the_next_begins() -> None:
    december = period_at("month", "Pacific/Auckland", at("Pacific/Auckland", 2026, 12, 31, 23, 59))
    assert december.name == "month:2026-12"
    january = period_at("month", "Pacific/Auckland", december.end)
    assert (january.name, january.start) == ("month:2027-01", december.end)
    assert (january.end - january.start) / 86_400 == 31
    february = period_at("month", "UTC", at("UTC", 2028, 2, 29, 12))
    assert (february.end - february.start) / 86_400 == 29


def test_a_zone_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="Mars"):
        period_at("day", "Mars/Olympus", 0.0)


def test_a_window_counts_what_is_younger_than_it_and_tells_when_all_is_free() -> None:
    now = 1_000_000_000 * 1_000_000
    slot = counters.slot_at(now, 60)
    fields = {b"n": b"16", b"f": b"1"}
    fields |= {str(slot - age).encode(): str(count).encode() for age, count in
               ((0, 1), (60, 5), (61, 10))}  # fmt: skip
    reading = counters.read(fields, {}, 60, now)
    assert (reading.used, reading.reserved) == (6, 0)
    assert reading.free_at == (slot + 61) * 1_000_000


def test_a_period_counts_what_was_used_before_it_was_watched_and_what_living_workers_hold() -> None:
    now = 1_000_000
    held = {b"a": b"5", b"d:a": b"1000001", b"dead": b"9", b"d:dead": b"999999"}
    reading = counters.read({b"u": b"3", b"b": b"40"}, held, 0, now)
    assert (reading.used, reading.reserved, reading.free_at) == (43, 5, 0)
    reading = counters.read({b"u": b"3", b"b": b"40", b"p": b"7"}, held, 0, now)
    assert (reading.used, reading.reserved) == (43, 12)


def test_names_that_a_script_takes_together_share_a_slot_and_say_nothing_of_users() -> None:
    subject = keys.limit_subject("user", f"app:{keys.user_digest('ann@example.com' * 500)}")
    counter = keys.limit_counter("t", "calls", subject, "60")
    assert "ann" not in counter
    assert len(counter) < 100
    for name in (counter, keys.limit_held(counter), keys.limits_rebuilt("t")):
        assert "{t}" in name
    assert keys.user_digest("ann") != keys.user_digest("Ann")
