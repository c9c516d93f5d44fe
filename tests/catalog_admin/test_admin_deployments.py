"""A deployment's bounds and prices in the console, and prices from a day on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from catalog.models import Deployment, PriceChange
from catalog.services import ai, prices
from contract import snapshot
from tests.catalog_admin.pages import below, of
from tests.catalog_admin.routing_forms import model_form, of_model
from tests.catalog_admin.test_admin_forms import errors, posted


@pytest.fixture
def client(client_for: Any, alice_tenant: Any, alice: Any) -> Any:
    return client_for(alice_tenant, alice)


def place_form(place: Deployment, **fields: Any) -> dict[str, Any]:
    return posted(place, **fields) | fields


def test_bounds_and_prices_of_a_deployment_reach_the_gateways(told: Any, ours: Any) -> None:
    place = ours.aimodel.deployments.get()
    form = place_form(
        place,
        region="EU",
        context_tokens="200000",
        priority="2",
        abilities=["vision", "tools"],
        tokens_per_minute="90000",
        cached_price="0.5",
        search_price="10",
        picture_price="0.04",
        heard_hour_price="0.36",
        characters_price="15",
    )
    form |= {"price_steps-0-unit": "input", "price_steps-0-above": "128000"}
    form |= {"price_steps-0-price": "4"}
    form |= {"picture_prices-0-size": "1024x1536", "picture_prices-0-quality": "High"}
    form |= {"picture_prices-0-price": "0.25", "picture_prices-1-size": ""}
    (found,) = of_model(
        told(below("deployment", place, "change/"), form), "north-large"
    ).deployments
    assert (found.region, found.context_tokens, found.priority) == ("EU", 200_000, 2)
    assert (found.abilities, found.tokens_per_minute) == (("tools", "vision"), 90_000)
    assert (found.prices.input, found.prices.cached) == (2_000_000, 500_000)
    assert found.prices.steps == (snapshot.PriceStep("input", 128_000, 4_000_000),)
    assert found.prices.picture == 40_000
    assert (found.prices.heard_hour, found.prices.characters) == (360_000, 15_000_000)
    assert found.prices.pictures == (snapshot.PicturePrice("1024x1536", "high", 250_000),)


def test_what_a_deployment_cannot_be_told_is_set_on_its_page(told: Any, ours: Any) -> None:
    place = ours.aimodel.deployments.get()
    form = place_form(place, based_on="gpt-5", quirks='{"stop": "refuse"}')
    (found,) = of_model(
        told(below("deployment", place, "change/"), form), "north-large"
    ).deployments
    assert (found.based_on, found.quirks) == ("gpt-5", {"stop": "refuse"})
    form = place_form(place, based_on="", quirks="")
    (found,) = of_model(
        told(below("deployment", place, "change/"), form), "north-large"
    ).deployments
    assert (found.based_on, found.quirks) == ("", {})


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"quirks": "stop"}, "quirks"),
        ({"quirks": '{"stop": 1}'}, "quirks"),
        ({"context_tokens": "0"}, "context_tokens"),
        ({"cached_price": "-1"}, "cached_price"),
        ({"currency": "euro"}, "currency"),
        ({"currency": "E1R"}, "currency"),
        ({"price_steps-0-above": "x", "price_steps-0-unit": "input"}, "price_steps"),
        (
            {
                "price_steps-0-above": "5",
                "price_steps-0-unit": "tea",
                "price_steps-0-price": "1",
            },
            "price_steps",
        ),
        ({"picture_price": "-0.01"}, "picture_price"),
        ({"heard_hour_price": "dear"}, "heard_hour_price"),
        ({"characters_price": "1e12"}, "characters_price"),
        ({"picture_prices-0-size": "1024x1024", "picture_prices-0-price": ""}, "picture_prices"),
        ({"picture_prices-0-size": "a b", "picture_prices-0-price": "1"}, "picture_prices"),
        ({"picture_prices-0-size": "a", "picture_prices-0-price": "-1"}, "picture_prices"),
        ({"picture_prices-0-size": "a", "picture_prices-0-price": "1e9"}, "picture_prices"),
        (
            {
                "picture_prices-0-size": "a",
                "picture_prices-0-price": "1",
                "picture_prices-1-size": "A",
                "picture_prices-1-price": "2",
            },
            "picture_prices",
        ),
    ],
)
def test_a_deployment_is_refused_at_its_field(
    client: Any, ours: Any, in_alice: Any, fields: dict, field: str
) -> None:
    place = ours.aimodel.deployments.get()
    page = client.post(below("deployment", place, "change/"), place_form(place, **fields))
    assert list(errors(page)) == [field]


def in_days(days: int) -> dict[str, str]:
    at = timezone.localtime(timezone.now() + timedelta(days=days))
    return {"since_0": at.strftime("%Y-%m-%d"), "since_1": "00:00:00"}


def test_prices_from_a_day_on_are_added_changed_and_then_only_looked_at(
    client: Any, told: Any, ours: Any
) -> None:
    place = ours.aimodel.deployments.get()
    add = f"{of('pricechange', 'add')}?deployment={place.pk}"
    assert client.get(add).context["adminform"].form.initial["input_price"] == "2"
    form = {"deployment": place.pk, "currency": "usd", "input_price": "1.5"}
    found = told(add, form | in_days(3))
    ((coming,),) = [one.later_prices for one in of_model(found, "north-large").deployments]
    assert (coming.input, coming.currency) == (1_500_000, "USD")
    change = PriceChange.objects.get()
    told(
        below("pricechange", change, "change/"),
        {"input_price": "1", "currency": "USD"} | in_days(4),
    )
    page = client.get(below("deployment", place, "change/")).content.decode()
    assert "the beginning" in page
    assert "1 in, unknown out, USD" in page

    told(add, form | {"input_price": "7", "since_0": "", "since_1": ""})
    begun = PriceChange.objects.get(input_price=7)
    assert prices.begun(begun)
    assert client.get(below("pricechange", begun, "change/")).status_code == 200
    changed = client.post(below("pricechange", begun, "change/"), form)
    assert changed.status_code == 403
    assert client.post(below("pricechange", begun, "delete/"), {"post": "yes"}).status_code == 403
    assert PriceChange.objects.get(pk=begun.pk).input_price == 7

    page = client.get(below("deployment", place, "change/"))
    assert "input_price" not in page.context["adminform"].form.fields
    told(below("deployment", place, "change/"), place_form(place, weight="5"))
    told(below("aimodel", ours.aimodel, "change/"), model_form(ours.aimodel))
    place.refresh_from_db()
    assert (place.weight, place.input_price) == (5, 2)
    shown = client.get(below("aimodel", ours.aimodel, "change/")).content.decode()
    assert 'value="7"' in shown
    told(below("pricechange", change, "delete/"), {"post": "yes"})


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        (in_days(-2), "since", "This moment is gone"),
        ({"since_0": "soon", "since_1": ""}, "since", "valid"),
        ({"output_price": "-1"}, "output_price", "greater than or equal to 0"),
        ({"currency": "$"}, "currency", "three capital letters"),
    ],
)
def test_a_price_change_is_refused_at_its_field(
    client: Any, ours: Any, in_alice: Any, fields: dict, field: str, says: str
) -> None:
    form = {"deployment": ours.aimodel.deployments.get().pk, "currency": "USD"} | in_days(1)
    assert says in str(errors(client.post(of("pricechange", "add"), form | fields))[field])


def test_two_price_changes_at_one_moment_are_refused(client: Any, ours: Any, in_alice: Any) -> None:
    form = {"deployment": ours.aimodel.deployments.get().pk, "currency": "USD"} | in_days(1)
    assert client.post(of("pricechange", "add"), form).status_code == 302
    assert "already exists" in str(errors(client.post(of("pricechange", "add"), form)))


def test_prices_of_long_prompts_are_told_in_words_where_they_cannot_be_changed(
    client: Any, client_for: Any, alice_tenant: Any, vera: Any, ours: Any, in_alice: Any
) -> None:
    place = ours.aimodel.deployments.get()
    step = {"unit": "input", "above": 200_000, "price": "2.5"}
    place.price_steps, place.abilities = [step], ["vision", "tools"]
    place.picture_prices = [{"size": "1024x1024", "quality": "high", "price": "0.04"}]
    ai.save_deployment(deployment=place)
    begun = PriceChange(deployment=place, since=timezone.now() - timedelta(days=1))
    begun.price_steps = [step | {"unit": "cached", "price": "0.25"}]
    viewer = client_for(alice_tenant, vera)
    page = viewer.get(below("deployment", place, "change/")).content.decode()
    assert "input: 2.5 above 200,000 input tokens" in page
    assert "Pictures, Tools" in page
    assert "1024x1024 high: 0.04" in page
    assert "&quot;unit&quot;" not in page
    PriceChange.objects.bulk_create([begun])
    page = client.get(below("pricechange", begun, "change/")).content.decode()
    assert "cached: 0.25 above 200,000 input tokens" in page
    assert "&quot;unit&quot;" not in page
