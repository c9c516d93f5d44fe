"""The page of models and deployments, for those who may see usage and nobody else."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.utils import timezone

from analytics.admin.models import SHOWN
from analytics.admin.sparkline import HEIGHT, sparkline
from analytics.models import UsageRecord
from analytics.queries import Point, Totals
from catalog.models import AIModel, Deployment
from tests.analytics.models_cast import STREAM, cast, use
from tests.analytics.usage import happen

URL = "/admin/usage/models/"
TOKENS = {"input_tokens": 10, "output_tokens": 50}


def seen(answer: Any) -> str:
    assert answer.status_code == 200, answer
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


@pytest.fixture
def them(alice_tenant: Any, a_while_ago: datetime) -> Any:
    """Alice's models; five calls of ``fast``, of which one failed and one was refused."""
    them = cast(alice_tenant)
    priced = {"cost_micros": 2_500_000, "currency": "USD"}
    use(them, them.fast_north, a_while_ago, 2, **STREAM, **TOKENS, **priced)
    use(them, them.fast_north, a_while_ago, status=502, total_us=3_000_000)
    use(them, them.fast_south, a_while_ago, **STREAM, **TOKENS, currency="USD")
    happen(alice_tenant, a_while_ago, status=429, model_id=them.fast.pk, model="fast")
    return them


@pytest.fixture
def alices(client_for: Any, alice_tenant: Any, alice: Any) -> Any:
    return client_for(alice_tenant, alice)


def models(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200
    return {row["name"]: row for row in answer.context["models"]}


def places(answer: Any, model: str = "fast") -> dict[str, Any]:
    return {row["name"]: row for row in models(answer)[model]["places"]}


def test_models_and_deployments_are_shown_with_their_figures(alices: Any, them: Any) -> None:
    answer = alices.get(URL)
    fast, here = models(answer)["fast"], places(answer)["North · fast-1"]
    assert (fast["calls"], fast["limited"], fast["errors"]) == ("5", "1", "20.0 %")
    assert (here["calls"], here["cost"], here["speed"]) == ("3", "5.00 USD", "50.0")
    assert (here["price"]["text"], here["region"]) == ("0.25 / 2.00 USD", "EU")
    assert here["first_token"] != "–"
    assert models(answer)["slow"]["calls"] == "0"
    text = seen(answer)
    assert "No deployment asked" in text
    assert "2 models" in text
    assert answer.content.count(b'class="usage-trend"') == 4  # fast, its two, and no deployment


def test_unknown_costs_and_prices_are_flagged_and_not_zero(alices: Any, them: Any) -> None:
    answer = alices.get(URL)
    there, fast = places(answer)["South · fast-s"], models(answer)["fast"]
    assert (there["cost"], there["unpriced"]) == ("Unknown", "1 unpriced")
    assert there["price"] == {"known": False, "text": ""}
    assert (fast["cost"], fast["unpriced"]) == ("5.00 USD", "1 unpriced")
    assert fast["unpriced_now"]
    assert "Not all known" in seen(answer)
    free = places(answer, "slow")["South · slow-s"]
    assert free["price"] == {"known": True, "text": "0.00 / 0.00 USD"}
    assert free["cost"] == "–"
    assert "0.00 USD" not in seen(alices.get(URL, {"price": "unknown"}))


def test_health_is_told_with_what_workers_say(alices: Any, them: Any, tell: Any) -> None:
    tell(them.tenant, "one", {str(them.fast_north.pk): "open"})
    tell(them.tenant, "two", {str(them.fast_north.pk): "failing"})
    answer = alices.get(URL)
    here = places(answer)["North · fast-1"]
    assert (here["health"], models(answer)["fast"]["health"]) == ("Down", "Degraded")
    assert here["workers"]["count"] == "1 of 2 workers"
    assert "Left out: calls failed" in seen(answer)
    assert list(models(alices.get(URL, {"health": "attention"}))) == ["fast"]
    assert models(alices.get(URL, {"health": "off"})) == {}
    assert "No model matches" in seen(alices.get(URL, {"health": "off"}))


def test_figures_lead_to_the_calls_behind_them(alices: Any, them: Any) -> None:
    def behind(url: str) -> int:
        return len(alices.get(url).context["calls"])

    answer = alices.get(URL)
    fast, here = models(answer)["fast"], places(answer)["North · fast-1"]
    assert (behind(fast["calls_url"]), behind(here["calls_url"])) == (5, 3)
    assert (behind(here["errors_url"]), behind(fast["client_errors_url"])) == (1, 1)
    assert behind(places(answer)["No deployment"]["calls_url"]) == 1


def test_columns_sort_and_sort_the_other_way_round(alices: Any, them: Any) -> None:
    answer = alices.get(URL, {"q": "a"})
    columns = {column["title"]: column for column in answer.context["columns"]}
    assert columns["Calls"]["sorted"] == "descending"
    assert list(models(answer)) == ["fast"]
    turned = alices.get(URL + columns["Calls"]["url"])
    assert {c["title"]: c.get("sorted") for c in turned.context["columns"]}["Calls"] == "ascending"
    assert list(models(alices.get(URL, {"sort": "calls", "order": "asc"}))) == ["slow", "fast"]
    by_name = alices.get(URL + columns["Model"]["url"])
    assert list(models(by_name)) == ["fast"], "the filter was kept"
    assert [row["name"] for row in models(alices.get(URL, {"sort": "p95"}))["fast"]["places"]] == [
        "North · fast-1",
        "South · fast-s",
        "No deployment",
    ]


def test_filters_narrow_figures_and_lines(alices: Any, them: Any) -> None:
    only = alices.get(URL, {"provider": str(them.south.pk)})
    assert list(places(only)) == ["South · fast-s"]
    assert models(only)["fast"]["calls"] == "1"
    nothing = alices.get(URL, {"api": "7c3c1c5e-5d2c-4a53-9e55-0d6d8e5b0a11"})
    assert models(nothing)["fast"]["calls"] == "0"


def test_the_range_is_kept_to(alices: Any, them: Any, a_while_ago: datetime) -> None:
    use(them, them.fast_north, a_while_ago - timedelta(days=3), 4)
    assert models(alices.get(URL, {"range": "24h"}))["fast"]["calls"] == "5"
    assert models(alices.get(URL, {"range": "7d"}))["fast"]["calls"] == "9"


def test_no_record_is_read(alices: Any, them: Any) -> None:
    before = alices.get(URL).content
    UsageRecord.objects.all().delete()
    csrf = re.compile(rb'(csrfmiddlewaretoken" value="|csrf_token=)[^"]+')
    assert csrf.sub(b"", alices.get(URL).content) == csrf.sub(b"", before)


def test_without_models_the_page_says_what_to_do(alices: Any, alice_tenant: Any) -> None:
    answer = alices.get(URL)
    assert "There are no models yet" in seen(answer)
    assert "Add a model" in seen(answer)


def test_a_viewer_is_not_asked_to_add_one(client_for: Any, alice_tenant: Any, vera: Any) -> None:
    text = seen(client_for(alice_tenant, vera).get(URL))
    assert "There are no models yet" in text
    assert "Add a model" not in text


def test_bad_parameters_are_told_and_left_out(alices: Any, them: Any) -> None:
    text = seen(alices.get(URL, {"sort": "beauty", "health": "fine", "range": "soon", "page": "x"}))
    assert text.count("was left out") == 2
    assert "There is no range “soon”" in text
    assert "fast" in text


@pytest.mark.parametrize("who", ["alice", "bob", "vera"])
def test_every_member_sees_it(request: Any, client_for: Any, them: Any, who: str) -> None:
    client = client_for(them.tenant, request.getfixturevalue(who))
    assert models(client.get(URL))["fast"]["calls"] == "5"


def test_others_do_not(client_for: Any, them: Any, charlie_tenant: Any, charlie: Any) -> None:
    for client in (client_for(them.tenant), client_for(them.tenant, charlie)):
        answer = client.get(URL)
        assert answer.status_code in (302, 403)
        assert b"fast" not in answer.content


def test_the_other_tenants_models_are_not_shown(
    client_for: Any, them: Any, charlie_tenant: Any, charlie: Any, tell: Any, a_while_ago: datetime
) -> None:
    theirs = cast(charlie_tenant)
    with charlie_tenant:
        theirs.slow.name = "charlies-secret"
        theirs.slow.save()
    use(theirs, theirs.slow_south, a_while_ago, 9)
    tell(charlie_tenant, "one", {str(them.fast_north.pk): "open"})
    alices = client_for(them.tenant, them.tenant.memberships.first().user)
    answer = alices.get(URL)
    assert "secret" not in seen(answer)
    assert models(answer)["fast"]["health"] == "Healthy"
    for name, row in (("model", theirs.slow), ("deployment", theirs.slow_south)):
        assert models(alices.get(URL, {name: str(row.pk)})) == {}


def test_demo_data_is_marked_and_can_be_left_out(alices: Any, them: Any) -> None:
    from analytics.models import INTERVALS

    assert alices.get(URL).context["demo"] is None
    for table in INTERVALS.values():
        table.objects.filter(deployment_id=them.fast_north.pk).update(demo=True)
    answer = alices.get(URL)
    assert "3 of these calls are demo data" in seen(answer)
    assert models(alices.get(URL + answer.context["demo"]["url"]))["fast"]["calls"] == "2"


def test_a_trend_draws_calls_and_failures_to_scale() -> None:
    start = timezone.now()
    drawn = sparkline(
        [
            Point(start, Totals(calls=10, server_errors=5)),
            Point(start, Totals()),
            Point(start, Totals(calls=5)),
            Point(start, Totals(calls=2, server_errors=2)),
        ]
    )
    heights = [float(part) for part in re.findall(r"v-([\d.]+)h", drawn.good)]
    assert heights == [HEIGHT / 2, HEIGHT / 2]
    assert [float(part) for part in re.findall(r"v-([\d.]+)h", drawn.bad)] == [
        HEIGHT / 2,
        round(HEIGHT / 5, 1),
    ]
    assert "Most: 10 calls" in drawn.told
    assert "7 with 5xx" in drawn.told
    assert sparkline([Point(start, Totals())]) is None


@pytest.fixture
def many(them: Any) -> list[str]:
    """The names of 48 models more, each served by South."""
    with them.tenant:
        rows = [AIModel(name=f"more-{n:02}", abilities=["chat"]) for n in range(48)]
        AIModel.objects.bulk_create(rows)
        Deployment.objects.bulk_create(
            Deployment(model=row, provider=them.south, provider_model=f"of-{row.name}")
            for row in rows
        )
    return [row.name for row in rows]


def test_many_models_are_paged_and_their_deployments_folded(
    alices: Any, them: Any, many: list[str]
) -> None:
    answer, found = alices.get(URL), []
    assert "50 models" in seen(answer)
    while True:
        found += models(answer)
        assert len(models(answer)) <= SHOWN
        assert all(row["places"] == [] for row in models(answer).values())
        if not answer.context["next"]:
            break
        answer = alices.get(URL + answer.context["next"])
    assert sorted(found) == sorted(["fast", "slow", *many])
    first = alices.get(URL)
    assert first.content.count(b'class="usage-trend"') == 1, "fast alone was called"
    assert models(first)["fast"]["fold"]["text"] == "2 deployments"


def test_deployments_are_shown_on_request_of_one_model_or_of_all(
    alices: Any, them: Any, many: list[str], tell: Any
) -> None:
    tell(them.tenant, "one", {str(them.fast_north.pk): "open"})
    folded = alices.get(URL, {"sort": "name"})
    assert models(folded)["fast"]["fold"]["text"] == "2 deployments, 1 down"
    opened = alices.get(URL + models(folded)["fast"]["fold"]["url"].partition("#")[0])
    shown = [name for name, row in models(opened).items() if row["places"]]
    assert shown == ["fast"]
    assert list(models(opened)) == list(models(folded)), "the order was kept"
    assert {"North · fast-1", "South · fast-s", "No deployment"} == set(places(opened))
    again = alices.get(URL + models(opened)["fast"]["fold"]["url"].partition("#")[0])
    assert not any(row["places"] for row in models(again).values())
    second = alices.get(URL + folded.context["next"])
    every = alices.get(URL + second.context["all"]["url"])
    assert list(models(every)) == list(models(second)), "it is the same page"
    assert all(row["places"] for row in models(every).values())
    none = alices.get(URL + every.context["all"]["url"])
    assert not any(row["places"] for row in models(none).values())


def test_few_models_show_their_deployments_unasked(alices: Any, them: Any, many: list[str]) -> None:
    assert places(alices.get(URL, {"q": "fast"}))
    assert not places(alices.get(URL, {"q": "fast", "open": "none"}))
    assert list(models(alices.get(URL, {"q": "of-more-07"}))) == ["more-07"]
