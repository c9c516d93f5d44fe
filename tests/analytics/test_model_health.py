"""Health and figures of models and deployments through the management API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.db import connection
from django.test.utils import CaptureQueriesContext
from drf_spectacular.generators import SchemaGenerator
from models_cast import STREAM, cast, use

from analytics.model_health import HEALTH, trend_axis
from analytics.models import UsageRecord
from analytics.queries import Range
from catalog import target_states
from catalog.models import AIModel, PriceChange
from contract.target_states import WORST_FIRST
from tests.analytics.usage import happen

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 14, 15, 9, 26, 535897, tzinfo=UTC)
THERE = ("North · fast-1", "South · fast-s")
AGO = NOW - timedelta(minutes=30)
URL = "/api/usage/models/"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is always NOW."""
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)


@pytest.fixture
def ours(alice_tenant: Any) -> Any:
    return cast(alice_tenant)


@pytest.fixture
def get(alice_tenant: Any, alice: Any, api_client: Any) -> Any:
    client = api_client(alice_tenant, alice)

    def ask(status: int = 200, **params: Any) -> Any:
        response = client.get(URL, params)
        assert response.status_code == status, response.content
        return response.json()

    return ask


def by_name(body: Any) -> dict[str, Any]:
    return {row["name"]: row for row in body["results"]}


def places(body: Any, model: str = "fast") -> dict[str, Any]:
    return by_name({"results": by_name(body)[model]["deployments"]})


def test_figures_of_a_model_are_those_of_its_deployments_together(get: Any, ours: Any) -> None:
    tokens = {"input_tokens": 10, "output_tokens": 50}
    use(ours, ours.fast_north, AGO, 2, **STREAM, **tokens, cost_micros=7, currency="USD")
    use(ours, ours.fast_north, AGO, status=502, total_us=3_000_000)
    use(ours, ours.fast_south, AGO, **STREAM, **tokens, cache_write_tokens=4)
    happen(ours.tenant, AGO, status=429, model_id=ours.fast.pk, model="fast")
    happen(ours.tenant, AGO, 5)
    body = get()
    fast, here, there = (by_name(body)["fast"], *map(places(body).get, THERE))
    assert (fast["calls"], fast["errors"], fast["server_errors"], fast["limited"]) == (5, 2, 1, 1)
    assert (here["name"], here["calls"], here["error_rate"]) == ("North · fast-1", 3, 1 / 3)
    assert (here["streams"], here["tokens_per_second"]) == (2, 50.0)
    assert here["mean_first_token_us"] == 200_000
    assert abs(here["p50_first_token_us"] / 200_000 - 1) < 0.045
    assert abs(here["p95_us"] / 3_000_000 - 1) < 0.045
    assert (here["cost_micros"], here["unpriced"]) == ({"USD": 14}, 0)
    assert (there["name"], there["calls"], there["cache_write_tokens"]) == ("South · fast-s", 1, 4)
    nowhere = places(body)["No deployment"]
    assert (nowhere["id"], nowhere["calls"], nowhere["health"]) == (None, 1, None)
    assert by_name(body)["slow"]["calls"] == 0
    assert by_name(body)["slow"]["p95_us"] is None


def test_what_is_not_known_is_null_and_never_zero(get: Any, ours: Any) -> None:
    use(ours, ours.fast_south, AGO, input_tokens=10, output_tokens=50, currency="USD")
    use(ours, ours.slow_south, AGO, input_tokens=10, cost_micros=0, currency="USD")
    body = get()
    there = places(body)["South · fast-s"]
    assert (there["cost_micros"], there["unpriced"]) == (None, 1)
    unknown = {"input": None, "output": None, "currency": "USD", "known": False}
    assert there["price"] == unknown
    assert (there["tokens_per_second"], there["p50_first_token_us"]) == (None, None)
    free = places(body, "slow")["South · slow-s"]
    assert (free["cost_micros"], free["unpriced"]) == ({"USD": 0}, 0)
    assert (free["price"]["input"], free["price"]["known"]) == ("0.000000", True)


def test_the_price_is_the_one_that_holds_now(get: Any, ours: Any, alice_tenant: Any) -> None:
    with alice_tenant:
        for days, price in ((-9, "1"), (-1, "0.5"), (1, "9")):
            PriceChange.objects.create(
                deployment=ours.fast_north,
                since=NOW + timedelta(days=days),
                input_price=price,
                output_price="3",
                currency="EUR",
            )
    price = places(get())["North · fast-1"]["price"]
    assert price == {"input": "0.500000", "output": "3.000000", "currency": "EUR", "known": True}


def test_what_makes_no_text_needs_no_price_for_its_output(
    get: Any, ours: Any, alice_tenant: Any
) -> None:
    with alice_tenant:
        AIModel.objects.filter(pk=ours.fast.pk).update(abilities=["embeddings"])
        ours.fast_north.output_price = None
        ours.fast_north.save()
    price = places(get())["North · fast-1"]["price"]
    assert (price["output"], price["known"]) == (None, True)


@pytest.mark.parametrize(
    ("state", "place", "model"),
    [
        ("open", "down", "degraded"),
        ("down", "down", "degraded"),
        ("half-open", "degraded", "degraded"),
        ("resting", "degraded", "degraded"),
        ("failing", "degraded", "degraded"),
        ("healthy", "healthy", "healthy"),
    ],
)
def test_health_is_what_the_worst_worker_tells(
    get: Any, ours: Any, tell: Any, state: str, place: str, model: str
) -> None:
    tell(ours.tenant, "one", {str(ours.fast_north.pk): "healthy"})
    tell(ours.tenant, "two", {str(ours.fast_north.pk): state})
    body = get()
    here = places(body)["North · fast-1"]
    assert (here["health"], by_name(body)["fast"]["health"]) == (place, model)
    assert here["seen"][0]["state"] == state
    assert {one["worker"] for one in here["seen"]} == {"one", "two"}
    assert places(body)["South · fast-s"]["health"] == "healthy"
    assert by_name(body)["slow"]["health"] == "healthy"


def test_every_state_that_workers_tell_of_has_its_place(ours: Any, get: Any, tell: Any) -> None:
    for state in WORST_FIRST:
        tell(ours.tenant, "one", {str(ours.fast_north.pk): state})
        assert places(get())["North · fast-1"]["health"] in HEALTH


def test_a_model_is_down_where_no_deployment_can_be_asked(
    get: Any, ours: Any, tell: Any, alice_tenant: Any
) -> None:
    tell(ours.tenant, "one", {str(ours.slow_south.pk): "open"})
    assert by_name(get())["slow"]["health"] == "down"
    with alice_tenant:
        ours.slow_south.enabled = False
        ours.slow_south.save()
        AIModel.objects.create(name="nowhere", abilities=["chat"])
        ours.fast.enabled = False
        ours.fast.save()
    body = get()
    assert by_name(body)["slow"]["health"] == by_name(body)["nowhere"]["health"] == "down"
    assert places(body, "slow")["South · slow-s"]["health"] == "off"
    assert by_name(body)["fast"]["health"] == "off"


def test_without_valkey_health_is_unknown_and_figures_are_told(
    get: Any, ours: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> Any:
        raise redis.ConnectionError("away")

    use(ours, ours.fast_north, AGO)
    monkeypatch.setattr(target_states.store, "client", away)
    fast = by_name(get())["fast"]
    assert (fast["health"], fast["calls"]) == ("unknown", 1)


def test_deleted_models_and_deployments_stay_while_they_have_calls(
    get: Any, ours: Any, alice_tenant: Any
) -> None:
    use(ours, ours.fast_south, AGO, 2)
    use(ours, ours.slow_south, AGO, 3)
    south, slow = ours.fast_south.pk, ours.slow.pk
    with alice_tenant:
        ours.fast_south.delete()
        ours.slow.delete()
    body = get()
    gone = places(body)[f"deleted ({south.hex[:8]})"]
    assert (gone["health"], gone["calls"], gone["price"]) == ("deleted", 2, None)
    model = by_name(body)[f"deleted ({slow.hex[:8]})"]
    assert (model["health"], model["calls"]) == ("deleted", 3)
    assert slow.hex[:8] not in str(get(q="fast"))


def test_the_trend_is_of_the_whole_range_and_adds_up(get: Any, ours: Any) -> None:
    for hours in (1, 5, 23):
        use(ours, ours.fast_north, NOW - timedelta(hours=hours), hours, total_us=1000)
    use(ours, ours.fast_south, NOW - timedelta(hours=5), status=503, total_us=9000)
    body = get(start="2026-03-13T16:00:00Z", end="2026-03-14T16:00:00Z")
    fast = by_name(body)["fast"]
    assert body["trend_seconds"] == 3600
    assert [point["calls"] for point in fast["trend"] if point["calls"]] == [23, 6, 1]
    assert len(fast["trend"]) == 24
    assert fast["trend"][0]["start"] == "2026-03-13T16:00:00Z"
    assert sum(point["server_errors"] for point in fast["trend"]) == fast["server_errors"] == 1
    assert fast["trend"][1]["p95_us"] is None


@pytest.mark.parametrize(
    ("length", "step"),
    [
        (timedelta(hours=1), timedelta(minutes=2)),
        (timedelta(days=1), timedelta(hours=1)),
        (timedelta(days=7), timedelta(hours=6)),
        (timedelta(days=30), timedelta(days=1)),
        (timedelta(days=400), timedelta(days=14)),
    ],
)
def test_a_trend_has_few_points_whatever_the_range(length: timedelta, step: timedelta) -> None:
    axis, found = trend_axis(Range(NOW - length, NOW))
    assert found == step
    assert 20 <= len(axis.starts) <= 33
    assert axis.starts[0] <= NOW - length
    assert axis.end >= NOW
    old, found = trend_axis(Range(NOW - timedelta(days=500, hours=1), NOW - timedelta(days=500)))
    assert (old.source, found) == ("day", timedelta(days=1))


def test_models_are_sorted_and_filtered(get: Any, ours: Any, tell: Any) -> None:
    use(ours, ours.fast_north, AGO, 5, total_us=1000)
    use(ours, ours.slow_south, AGO, 2, total_us=900_000, status=500)
    tell(ours.tenant, "one", {str(ours.slow_south.pk): "open"})

    def names(**params: Any) -> list[str]:
        return [row["name"] for row in get(**params)["results"]]

    assert names() == names(sort="calls") == ["fast", "slow"]
    assert names(sort="calls", order="asc") == ["slow", "fast"]
    for sort in ("p50", "p95", "errors", "health"):
        assert names(sort=sort) == ["slow", "fast"], sort
    assert names(sort="name", order="desc") == ["slow", "fast"]
    assert names(sort="first_token") == names(sort="cost", order="asc") == ["fast", "slow"]
    assert names(q="SLO") == names(health="down") == names(health="attention") == ["slow"]
    assert names(q="north") == names(unpriced="true") == ["fast"]
    assert names(health="deleted") == []
    assert names(provider=str(ours.north.pk)) == names(model=str(ours.fast.pk)) == ["fast"]
    only = get(provider=str(ours.south.pk))
    assert list(places(only)) == ["South · fast-s"]
    assert by_name(only)["fast"]["calls"] == 0
    assert by_name(get(deployment=str(ours.slow_south.pk)))["slow"]["calls"] == 2


def test_a_page_is_a_part_and_leads_to_the_next(get: Any, ours: Any, api_client: Any) -> None:
    use(ours, ours.slow_south, AGO)
    first = get(page_size=1)
    assert (first["count"], len(first["results"]), first["previous"]) == (2, 1, None)
    assert "page=2" in first["next"]
    second = get(page_size=1, page=2)
    assert [row["name"] for row in first["results"] + second["results"]] == ["slow", "fast"]
    assert second["next"] is None
    assert "page=1" in second["previous"]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"sort": "beauty"}, "sort"),
        ({"order": "up"}, "order"),
        ({"health": "fine"}, "health"),
        ({"page": "0"}, "page"),
        ({"status_class": "5"}, "status_class"),
        ({"provider": "North"}, "provider"),
    ],
)
def test_what_cannot_be_asked_is_told(get: Any, params: dict[str, str], field: str) -> None:
    answer = get(400, **params)
    assert field in str(answer)


def test_without_models_there_is_an_empty_list(get: Any) -> None:
    body = get()
    assert (body["count"], body["results"], body["next"]) == (0, [], None)


def test_the_other_tenants_models_calls_and_health_are_not_told(
    get: Any, ours: Any, charlie_tenant: Any, tell: Any
) -> None:
    theirs = cast(charlie_tenant)
    with charlie_tenant:
        theirs.slow.name = "charlies-secret"
        theirs.slow.save()
    use(theirs, theirs.fast_north, AGO, 9)
    tell(charlie_tenant, "one", {str(ours.fast_north.pk): "open"})
    body = get()
    assert "secret" not in str(body)
    assert [row["calls"] for row in body["results"]] == [0, 0]
    assert {row["health"] for row in body["results"]} == {"healthy"}
    for name in ("model", "provider", "deployment"):
        id_ = {"model": theirs.fast, "provider": theirs.north, "deployment": theirs.fast_north}
        assert get(**{name: str(id_[name].pk)})["results"] == []
        assert get(**{name: str(uuid4())})["results"] == []


@pytest.mark.parametrize("role", ["owner", "admin", "publisher", "viewer"])
def test_every_member_may_read_it_and_nobody_write(
    alice_tenant: Any, api_client: Any, member: Any, role: str
) -> None:
    client = api_client(alice_tenant, member(alice_tenant, role, "somebody"))
    assert client.get(URL).status_code == 200
    for method in ("post", "put", "patch", "delete"):
        assert getattr(client, method)(URL).status_code in (403, 405)


def test_strangers_and_keys_of_applications_may_not(
    alice_tenant: Any, api_client: Any, charlie_tenant: Any, charlie: Any
) -> None:
    from catalog.models import Application
    from catalog.services import access
    from tenants import services
    from tenants.models import Membership

    with alice_tenant:
        _, secret = access.issue_key(application=Application.objects.create(name="Shop"))
    with_key = api_client(alice_tenant)
    with_key.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    membership = Membership.objects.get(tenant=charlie_tenant, user=charlie)
    _, token = services.issue_token(membership=membership, name="t")
    for client in (api_client(alice_tenant), with_key, api_client(alice_tenant, token=token)):
        assert client.get(URL).status_code == 401


def test_no_record_is_read_and_queries_do_not_grow_with_models(
    ours: Any, get: Any, alice_tenant: Any
) -> None:
    use(ours, ours.fast_north, AGO)
    UsageRecord.objects.all().delete()

    def asked() -> list[str]:
        with CaptureQueriesContext(connection) as queries:
            assert by_name(get())["fast"]["calls"] == 1
        return [query["sql"] for query in queries]

    asked()  # also notes when the token was used
    few = asked()
    assert not any("usagerecord" in sql for sql in few)
    with alice_tenant:
        for number in range(20):
            AIModel.objects.create(name=f"m{number}", abilities=["chat"])
    assert len(asked()) == len(few)


def test_openapi_describes_it() -> None:
    schema = SchemaGenerator().get_schema(request=None, public=True)
    operation = schema["paths"][URL]["get"]
    assert {"sort", "order", "health", "q", "unpriced", "page"} <= {
        row["name"] for row in operation["parameters"]
    }
    assert {"200", "400", "401", "403"} <= set(operation["responses"])
    assert {"API key": []} not in operation["security"]
    model = schema["components"]["schemas"]["ModelOut"]["properties"]
    assert {"health", "trend", "tokens_per_second", "cost_micros", "deployments"} <= set(model)
