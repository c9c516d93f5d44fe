"""Totals, series and top groups through the management API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from tests.analytics.usage import happen

TIME_ZERO = datetime(2026, 3, 14, 15, 9, 26, 535897, tzinfo=UTC)
API = UUID(int=0xA1)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is always TIME_ZERO."""
    monkeypatch.setattr("django.utils.timezone.now", lambda: TIME_ZERO)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture
def get(alice_tenant: Any, alice: Any, api_client: Any) -> Any:
    """``get("totals/?range=1h", 200)``: the body of an answer with that status."""
    client = api_client(alice_tenant, alice)

    def ask(path: str, status: int = 200) -> Any:
        response = client.get(f"/api/usage/{path}")
        assert response.status_code == status, response.content
        if status >= 400:
            assert response["Content-Type"] == "application/problem+json"
        return response.json()

    return ask


@pytest.fixture
def calls(alice_tenant: Any) -> None:
    """Three this hour and one yesterday."""
    happen(alice_tenant, utc("2026-03-14 14:30"), api_id=API, count=2)
    happen(alice_tenant, utc("2026-03-14 15:01"), status=503, total_us=0)
    tokens = {"input_tokens": 4, "output_tokens": 2, "cached_tokens": 1, "reasoning_tokens": 1}
    priced = {"cost_micros": 9, "saved_micros": 4, "currency": "EUR", **tokens}
    happen(alice_tenant, utc("2026-03-13 15:01"), request_bytes=3, response_bytes=5, **priced)


def test_the_totals_of_a_day_whole(get: Any, calls: None) -> None:
    assert get("totals/?start=2026-03-13T15:00:00Z&end=2026-03-14T15:05:00Z") == {
        "start": "2026-03-13T15:00:00Z",
        "end": "2026-03-14T15:05:00Z",
        "calls": 4,
        "errors": 1,
        "error_rate": 0.25,
        "client_errors": 0,
        "server_errors": 1,
        "limited": 0,
        "abandoned": 0,
        "p50_us": 981,
        "p95_us": 981,
        "p99_us": 981,
        "mean_us": 750,
        "mean_upstream_us": 0,
        "mean_first_byte_us": 0,
        "input_tokens": 4,
        "output_tokens": 2,
        "cached_tokens": 1,
        "reasoning_tokens": 1,
        "cache_write_tokens": 0,
        "p50_first_token_us": None,
        "p95_first_token_us": None,
        "mean_first_token_us": None,
        "tokens_per_second": None,
        "streams": 0,
        "cost_micros": {"EUR": 9},
        "saved_micros": {"EUR": 4},
        "unpriced": 0,
        "request_bytes": 3,
        "response_bytes": 5,
    }


@pytest.mark.parametrize(
    ("query", "count", "start"),
    [
        ("range=1h", 3, "2026-03-14T14:09:00Z"),
        ("range=24h", 3, "2026-03-13T15:09:00Z"),
        ("", 3, "2026-03-13T15:09:00Z"),
        ("range=7d", 4, "2026-03-07T15:09:00Z"),
        ("range=30d", 4, "2026-02-12T15:00:00Z"),
        ("start=2026-03-14T14:31:00Z", 1, "2026-03-14T14:31:00Z"),
        ("start=2026-03-14T15:30:00%2B01:00", 3, "2026-03-14T14:30:00Z"),
        (f"api={API}", 2, "2026-03-13T15:09:00Z"),
        ("api=none", 1, "2026-03-13T15:09:00Z"),
        ("status_class=5", 1, "2026-03-13T15:09:00Z"),
        ("demo=false", 3, "2026-03-13T15:09:00Z"),
    ],
)
def test_ranges_and_filters(get: Any, calls: None, query: str, count: int, start: str) -> None:
    found = get(f"totals/?{query}")
    assert (found["calls"], found["start"], found["end"]) == (count, start, "2026-03-14T15:10:00Z")


def test_a_series_whole(get: Any, calls: None) -> None:
    path = "series/?metrics=calls,cost_micros,p95_us&interval=hour"
    assert get(f"{path}&start=2026-03-14T13:40:00Z&end=2026-03-14T15:02:00Z") == {
        "start": "2026-03-14T13:00:00Z",
        "end": "2026-03-14T16:00:00Z",
        "interval": "hour",
        "time_zone": "UTC",
        "metrics": ["calls", "cost_micros", "p95_us"],
        "by": None,
        "series": [
            {
                "id": None,
                "name": None,
                "points": [
                    {
                        "start": "2026-03-14T13:00:00Z",
                        "calls": 0,
                        "cost_micros": {},
                        "p95_us": None,
                    },
                    {
                        "start": "2026-03-14T14:00:00Z",
                        "calls": 2,
                        "cost_micros": {},
                        "p95_us": 981,
                    },
                    {"start": "2026-03-14T15:00:00Z", "calls": 1, "cost_micros": {}, "p95_us": 0},
                ],
            }
        ],
    }


def test_a_series_for_each_group(get: Any, calls: None) -> None:
    found = get("series/?by=api&interval=day&range=7d&with_none=true&metrics=errors")
    assert [(row["id"], row["name"]) for row in found["series"]] == [
        (None, "No API"),
        (str(API), "deleted (00000000)"),
    ]
    assert [[point["errors"] for point in row["points"]] for row in found["series"]] == [
        [0, 0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ]


def test_the_interval_that_draws_best_and_days_elsewhere(get: Any, calls: None) -> None:
    assert get("series/?range=1h")["interval"] == "minute"
    assert len(get("series/?range=1h")["series"][0]["points"]) == 61
    found = get("series/?range=7d&time_zone=America/New_York")
    assert (found["interval"], found["time_zone"]) == ("day", "America/New_York")
    assert [point["start"] for point in found["series"][0]["points"]][:3] == [
        "2026-03-07T05:00:00Z",
        "2026-03-08T05:00:00Z",
        "2026-03-09T04:00:00Z",
    ]


def test_the_top_groups(get: Any, calls: None, in_alice: Any) -> None:
    from catalog.models import Api

    Api.objects.create(id=API, name="Orders", listen_path="/orders")
    found = get("top/?by=api")
    assert (found["by"], found["order"], found["end"]) == ("api", "calls", "2026-03-14T15:10:00Z")
    assert [(row["id"], row["name"], row["calls"]) for row in found["results"]] == [
        (str(API), "Orders", 2)
    ]
    assert set(found["results"][0]) - {"id", "name"} == set(get("totals/")) - {"start", "end"}
    found = get("top/?by=api&order=errors&with_none=true&limit=1")
    assert [(row["id"], row["name"]) for row in found["results"]] == [(None, "No API")]


@pytest.mark.parametrize(
    ("path", "code", "sentence"),
    [
        ("totals/?start=2026-03-14T10:00:00Z&end=2026-03-14T09:00:00Z", "empty_range", "must end"),
        ("totals/?end=2026-03-14T09:00:00Z", "no_start", "Give “start”"),
        ("totals/?range=1h&start=2026-03-14T09:00:00Z", "two_ranges", "not both"),
        ("totals/?start=0001-01-01T00:00:00Z", "time_out_of_range", "1970"),
        ("totals/?end=9999-12-31T23:59:59Z&start=2026-03-14T09:00:00Z", "time_out_of_range", ""),
        ("totals/?start=yesterday", "invalid", "start:"),
        ("totals/?range=2h", "invalid", "Use one of 1h, 24h, 7d, 30d."),
        ("totals/?api=orders", "invalid", "api:"),
        ("totals/?status_class=9", "invalid", "status_class:"),
        ("totals/?aplication=x", "invalid", "There is no such parameter here."),
        ("series/?metrics=calls,speed", "invalid", "“speed” is no metric."),
        ("series/?interval=week", "invalid", "Use one of minute, hour, day."),
        ("series/?time_zone=Mars/Olympus", "unknown_zone", "no time zone"),
        ("series/?range=7d&interval=minute", "range_too_long", "at most 2,880 points"),
        (
            "series/?start=2026-03-01T00:00:00Z&end=2026-03-01T01:00:00Z&interval=minute",
            "interval_not_kept",
            "kept for 8 days",
        ),
        ("series/?by=weather", "invalid", "Use one of api"),
        ("series/?limit=21", "invalid", "limit:"),
        ("top/", "invalid", "by:"),
        ("top/?by=api&order=beauty", "invalid", "Use one of calls"),
        ("top/?by=api&limit=0", "invalid", "limit:"),
    ],
)
def test_what_cannot_be_answered(get: Any, path: str, code: str, sentence: str) -> None:
    problem = get(path, 400)
    assert problem["code"] == code
    assert sentence in problem["detail"]
