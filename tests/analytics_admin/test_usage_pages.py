"""The dashboard, the call log and a call's page, for those who may see them and nobody else."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from analytics.models import RollupDay, RollupHour, RollupMinute, UsageRecord
from contract.usage import Measured
from tests.analytics.usage import happen

HOME, CALLS, LIVE = "/admin/", "/admin/usage/calls/", "/admin/usage/live/"


def page_of(record: UsageRecord) -> str:
    return f"{CALLS}{record.id}/"


def seen(answer: Any) -> str:
    """The page's text, without its tags."""
    assert answer.status_code == 200, answer
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


def figures(answer: Any) -> dict[str, str]:
    return {card.label: card.value for card in answer.context["usage"]["cards"]}


@pytest.fixture
def alices(client_for: Any, alice_tenant: Any, alice: Any) -> Any:
    """Alice's browser."""
    return client_for(alice_tenant, alice)


@pytest.mark.parametrize("who", ["alice", "bob", "vera"])
def test_owner_publisher_and_viewer_see_all_of_it(
    request: Any, client_for: Any, ours: Any, who: str
) -> None:
    client = client_for(ours.tenant, request.getfixturevalue(who))
    assert "Top applications" in seen(client.get(HOME))
    assert "7 calls" in seen(client.get(CALLS))
    assert "upstream_unreachable" in seen(client.get(page_of(ours.record)))
    assert client.get(LIVE).json()["calls"] == 7


def test_the_dashboard_shows_what_happened(alices: Any, ours: Any, theirs: Any) -> None:
    shown = figures(alices.get(HOME))
    assert shown["Calls"] == "7"
    assert shown["Error rate"] == "14.3 %"
    assert shown["Tokens in"] == "1,200"
    assert shown["Tokens out"] == "345"
    assert shown["Cost, USD"] == "2.50"
    text = seen(alices.get(HOME))
    assert "Shop of Alice" in text
    assert "Shop of Charlie" not in text


@pytest.mark.parametrize(
    ("known", "told", "card"),
    [(None, "1 unpriced", "–"), (7, "0.000007 USD, 1 unpriced", "0.000007")],
)
def test_an_unknown_cost_is_not_told_as_zero(
    alices: Any, alice_tenant: Any, a_while_ago: Any, known: int | None, told: str, card: str
) -> None:
    tokens = {"input_tokens": 3, "output_tokens": 4, "currency": "USD", "model": "m"}
    happen(alice_tenant, a_while_ago, **tokens)
    if known is not None:
        happen(alice_tenant, a_while_ago, **tokens, cost_micros=known)
    page = alices.get(HOME)
    assert f"{told} " in seen(page)
    assert "1 call without a price" in seen(page)
    assert figures(page)["Cost, USD"] == card
    assert [row["cost"] for row in page.context["usage"]["rows"]] == [told]


def test_what_was_saved_is_a_figure_and_a_chart_where_something_was(alices: Any, ours: Any) -> None:
    page = alices.get(HOME)
    assert figures(page)["Saved, USD"] == "7.50"
    assert "75.0 % of what it would have cost" in seen(page)
    lines = page.context["usage"]["charts"]["charts"]["saved"]
    assert [(one["label"], sum(one["values"])) for one in lines] == [("USD", 7.5)]
    assert 'data-chart="saved"' in page.text
    other = alices.get(HOME, {"api": str(ours.api.pk)})
    assert "Saved, USD" not in figures(other)
    assert 'data-chart="saved"' not in other.text


def test_figures_follow_the_filters_in_the_address(alices: Any, ours: Any) -> None:
    assert figures(alices.get(HOME, {"api": str(ours.other.pk)}))["Calls"] == "1"
    assert figures(alices.get(HOME, {"api": str(ours.api.pk), "class": "5"}))["Calls"] == "1"
    assert figures(alices.get(HOME, {"model": "none"}))["Calls"] == "7"


def test_each_figure_point_and_row_leads_to_the_calls_behind_it(alices: Any, ours: Any) -> None:
    usage = alices.get(HOME).context["usage"]
    by_label = {card.label: card for card in usage["cards"]}
    top = usage["tables"][0]["rows"][0]
    full = [
        url
        for url, *counts in zip(
            usage["charts"]["urls"],
            *(line["values"] for line in usage["charts"]["charts"]["calls"]),
            strict=True,
        )
        if any(counts)
    ]

    def behind(url: str) -> int:
        return len(alices.get(url).context["calls"])

    assert behind(by_label["Calls"].url) == 7
    assert behind(by_label["Calls"].note_url) == 1
    assert behind(by_label["Error rate"].url) == 1
    assert behind(by_label["Error rate"].note_url) == 1
    assert behind(by_label["99th percentile"].url) <= 1
    assert (top["name"], behind(top["url"]), behind(top["errors_url"])) == ("Weather", 6, 1)
    assert [behind(url) for url in full] == [7]
    assert behind(full[0] + "&class=5") == 1
    assert figures(alices.get(top["focus"]))["Calls"] == "6"


def test_changes_are_against_the_period_before(
    alices: Any, alice_tenant: Any, ours: Any, a_while_ago: Any
) -> None:
    happen(alice_tenant, a_while_ago - timedelta(hours=24), 14)
    cards = {card.label: card for card in alices.get(HOME).context["usage"]["cards"]}
    assert cards["Calls"].change == "-50 %"


def test_without_calls_the_page_says_what_to_do(alices: Any, alice_tenant: Any) -> None:
    text = seen(alices.get(HOME))
    assert "No calls in this range" in text
    assert "Authorization: Bearer YOUR_API_KEY" in text
    assert "No call matches" in seen(alices.get(CALLS))


def test_demo_data_is_marked_and_can_be_left_out(alices: Any, ours: Any) -> None:
    assert alices.get(HOME).context["usage"]["demo"] is None
    for table in (UsageRecord, RollupMinute, RollupHour, RollupDay):
        table.objects.filter(tenant_id=ours.tenant.pk, api_id=ours.other.pk).update(demo=True)
    answer = alices.get(HOME)
    assert "1 of these calls are demo data" in seen(answer)
    left_out = alices.get(HOME + answer.context["usage"]["demo"]["url"])
    assert figures(left_out)["Calls"] == "6"
    marked = [call["what"] for call in alices.get(CALLS).context["calls"] if call["demo"]]
    assert marked == ["POST /orders/7"]


@pytest.mark.parametrize("page", [HOME, CALLS])
def test_bad_parameters_are_told_and_the_default_is_shown(
    alices: Any, ours: Any, page: str
) -> None:
    text = seen(alices.get(page, {"range": "soon", "api": "weather", "class": "9"}))
    assert "There is no range “soon”" in text
    assert text.count("was left out") == 2
    assert "last 24 hours" in text


def test_the_log_filters_by_what_only_records_know(alices: Any, ours: Any) -> None:
    def found(**params: str) -> list[str]:
        return sorted(call["status"] for call in alices.get(CALLS, params).context["calls"])

    assert found(status="429") == ["429"]
    assert found(error_code="upstream_unreachable") == ["502"]
    assert found(path="/weather/oslo") == ["429"]
    assert found(method="post") == ["200"]
    assert found(slower_ms="500") == ["502"]
    assert found(min_attempts="2") == ["502"]
    assert found(request_id=str(ours.record.id)) == ["502"]
    assert found(**{"class": "4"}) == ["429"]


def test_the_log_is_paged_by_key_to_its_end_and_back(
    alices: Any, alice_tenant: Any, a_while_ago: Any
) -> None:
    for second in range(120):
        happen(alice_tenant, a_while_ago - timedelta(seconds=second), path=f"/n/{second:03}")
    pages, url = [], CALLS
    while url:
        context = alices.get(url).context
        pages.append([call["what"] for call in context["calls"]])
        url = CALLS + context["older"] if context["older"] else ""
    assert [len(page) for page in pages] == [50, 50, 20]
    assert [what for page in pages for what in page] == [
        f"GET /n/{second:03}" for second in range(120)
    ]
    back = alices.get(CALLS + context["newer"]).context
    assert [call["what"] for call in back["calls"]] == pages[1]


def test_a_place_that_is_none_is_told_and_the_newest_are_shown(alices: Any, ours: Any) -> None:
    answer = alices.get(CALLS, {"before": "nowhere"})
    assert "Shown are the newest" in seen(answer)
    assert len(answer.context["calls"]) == 7


def test_counts_are_estimates_from_the_rollups(alices: Any, ours: Any) -> None:
    RollupMinute.objects.filter(tenant_id=ours.tenant.pk, status_class=2).update(calls=2_449_999)
    RollupHour.objects.filter(tenant_id=ours.tenant.pk, status_class=2).update(calls=2_449_999)
    RollupDay.objects.filter(tenant_id=ours.tenant.pk, status_class=2).update(calls=2_449_999)
    assert "About 4.9 million calls" in seen(alices.get(CALLS))


def test_a_call_has_a_page_with_all_of_it(alices: Any, ours: Any) -> None:
    record = UsageRecord.objects.get(tenant_id=ours.tenant.pk, method="POST")
    answer = alices.get(page_of(record))
    text = seen(answer)
    for part in (str(record.id), "/orders/7", "north-large", "1,200", "345", "2.50 USD"):
        assert part in text
    body = answer.content.decode()
    assert f"/admin/catalog/api/{ours.other.pk}/change/" in body
    assert f"/admin/catalog/application/{ours.application.pk}/change/" in body


def test_the_log_and_the_page_tell_how_often_a_call_was_sent(alices: Any, ours: Any) -> None:
    assert seen(alices.get(CALLS)).count("3 attempts") == 1
    facts = dict(alices.get(page_of(ours.record)).context["groups"])["Call"]
    assert ("Attempts upstream", "3", "") in facts
    known_by_nobody = UsageRecord.objects.get(tenant_id=ours.tenant.pk, method="POST")
    facts = dict(alices.get(page_of(known_by_nobody)).context["groups"])["Call"]
    assert ("Attempts upstream", "–", "") in facts


@pytest.mark.parametrize(
    ("measured", "told"),
    [
        (Measured("picture", 3, "1024x1536/high"), "3 pictures (1024x1536/high)"),
        (Measured("picture", 1, "auto/auto"), "1 picture (auto/auto)"),
        (Measured("picture"), "an unknown number of pictures"),
        (Measured("millisecond", 90_500), "90.5 seconds of sound"),
        (Measured("millisecond", 6000), "6 seconds of sound"),
        (Measured("millisecond"), "sound of unknown length"),
        (Measured("character", 4912), "4,912 characters"),
        (Measured("search", 2), "2 searches"),
    ],
)
def test_what_a_call_did_besides_tokens_is_on_its_page(
    alices: Any, ours: Any, measured: Measured, told: str
) -> None:
    happen(ours.tenant, ours.record.at, model="paints", measured=measured)
    record = UsageRecord.objects.get(model="paints")
    facts = dict(alices.get(page_of(record)).context["groups"])["AI"]
    assert ("Besides tokens", told, "") in facts
    assert ("Cost", "unknown", "") in facts


def test_a_calls_time_is_split_into_gateway_and_upstream(alices: Any, ours: Any) -> None:
    record = UsageRecord.objects.filter(tenant_id=ours.tenant.pk, total_us=2000).first()
    latency = alices.get(page_of(record)).context["latency"]
    assert (latency["gateway"], latency["upstream"]) == ("500 µs", "1.5 ms")
    assert (latency["gateway_width"], latency["upstream_width"]) == (25, 75)


def test_the_csv_has_the_calls_that_the_log_shows(alices: Any, ours: Any) -> None:
    chosen = {"class": "5", "slower_ms": "1", "min_attempts": "2"}
    url = alices.get(CALLS, chosen).context["csv"]
    assert url.startswith("/api/usage/records.csv?")
    assert "status_class=5" in url
    assert "slower_than_us=1000" in url
    assert "min_attempts=2" in url


def test_anothers_calls_are_out_of_reach(alices: Any, ours: Any, theirs: Any) -> None:
    at = int(theirs.record.at.timestamp() * 1_000_000)
    for url in (page_of(theirs.record), f"{page_of(theirs.record)}?at={at}"):
        assert alices.get(url).status_code == 404
    assert "charlies-secret" not in alices.get(CALLS).content.decode()
    assert alices.get(CALLS, {"request_id": str(theirs.record.id)}).context["calls"] == []
    assert alices.get(CALLS, {"api": str(theirs.api.pk)}).context["calls"] == []
    assert alices.get(HOME, {"api": str(theirs.api.pk)}).context["usage"]["calls"] == 0
    assert alices.get(LIVE).json()["calls"] == 7
    assert alices.get(LIVE, {"application": str(theirs.application.pk)}).json()["latest"] == []


@pytest.mark.parametrize("url", [HOME, CALLS, LIVE, "the call"])
def test_strangers_and_members_of_other_tenants_are_sent_to_sign_in(
    client_for: Any, ours: Any, theirs: Any, charlie: Any, url: str
) -> None:
    place = page_of(ours.record) if url == "the call" else url
    for user in (None, charlie):
        answer = client_for(ours.tenant, user).get(place)
        assert answer.status_code == 302
        assert answer["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("url", [CALLS, LIVE])
def test_nothing_is_changed_by_posting(alices: Any, ours: Any, url: str) -> None:
    before = UsageRecord.objects.count()
    alices.post(url, {"action": "delete_selected"})
    assert UsageRecord.objects.count() == before


@pytest.mark.parametrize(("page", "most"), [(HOME, 75), (CALLS, 30), (LIVE, 20)])
def test_a_page_takes_as_many_queries_for_many_calls_as_for_few(
    alices: Any, ours: Any, page: str, most: int
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert alices.get(page).status_code == 200
        return len([query for query in captured if "search_path" not in query["sql"]])

    queries()
    few = queries()
    for minute in range(8):
        at = timezone.now() - timedelta(minutes=minute)
        happen(ours.tenant, at, 5, api_id=ours.api.pk, application_id=ours.application.pk)
    assert queries() == few
    assert few <= most, few
