"""Calls through the management API: pages, single ones and CSV."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.test import AsyncClient

from contract.usage import Measured
from tests.analytics.usage import event, record

TIME_ZERO = datetime(2026, 3, 14, 15, 9, 26, 535897, tzinfo=UTC)
DAY = "start=2026-03-14T00:00:00Z&end=2026-03-15T00:00:00Z"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is always TIME_ZERO."""
    monkeypatch.setattr("django.utils.timezone.now", lambda: TIME_ZERO)


@pytest.fixture
def program(alice_tenant: Any, alice: Any, api_client: Any) -> Any:
    return api_client(alice_tenant, alice)


@pytest.fixture
def full(in_alice: Any) -> dict[str, Any]:
    """A call that has everything, as the API tells it."""
    from catalog.models import AIModel, Api, Application, Provider

    api = Api.objects.create(name="Models", kind="ai", listen_path="/v1")
    shop = Application.objects.create(name='Shop "A", =1+1')
    model = AIModel.objects.create(name="fast", abilities=["chat"])
    provider = Provider.objects.create(name="Maker", base_url="https://maker.example/v1")
    ids = {
        "route": UUID(int=1 << 96),
        "key": UUID(int=2 << 96),
        "plan": UUID(int=3 << 96),
        "deployment": UUID(int=4 << 96),
        "prompt": UUID(int=5 << 96),
    }
    numbers = {
        "prompt_version": 3,
        "request_bytes": 10,
        "response_bytes": 20,
        "total_us": 3000,
        "upstream_us": 2500,
        "first_byte_us": 2700,
        "attempts": 2,
        "input_tokens": 7,
        "output_tokens": 6,
        "cached_tokens": 5,
        "reasoning_tokens": 4,
        "cache_write_tokens": 3,
        "cost_micros": 42,
        "saved_micros": -1,
    }
    measured = Measured("picture", 3, "1024x1536/high")
    plain = {"method": "POST", "path": "/v1/chat/completions", "status": 502} | {
        "error_code": "provider_error",
        "streamed": True,
        "abandoned": True,
        "currency": "USD",
        "routed": "priority 1 after Maker 503",
        "adapted": "dropped seed",
    }
    known = {"api": api, "application": shop, "model": model, "provider": provider}
    references = {f"{kind}_id": row.pk for kind, row in known.items()}
    references |= {f"{kind}_id": id_ for kind, id_ in ids.items()}
    fields = {"id": UUID(int=99), "model": "fast", **plain, **numbers, **references}
    fields["measured"] = measured
    fields["end_user"] = "d" * 24  # for limits alone: nobody is told
    record([event(in_alice, TIME_ZERO, **fields)])
    named = {kind: {"id": str(row.pk), "name": str(row)} for kind, row in known.items()}
    named |= {
        kind: {"id": str(id_), "name": f"deleted ({id_.hex[:8]})"} for kind, id_ in ids.items()
    }
    head = {"id": str(UUID(int=99)), "at": "2026-03-14T15:09:26.535897Z", "demo": False}
    told = {"measure": "picture", "measured": 3, "measured_kind": "1024x1536/high"}
    return head | plain | numbers | named | told


def test_a_call_field_by_field(program: Any, full: dict[str, Any]) -> None:
    page = program.get(f"/api/usage/records/?{DAY}").json()
    assert page == {"next": None, "previous": None, "searched_to": None, "results": [full]}
    path = f"/api/usage/records/{UUID(int=99)}/"
    for query in ("", "?at=2026-03-14T00:00:00Z"):
        assert program.get(path + query).json() == full
    assert program.get(f"{path}?at=2026-03-10T00:00:00Z").status_code == 404
    assert program.get(f"/api/usage/records/{UUID(int=98)}/").status_code == 404
    assert program.get("/api/usage/records/x/").json()["code"] == "not_found"


def test_a_call_that_has_nothing(program: Any, alice_tenant: Any) -> None:
    record([event(alice_tenant, TIME_ZERO, id=UUID(int=5), status=404)])
    found = program.get(f"/api/usage/records/{UUID(int=5)}/").json()
    assert {name for name, value in found.items() if value is None} == {
        *("api", "route", "application", "key", "plan"),
        *("model", "provider", "deployment", "prompt"),
        *("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cost_micros"),
        *("attempts", "cache_write_tokens", "saved_micros", "measured"),
    }


def test_calls_are_found_by_how_often_they_were_sent(program: Any, alice_tenant: Any) -> None:
    record(
        event(alice_tenant, TIME_ZERO, id=UUID(int=number), attempts=number or None)
        for number in range(4)
    )

    def found(query: str) -> list[int | None]:
        answer = program.get(f"/api/usage/records/?{DAY}&{query}").json()
        return sorted((row["attempts"] for row in answer["results"]), key=lambda one: one or 0)

    assert found("") == [None, 1, 2, 3]
    assert found("min_attempts=2") == [2, 3]
    assert found("min_attempts=0") == [1, 2, 3], "of the first nobody knows"
    assert found("min_attempts=4") == []


@pytest.fixture
def many(alice_tenant: Any) -> list[str]:
    """The ids of calls, newest first; two at each time."""
    record(
        event(alice_tenant, TIME_ZERO - timedelta(minutes=number // 2), id=UUID(int=number))
        for number in range(2, 13)
    )
    order = sorted(range(2, 13), key=lambda number: (-(number // 2), number), reverse=True)
    return [str(UUID(int=number)) for number in order]


def test_next_and_previous_lead_through_all_pages(
    program: Any, many: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, url, pages = [], "/api/usage/records/?range=1h&page_size=4&method=GET", []
    while url:
        page = program.get(url).json()
        pages.append(page)
        seen += [row["id"] for row in page["results"]]
        url = page["next"]
        # Time goes on, and the range of the pages stays what it was.
        monkeypatch.setattr("django.utils.timezone.now", lambda: TIME_ZERO + timedelta(hours=1))
    assert seen == many
    assert len(pages) == 3
    assert pages[0]["previous"] is None
    assert pages[0]["next"].startswith("http://alice.localhost/api/usage/records/?page_size=4")
    back = program.get(pages[-1]["previous"]).json()
    assert back["results"] == pages[1]["results"]
    first = program.get(back["previous"]).json()
    assert (first["results"], first["previous"]) == (pages[0]["results"], None)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=200", 11),
        ("status=404", 0),
        ("error_code=", 11),
        ("error_code=rate_limited", 0),
        (f"request_id={UUID(int=3)}", 1),
        ("method=get", 11),
        ("path=/wea", 11),
        ("path=wea", 0),
        (f"key={UUID(int=3)}", 0),
        (f"route={UUID(int=3)}", 0),
        ("abandoned=true", 0),
        ("abandoned=false", 11),
        ("slower_than_us=999", 11),
        ("slower_than_us=1000", 0),
        ("application=none", 11),
        ("status_class=2", 11),
    ],
)
def test_filters(program: Any, many: list[str], query: str, found: int) -> None:
    assert len(program.get(f"/api/usage/records/?{DAY}&{query}").json()["results"]) == found


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("before=x", "unknown_cursor"),
        (f"before=1-{'0' * 32}&after=1-{'0' * 32}", "two_cursors"),
        ("page_size=201", "invalid"),
        ("status=99999", "invalid"),
        ("path=%00", "invalid"),
        ("request_id=x", "invalid"),
        ("slower_than_us=99999999999999999999", "invalid"),
        ("min_attempts=-1", "invalid"),
        ("min_attempts=32768", "invalid"),
        ("page=2", "invalid"),
    ],
)
def test_what_cannot_be_found(program: Any, query: str, code: str) -> None:
    response = program.get(f"/api/usage/records/?{query}")
    assert (response.status_code, response.json()["code"]) == (400, code)
    assert response["Content-Type"] == "application/problem+json"


def rows(response: Any) -> list[dict[str, str]]:
    text = b"".join(response.streaming_content).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_csv_has_all_that_a_record_has(program: Any, full: dict[str, Any]) -> None:
    response = program.get(f"/api/usage/records.csv?{DAY}")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == (
        'attachment; filename="usage-20260314T0000-20260315T0000.csv"'
    )
    (row,) = rows(response)
    expected = {}
    for name, value in full.items():
        if isinstance(value, dict):
            expected |= {f"{name}_id": value["id"], name: value["name"]}
        else:
            expected[name] = str(value).lower() if isinstance(value, bool) else str(value)
    expected["at"] = "2026-03-14T15:09:26.535897+00:00"
    assert row == expected


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_cell_of_csv_is_no_formula(program: Any, alice_tenant: Any, start: str) -> None:
    path = f'{start}cmd("x"),\r\n1'
    record([event(alice_tenant, TIME_ZERO, path=path, error_code="-1", status=400)])
    (row,) = rows(program.get(f"/api/usage/records.csv?{DAY}"))
    assert row["path"] == f"'{path}"
    assert row["error_code"] == "'-1"
    assert row["total_us"] == "1000"


def test_csv_is_made_in_blocks(
    program: Any, many: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analytics.queries.calls.STREAMED_AT_ONCE", 4)
    chunks = list(program.get(f"/api/usage/records.csv?{DAY}&method=GET").streaming_content)
    assert [chunk.count(b"\r\n") for chunk in chunks] == [1, 4, 4, 3]
    assert program.get("/api/usage/records.csv?status=x").json()["code"] == "invalid"
    (header,) = program.get(f"/api/usage/records.csv?{DAY}&status=404").streaming_content
    assert header.startswith(b"id,at,method,path,status,")


@pytest.mark.django_db(transaction=True)
async def test_csv_is_streamed_by_a_server_on_an_event_loop(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asgiref.sync import sync_to_async

    def prepare() -> str:
        from tenants import services
        from tenants.models import AccountTier, Domain, Membership, Tenant, User

        tenant = Tenant.objects.create(
            name="Alice",
            slug="alice",
            schema_name="alice",
            tier=AccountTier.objects.create(name="Test"),
            state=Tenant.State.ACTIVE,
        )
        Domain.objects.create(tenant=tenant, domain="testserver", is_primary=True)
        alice = User.objects.create_user("alice", "alice@example.org", "alice-password")
        membership = Membership.objects.create(tenant=tenant, user=alice, role="owner")
        record(event(tenant, TIME_ZERO, id=UUID(int=n)) for n in range(1, 8))
        return services.issue_token(membership=membership, name="test")[1]

    monkeypatch.setattr("analytics.queries.calls.STREAMED_AT_ONCE", 4)
    token = await sync_to_async(prepare)()
    response = await AsyncClient().get(
        f"/api/usage/records.csv?{DAY}",
        headers={"authorization": f"Token {token}"},
    )
    assert response.status_code == 200
    assert response.is_async
    chunks = [chunk.count(b"\r\n") async for chunk in response.streaming_content]
    assert chunks == [1, 4, 3]
