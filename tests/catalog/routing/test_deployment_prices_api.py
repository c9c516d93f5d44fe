"""A deployment's bounds and prices: from the management API to what gateways are told."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone
from routing_cast import deployment_of, told

from catalog.models import PriceChange


def test_bounds_and_prices_of_a_deployment_are_what_gateways_are_told(
    call, path, in_alice, in_store
):
    steps = [
        {"unit": "output", "above": 200_000, "price": "2.5"},
        {"unit": "input", "above": 500_000, "price": "3"},
        {"unit": "input", "above": 200_000, "price": "1.250000"},
    ]
    body = deployment_of(
        call,
        path,
        region=" EU ",
        context_tokens=1_000_000,
        abilities=["tools", "vision", "tools"],
        requests_per_minute=60,
        cached_price="0.05",
        search_price="10",
        price_steps=steps,
        batch_percent=50,
    )
    (made,) = call("patch", path, body)["deployments"]
    assert made["price_steps"] == [
        {"unit": "input", "above": 200_000, "price": "1.250000"},
        {"unit": "input", "above": 500_000, "price": "3.000000"},
        {"unit": "output", "above": 200_000, "price": "2.500000"},
    ]
    (row,) = told(in_store, in_alice, "fast").deployments
    assert (row.region, row.context_tokens, row.requests_per_minute) == ("EU", 1_000_000, 60)
    assert row.abilities == ("tools", "vision")
    assert (made["batch_percent"], row.prices.batch_percent) == (50, 50)
    assert (row.prices.cached, row.prices.search) == (50_000, 10_000_000)
    assert [(s.unit, s.above, s.price) for s in row.prices.steps] == [
        ("input", 200_000, 1_250_000),
        ("input", 500_000, 3_000_000),
        ("output", 200_000, 2_500_000),
    ]


def test_what_a_deployment_cannot_be_told_reaches_the_gateways(call, path, in_alice, in_store):
    quirks = {"stop": "refuse", "max_completion_tokens": "max_tokens"}
    body = deployment_of(call, path, based_on="gpt-5-mini", quirks=quirks)
    (made,) = call("patch", path, body)["deployments"]
    assert (made["based_on"], made["quirks"]) == ("gpt-5-mini", quirks)
    (row,) = told(in_store, in_alice, "fast").deployments
    assert (row.based_on, row.quirks) == ("gpt-5-mini", quirks)
    (made,) = call("patch", path, deployment_of(call, path, quirks={}))["deployments"]
    assert made["quirks"] == {}


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"quirks": ["stop"]}, "quirks"),
        ({"quirks": {"model": "drop"}}, "quirks"),
        ({"quirks": {"stop": 1}}, "quirks"),
        ({"quirks": {"st op": "drop"}}, "quirks"),
        ({"quirks": {"stop": "Drop it"}}, "quirks"),
        ({"quirks": {f"p{n}": "drop" for n in range(51)}}, "quirks"),
        ({"based_on": "no such!"}, "based_on"),
        ({"context_tokens": 0}, "context_tokens"),
        ({"tokens_per_minute": -1}, "tokens_per_minute"),
        ({"abilities": ["dancing"]}, "abilities[0]"),
        ({"cached_price": "-1"}, "cached_price"),
        ({"input_price": "0.0000001"}, "input_price"),
        ({"batch_percent": 101}, "batch_percent"),
        ({"batch_percent": -1}, "batch_percent"),
        ({"price_steps": "x"}, "price_steps"),
        ({"price_steps": [{"unit": "tea", "above": 1, "price": "1"}]}, "price_steps[0].unit"),
        ({"price_steps": [{"unit": "request", "above": 1, "price": "1"}]}, "price_steps[0].unit"),
        ({"price_steps": [{"unit": "input", "above": 0, "price": "1"}]}, "price_steps[0].above"),
        ({"price_steps": [{"unit": "input", "above": 1, "price": "-1"}]}, "price_steps[0].price"),
        (
            {"price_steps": [{"unit": "input", "above": 1, "price": "1"}] * 2},
            "price_steps[1].above",
        ),
    ],
)
def test_bounds_and_prices_are_refused_at_their_field(call, path, fields, place):
    problem = call("patch", path, deployment_of(call, path, **fields), 400)
    assert [key.split("deployments[0].")[1] for key in problem["errors"]] == [place]


def test_prices_apart_from_tokens_are_what_gateways_are_told(call, path, in_alice, in_store):
    pictures = [
        {"size": " 1024x1536 ", "quality": "HIGH", "price": "0.25"},
        {"size": "1024x1536", "price": "0.063"},
        {"size": "auto", "quality": "auto", "price": "0"},
    ]
    body = deployment_of(
        call,
        path,
        picture_price="0.04",
        heard_hour_price="0.36",
        characters_price="15",
        picture_prices=pictures,
    )
    (made,) = call("patch", path, body)["deployments"]
    assert made["picture_prices"] == [
        {"size": "1024x1536", "quality": "high", "price": "0.250000"},
        {"size": "1024x1536", "quality": "", "price": "0.063000"},
        {"size": "auto", "quality": "auto", "price": "0.000000"},
    ]
    (row,) = told(in_store, in_alice, "fast").deployments
    prices = row.prices
    assert (prices.picture, prices.heard_hour, prices.characters) == (40_000, 360_000, 15_000_000)
    assert [(one.size, one.quality, one.price) for one in prices.pictures] == [
        ("1024x1536", "high", 250_000),
        ("1024x1536", "", 63_000),
        ("auto", "auto", 0),
    ]
    change = {"deployment": made["id"], "picture_prices": pictures[:1], "since": later(days=1)}
    call("post", "/api/prices/", change, 201)
    (dated,) = told(in_store, in_alice, "fast").deployments[0].later_prices
    assert [one.price for one in dated.pictures] == [250_000]
    call("post", "/api/prices/", change | {"picture_prices": [{"size": "x"}]}, 400)


def picture(**fields):
    return {"size": "1024x1024", "quality": "high", "price": "0.04"} | fields


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"picture_price": "-0.01"}, "picture_price"),
        ({"picture_price": "cheap"}, "picture_price"),
        ({"picture_price": "100000000"}, "picture_price"),
        ({"picture_price": "1e30"}, "picture_price"),
        ({"picture_price": "NaN"}, "picture_price"),
        ({"heard_hour_price": "-1"}, "heard_hour_price"),
        ({"heard_hour_price": "0.0000001"}, "heard_hour_price"),
        ({"characters_price": []}, "characters_price"),
        ({"picture_prices": "x"}, "picture_prices"),
        ({"picture_prices": [picture()] * 51}, "picture_prices"),
        ({"picture_prices": [picture(price="-1")]}, "picture_prices[0].price"),
        ({"picture_prices": [picture(price="100000000")]}, "picture_prices[0].price"),
        ({"picture_prices": [picture(price="dear")]}, "picture_prices[0].price"),
        ({"picture_prices": [picture(size="")]}, "picture_prices[0].size"),
        ({"picture_prices": [picture(size="large one")]}, "picture_prices[0].size"),
        ({"picture_prices": [picture(size="1" * 25)]}, "picture_prices[0].size"),
        ({"picture_prices": [picture(quality="a/b")]}, "picture_prices[0].quality"),
        ({"picture_prices": [picture(), picture(quality="High")]}, "picture_prices[1].size"),
        ({"price_steps": [{"unit": "picture", "above": 1, "price": "1"}]}, "price_steps[0].unit"),
    ],
)
def test_prices_apart_from_tokens_are_refused_at_their_field(call, path, fields, place):
    problem = call("patch", path, deployment_of(call, path, **fields), 400)
    assert [key.split("deployments[0].")[1] for key in problem["errors"]] == [place]


def later(**delta):
    return (timezone.now() + timedelta(**delta)).isoformat()


def test_prices_from_a_day_on_reach_the_gateways(call, model, in_alice, in_store):
    deployment = model.deployments.get()
    body = {"deployment": str(deployment.pk), "input_price": "9", "output_price": "9"}
    made = call("post", "/api/prices/", body | {"since": later(days=2)}, 201)
    assert made["begun"] is False
    step = {"unit": "input", "above": 10, "price": "1"}
    sooner = body | {"since": later(days=1), "currency": "EUR", "price_steps": [step]}
    call("post", "/api/prices/", sooner, 201)
    (row,) = told(in_store, in_alice, "fast").deployments
    first, second = row.later_prices
    assert (first.currency, first.steps[0].price, second.input) == ("EUR", 1_000_000, 9_000_000)
    assert first.since < second.since
    change = f"/api/prices/{made['id']}/"
    assert call("patch", change, {"input_price": "8"})["input_price"] == "8.000000"
    found = call("get", f"/api/prices/?deployment={deployment.pk}&ordering=since")["results"]
    assert [row["currency"] for row in found] == ["EUR", "USD"]
    call("delete", change, status=204)
    assert len(told(in_store, in_alice, "fast").deployments[0].later_prices) == 1


def test_prices_that_have_begun_stay_as_they_are(call, path, model):
    deployment = model.deployments.get()
    body = {"deployment": str(deployment.pk), "input_price": "9"}
    problem = call("post", "/api/prices/", body | {"since": later(minutes=-5)}, 400)
    assert "This moment is gone" in problem["errors"]["since"][0]
    made = call("post", "/api/prices/", body, 201)
    assert made["begun"] is True
    change = f"/api/prices/{made['id']}/"
    for answer in (
        call("patch", change, {"input_price": "1"}, 400),
        call("patch", change, {"since": later(days=1)}, 400),
        call("delete", change, status=400),
    ):
        assert answer["code"] == "past"
    assert PriceChange.objects.get().input_price == 9
    problem = call("patch", path, deployment_of(call, path, input_price="1"), 400)
    assert list(problem["errors"]) == ["deployments[0].input_price"]
    assert "add prices that begin later" in problem["detail"]
    call("patch", path, deployment_of(call, path, weight=7))


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"currency": "usd"}, "currency"),
        ({"since": "soon"}, "since"),
        ({"output_price": "-1"}, "output_price"),
        ({"price_steps": [{"unit": "input", "above": 1}]}, "price_steps[0].price"),
        ({"deployment": str(uuid4())}, "deployment"),
    ],
)
def test_a_price_change_is_refused_at_its_field(call, model, fields, place):
    body = {"deployment": str(model.deployments.get().pk), "since": later(days=1)} | fields
    assert list(call("post", "/api/prices/", body, 400)["errors"]) == [place]


def test_one_price_change_at_a_time(call, model):
    body = {"deployment": str(model.deployments.get().pk), "since": later(days=1)}
    call("post", "/api/prices/", body, 201)
    assert "already exists" in call("post", "/api/prices/", body, 400)["detail"]
