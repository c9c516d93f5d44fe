"""The calls themselves: pages by key, filters and single ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from analytics.names import names, names_in
from analytics.queries import (
    NOTHING,
    Filters,
    QueryError,
    Range,
    RecordPage,
    records,
    stream,
)
from analytics.queries import record as find
from tests.analytics.usage import event, record

TIME_ZERO = datetime(2026, 3, 14, 15, 9, 26, 535897, tzinfo=UTC)
ALL = Filters()
WEEK = Range(TIME_ZERO - timedelta(days=7), TIME_ZERO + timedelta(days=1))

pytestmark = pytest.mark.django_db


def call(tenant: Any, number: int, back: timedelta = timedelta(), **fields: Any) -> None:
    """One with this number as its id."""
    record([event(tenant, TIME_ZERO - back, id=UUID(int=number), **fields)])


def numbers(page: RecordPage) -> list[int]:
    return [row.id.int for row in page.rows]


@pytest.fixture
def twenty(alice_tenant: Any) -> list[int]:
    """Calls over three days, of which every second has the time of the one before. Their
    numbers, newest first."""
    day = timedelta(hours=6)
    record(
        event(alice_tenant, TIME_ZERO - day * (number // 2), id=UUID(int=number), status=200)
        for number in range(2, 22)
    )
    order = sorted(range(2, 22), key=lambda number: (-(number // 2), number))
    return order[::-1]


def test_every_record_is_met_once_while_newer_ones_arrive(
    alice_tenant: Any, twenty: list[int]
) -> None:
    seen, page = [], records(alice_tenant.pk, WEEK, ALL, limit=3)
    assert page.previous is None
    arrived = iter(range(100, 120))
    while True:
        seen += numbers(page)
        assert len(page.rows) == 3 or page.next is None
        if page.next is None:
            break
        call(alice_tenant, next(arrived))
        page = records(alice_tenant.pk, WEEK, ALL, before=page.next, limit=3)
    assert seen == twenty
    back = numbers(page)[::-1]
    while page.previous is not None:
        page = records(alice_tenant.pk, WEEK, ALL, after=page.previous, limit=3)
        back += numbers(page)[::-1]
    assert back[:20] == twenty[::-1]
    assert back[20:] == list(range(100, 106))


@pytest.mark.parametrize("limit", [1, 2, 7, 19, 20, 21])
def test_pages_of_any_size_join(alice_tenant: Any, twenty: list[int], limit: int) -> None:
    seen, before = [], None
    while True:
        page = records(alice_tenant.pk, WEEK, ALL, before=before, limit=limit)
        seen += numbers(page)
        if (before := page.next) is None:
            break
    assert seen == twenty


def test_the_way_back_leads_to_the_same_page(alice_tenant: Any, twenty: list[int]) -> None:
    first = records(alice_tenant.pk, WEEK, ALL, limit=4)
    second = records(alice_tenant.pk, WEEK, ALL, before=first.next, limit=4)
    again = records(alice_tenant.pk, WEEK, ALL, after=second.previous, limit=4)
    assert numbers(again) == numbers(first) == twenty[:4]
    assert again.previous is None
    assert numbers(records(alice_tenant.pk, WEEK, ALL, before=again.next, limit=4)) == twenty[4:8]


def test_the_range_is_kept_to_the_microsecond(alice_tenant: Any) -> None:
    micro = timedelta(microseconds=1)
    for number, back in enumerate([2 * micro, micro, timedelta(), -micro], 1):
        call(alice_tenant, number, back)
    assert numbers(records(alice_tenant.pk, Range(TIME_ZERO - micro, TIME_ZERO), ALL)) == [2]
    assert numbers(records(alice_tenant.pk, Range(TIME_ZERO, TIME_ZERO + micro), ALL)) == [3]


def test_a_search_for_rare_ones_goes_on_with_the_next_page(
    alice_tenant: Any, twenty: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analytics.queries.calls.SCANNED_AT_MOST", 6)
    monkeypatch.setattr("analytics.queries.stretches.STRETCH", 3)
    call(alice_tenant, 50, timedelta(days=6), path="/rare")
    for direction in ("before", "after"):
        seen, cursor, pages = [], None, 0
        if direction == "after":
            cursor = f"{int(WEEK.start.timestamp()) * 1_000_000}-{UUID(int=0).hex}"
        while True:
            page = records(alice_tenant.pk, WEEK, ALL, **{direction: cursor}, path="/rare")
            seen += numbers(page)
            pages += 1
            cursor = page.next if direction == "before" else page.previous
            if cursor is None:
                break
            assert page.searched_to is not None
        assert seen == [50]
        assert 2 < pages < 10


def test_days_without_such_calls_are_not_searched(
    alice_tenant: Any, twenty: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analytics.queries.calls.SCANNED_AT_MOST", 1)
    call(alice_tenant, 50, timedelta(days=6), api_id=UUID(int=7))
    page = records(alice_tenant.pk, WEEK, Filters(api=UUID(int=7)))
    assert (numbers(page), page.next) == ([50], None)


IDS = {
    name: UUID(int=place)
    for place, name in enumerate(
        ["api", "route", "application", "key", "plan", "model", "provider", "prompt"], 1
    )
}


@pytest.fixture
def two(alice_tenant: Any) -> None:
    """Number 1 has one of everything, number 2 nothing."""
    call(
        alice_tenant,
        1,
        **{f"{name}_id": id_ for name, id_ in IDS.items()},
        model="fast",
        status=504,
        error_code="upstream_timeout",
        method="POST",
        path="/v1/50%_off",
        total_us=9000,
        abandoned=True,
        attempts=3,
    )
    call(alice_tenant, 2, path="/v1/50 coins", total_us=8999)


@pytest.mark.parametrize("name", ["api", "application", "plan", "model", "provider", "prompt"])
def test_filters_by_what_was_called_and_by_whom(alice_tenant: Any, two: None, name: str) -> None:
    assert numbers(records(alice_tenant.pk, WEEK, Filters(**{name: IDS[name]}))) == [1]
    assert numbers(records(alice_tenant.pk, WEEK, Filters(**{name: NOTHING}))) == [2]
    assert numbers(records(alice_tenant.pk, WEEK, Filters(**{name: UUID(int=99)}))) == []


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"status": 504}, [1]),
        ({"status": 200}, [2]),
        ({"error_code": "upstream_timeout"}, [1]),
        ({"error_code": ""}, [2]),
        ({"request_id": UUID(int=2)}, [2]),
        ({"request_id": UUID(int=3)}, []),
        ({"method": "post"}, [1]),
        ({"path": "/v1/"}, [2, 1]),
        ({"path": "/v1/50%"}, [1]),
        ({"path": "/v1/50_"}, []),
        ({"key": IDS["key"]}, [1]),
        ({"route": IDS["route"]}, [1]),
        ({"abandoned": True}, [1]),
        ({"abandoned": False}, [2]),
        ({"slower_than_us": 8999}, [1]),
        ({"min_attempts": 3}, [1]),
        ({"min_attempts": 4}, []),
        ({"status": 504, "method": "GET"}, []),
    ],
)
def test_filters_by_columns(
    alice_tenant: Any, two: None, columns: dict[str, Any], found: list[int]
) -> None:
    assert numbers(records(alice_tenant.pk, WEEK, ALL, **columns)) == found


def test_filters_by_class_of_status(alice_tenant: Any, two: None) -> None:
    assert numbers(records(alice_tenant.pk, WEEK, Filters(status_class=5))) == [1]
    assert numbers(records(alice_tenant.pk, WEEK, Filters(status_class=2))) == [2]
    assert numbers(records(alice_tenant.pk, WEEK, Filters(status_class=4))) == []


@pytest.mark.parametrize(
    "text", ["", "x", "1", "1-", "-1-2", "1-xyz", "9" * 40 + "-" + "0" * 32, "٣-" + "0" * 31]
)
def test_what_is_no_cursor(alice_tenant: Any, text: str) -> None:
    with pytest.raises(QueryError) as caught:
        records(alice_tenant.pk, WEEK, ALL, after=text or "x")
    assert caught.value.code == "unknown_cursor"


def test_only_one_cursor_at_a_time(alice_tenant: Any) -> None:
    with pytest.raises(QueryError):
        records(alice_tenant.pk, WEEK, ALL, before="1-0", after="1-0")


def test_a_cursor_outside_the_range_leads_to_its_edge_or_to_nothing(
    alice_tenant: Any, twenty: list[int]
) -> None:
    late = f"{int(WEEK.end.timestamp()) * 1_000_000 + 5}-{UUID(int=0).hex}"
    assert numbers(records(alice_tenant.pk, WEEK, ALL, before=late, limit=2)) == twenty[:2]
    assert records(alice_tenant.pk, WEEK, ALL, after=late).rows == []
    early = f"1-{UUID(int=0).hex}"
    assert records(alice_tenant.pk, WEEK, ALL, before=early).rows == []


def test_one_call_by_its_id(alice_tenant: Any, charlie_tenant: Any, two: None) -> None:
    assert find(alice_tenant.pk, UUID(int=1)).status == 504
    near = TIME_ZERO - timedelta(hours=20)
    assert find(alice_tenant.pk, UUID(int=1), near).status == 504
    assert find(alice_tenant.pk, UUID(int=1), TIME_ZERO - timedelta(days=2)) is None
    assert find(alice_tenant.pk, UUID(int=77)) is None
    assert find(charlie_tenant.pk, UUID(int=1)) is None


def test_another_tenants_calls_are_on_no_page(
    alice_tenant: Any, charlie_tenant: Any, two: None
) -> None:
    assert records(charlie_tenant.pk, WEEK, ALL).rows == []
    assert records(charlie_tenant.pk, WEEK, ALL, request_id=UUID(int=1)).rows == []
    assert list(stream(charlie_tenant.pk, WEEK, ALL)) == []


def test_a_stream_has_all_in_blocks(
    alice_tenant: Any, twenty: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analytics.queries.calls.STREAMED_AT_ONCE", 8)
    blocks = [[row.id.int for row in block] for block in stream(alice_tenant.pk, WEEK, ALL)]
    assert [len(block) for block in blocks] == [8, 8, 4]
    assert [number for block in blocks for number in block] == twenty


def test_names_of_all_that_records_refer_to(in_alice: Any, two: None) -> None:
    from catalog.models import AIModel, Api, ApiKey, Application, Route

    api = Api.objects.create(id=IDS["api"], name="Orders", listen_path="/orders")
    Route.objects.create(id=IDS["route"], api=api, path="/items/{id}", methods=["GET"])
    shop = Application.objects.create(id=IDS["application"], name="Shop")
    ApiKey.objects.create(id=IDS["key"], application=shop, prefix="hub_abcd", digest=b"x" * 32)
    AIModel.objects.create(id=IDS["model"], name="renamed", abilities=["chat"])
    rows = records(in_alice.pk, WEEK, ALL).rows
    with CaptureQueriesContext(connection) as queries:
        found = names_in([*rows, *rows])
    assert sum("catalog_" in query["sql"] for query in queries) == 8
    assert {kind: list(named.values()) for kind, named in found.items() if named} == {
        "api": ["Orders"],
        "route": ["GET /orders/items/{id}"],
        "application": ["Shop"],
        "key": ["hub_abcd…"],
        "plan": ["deleted (00000000)"],
        "model": ["fast"],
        "provider": ["deleted (00000000)"],
        "prompt": ["deleted (00000000)"],
    }
    assert names("model", [IDS["model"]]) == {IDS["model"]: "renamed"}
    assert names("api", []) == {}
