"""What a page shows is in its address, both ways."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl
from uuid import UUID

import pytest

from analytics.admin.state import RANGES, State, read
from analytics.queries import NOTHING, Filters

NOW = datetime(2026, 3, 14, 15, 9, 26, 535897, tzinfo=UTC)
SOME = UUID("7c3c1c5e-5d2c-4a53-9e55-0d6d8e5b0a11")


def again(state: State, **changes: object) -> State:
    return read(dict(parse_qsl(state.query(**changes)[1:])), now=NOW)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"range": "1h"},
        {"range": "30d", "api": str(SOME), "model": "none", "demo": "no"},
        {"from": "2026-03-01T00:00", "to": "2026-03-02T12:30:15"},
        {"from": "2026-03-01", "to": "2026-03-02T01:00:00.000250+02:00", "class": "5"},
        {"application": str(SOME), "status": "429", "error_code": "a", "method": "GET"},
        {"path": "/a b/ü&x=1", "slower_ms": "0.5", "request_id": str(SOME), "abandoned": "yes"},
        {"min_attempts": "2"},
        {"key": str(SOME), "route": str(SOME), "plan": str(SOME), "prompt": str(SOME)},
    ],
)
def test_what_was_read_is_written_so_that_it_reads_the_same(params: dict[str, str]) -> None:
    state = read(params, now=NOW)
    assert state.problems == ()
    assert again(state) == state


def test_named_ranges_end_at_the_next_whole_step() -> None:
    ends = {name: read({"range": name}, now=NOW).rng for name in RANGES}
    assert {name: rng.end for name, rng in ends.items()} == {
        "1h": datetime(2026, 3, 14, 15, 10, tzinfo=UTC),
        "24h": datetime(2026, 3, 14, 16, tzinfo=UTC),
        "7d": datetime(2026, 3, 14, 16, tzinfo=UTC),
        "30d": datetime(2026, 3, 15, tzinfo=UTC),
    }
    assert ends["30d"].length == timedelta(days=30)


def test_a_whole_past_range_is_compared_with_the_whole_range_before() -> None:
    state = read({"from": "2026-03-01", "to": "2026-03-03"}, now=NOW)
    assert state.before.end == state.rng.start
    assert state.before.length == state.rng.length


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"range": "9y"}, "There is no range “9y”"),
        ({"from": "yesterday"}, "“yesterday” is not a time"),
        ({"from": "2026-02-31T00:00"}, "“2026-02-31T00:00” is not a time"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, "must end after it starts"),
        ({"from": "2020-01-01", "to": "2026-01-01"}, "at most 400 days"),
        ({"to": "2026-03-01"}, "is not a time"),
        ({"api": "weather"}, "The filter “api” was left out"),
        ({"class": "7"}, "The filter “class” was left out"),
        ({"status": "99999999999"}, "The filter “status” was left out"),
        ({"slower_ms": "nan"}, "The filter “slower_ms” was left out"),
        ({"min_attempts": "-1"}, "The filter “min_attempts” was left out"),
        ({"min_attempts": "99999"}, "The filter “min_attempts” was left out"),
        ({"slower_ms": "inf"}, "The filter “slower_ms” was left out"),
        ({"path": "a\0b"}, "The filter “path” was left out"),
        ({"request_id": "x"}, "The filter “request_id” was left out"),
    ],
)
def test_what_cannot_be_understood_is_told_and_the_default_used(
    params: dict[str, str], told: str
) -> None:
    state = read(params, now=NOW)
    assert len(state.problems) == 1
    assert told in state.problems[0]
    assert (state.rng, state.filters, state.columns) == (read({}, now=NOW).rng, Filters(), {})


def test_a_link_changes_one_thing_and_keeps_the_rest() -> None:
    state = read({"range": "7d", "api": str(SOME)}, now=NOW)
    start = datetime(2026, 3, 9, tzinfo=UTC)
    narrowed = again(state, start=start, end=start + timedelta(hours=1), model=NOTHING)
    assert (narrowed.rng.start, narrowed.chosen) == (start, "custom")
    assert narrowed.filters == Filters(api=SOME, model=NOTHING)
    assert again(narrowed, range="1h", api=None, model=None) == read({"range": "1h"}, now=NOW)
