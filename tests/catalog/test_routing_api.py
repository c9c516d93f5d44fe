"""Rules, fallbacks and prices: from the management API to what gateways are told."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from catalog.models import AIModel, Application, Deployment, PriceChange, RoutingRule
from catalog.routing_checks import CONTENTS, LANGUAGES, OPERATORS, SUBJECTS, check_condition
from catalog.services import access, ai
from contract import routing
from proxy.ai import traits
from tenants import schemas

LONG = {"subject": "prompt_tokens", "operator": "at_least", "values": ["4000"]}


@pytest.fixture
def call(provider, call):
    provider.needs_credential = False
    provider.save()
    return call


@pytest.fixture
def path(model):
    return f"/api/models/{model.pk}/"


@pytest.fixture
def other(model, models_api, provider):
    """A second model, with a deployment of its own."""
    deployment = Deployment(provider=provider, provider_model="maker-2")
    row = AIModel(name="slow", abilities=["chat"])
    return ai.save_model(model=row, apis=[models_api], deployments=[deployment])


def told(in_store, tenant, name):
    return next(row for row in in_store(tenant).models if row.name == name)


def test_what_is_set_for_a_model_is_what_gateways_are_told(
    call, path, model, other, in_alice, in_store
):
    deployment = model.deployments.get()
    body = {
        "strategy": "tokens_per_second",
        "within_percent": 25,
        "explore": 0,
        "regions": [" EU ", "EU", "US"],
        "unsupported": "refuse",
        "fallbacks": [str(other.pk)],
        "rules": [
            {
                "name": "long",
                "conditions": [LONG, {"subject": "language", "operator": "is", "values": ["DE"]}],
                "deployments": [str(deployment.pk)],
            },
            {
                "name": "team",
                "conditions": [
                    {"subject": "header", "operator": "is", "values": ["a", "a"], "name": "X-Team"},
                    {"subject": "similarity", "operator": "like", "values": ["Hi"], "least": 70},
                ],
                "target": str(other.pk),
            },
        ],
    }
    made = call("patch", path, body)
    assert made["regions"] == ["EU", "US"]
    assert [rule["name"] for rule in made["rules"]] == ["long", "team"]
    assert told(in_store, in_alice, "fast").routing == routing.Routing(
        strategy=routing.LowestLatency("tokens_per_second", 25, 0),
        unsupported="refuse",
        regions=("EU", "US"),
        fallbacks=(str(other.pk),),
        rules=(
            routing.Rule(
                "long",
                (
                    routing.Condition("prompt_tokens", "at_least", ("4000",)),
                    routing.Condition("language", "is", ("de",)),
                ),
                deployment_ids=(str(deployment.pk),),
            ),
            routing.Rule(
                "team",
                (
                    routing.Condition("header", "is", ("a",), "X-Team"),
                    routing.Condition("similarity", "like", ("Hi",), least=70),
                ),
                model_id=str(other.pk),
            ),
        ),
    )
    first, second = made["rules"]
    again = call("patch", path, {"rules": [second, first]})
    assert again["rules"] == [second, first]
    assert call("patch", path, {"description": "x"})["rules"] == [second, first]
    assert call("patch", path, {"rules": []})["rules"] == []
    assert told(in_store, in_alice, "fast").routing.rules == ()


@pytest.fixture
def embedder(provider):
    """Offered through no API."""
    deployment = Deployment(provider=provider, provider_model="maker-vectors")
    row = AIModel(name="vectors", abilities=["embeddings"])
    return ai.save_model(model=row, deployments=[deployment])


def meaning(by):
    return {
        "subject": "similarity",
        "operator": "like",
        "values": ["Hi"],
        "least": 70,
        "embedding_model": by,
    }


def comparing(model, by):
    deployments = [str(model.deployments.get().pk)]
    return {"rules": [{"name": "r", "conditions": [meaning(by)], "deployments": deployments}]}


def test_a_rule_compares_meanings_by_a_model_that_gateways_are_told_of(
    call, path, model, embedder, in_alice, in_store
):
    made = call("patch", path, comparing(model, "vectors"))
    assert made["rules"][0]["conditions"] == [meaning("vectors")]
    (rule,) = told(in_store, in_alice, "fast").routing.rules
    like = routing.Condition("similarity", "like", ("Hi",), least=70, embedding_model="vectors")
    assert rule.conditions == (like,)
    sent = told(in_store, in_alice, "vectors")
    assert (sent.api_ids, len(sent.deployments)) == ((), 1)


def test_a_model_that_meanings_are_compared_by_may_be_renamed_and_not_deleted(
    call, path, model, embedder, in_alice, in_store
):
    call("patch", path, comparing(model, "vectors"))
    call("patch", f"/api/models/{embedder.pk}/", {"name": "renamed"})
    (rule,) = told(in_store, in_alice, "fast").routing.rules
    assert rule.conditions[0].embedding_model == "renamed"
    assert told(in_store, in_alice, "renamed").deployments
    call("delete", f"/api/models/{embedder.pk}/", status=409)
    call("patch", path, {"rules": []})
    call("delete", f"/api/models/{embedder.pk}/", status=204)


def test_meanings_are_compared_by_nothing_but_ones_own_models_for_embeddings(
    charlie_tenant, call, path, model, embedder, provider
):
    def refused(by):
        problem = call("patch", path, comparing(model, by), 400)
        (said,) = problem["errors"].items()
        return said[0], str(said[1])

    with charlie_tenant:
        AIModel.objects.create(name="charlies", abilities=["embeddings"])
    where = "rules[0].conditions[0].embedding_model"
    for by, says in (("charlies", "There is no model named"), ("fast", "is not for embeddings")):
        field, said = refused(by)
        assert field == where
        assert says in said
    provider.preset = "anthropic"
    provider.save()
    field, said = refused("vectors")
    assert field == where
    assert "None of the providers of vectors" in said
    assert not RoutingRule.objects.exists()


@pytest.mark.parametrize(
    ("condition", "field", "says"),
    [
        ({"subject": "weather"}, "subject", "is not a valid choice"),
        ({"operator": "is"}, "operator", "Length of the prompt takes “is at least” or"),
        ({"values": ["many"]}, "values", "one whole number"),
        ({"values": ["1", "2"]}, "values", "one whole number"),
        ({"subject": "complexity", "values": ["101"]}, "values", "up to 100"),
        ({"subject": "header", "operator": "is"}, "name", "Say which header"),
        ({"subject": "header", "operator": "is", "name": "X Y"}, "name", "letters, digits and"),
        ({"subject": "metadata", "operator": "is"}, "name", "Say which key"),
        (
            {"subject": "language", "operator": "is", "values": ["xx"]},
            "values",
            "“xx” is not known",
        ),
        ({"subject": "content", "operator": "is", "values": ["song"]}, "values", "use code, math"),
        ({"subject": "stream", "operator": "is", "values": ["yes"]}, "values", "use true, false"),
        (
            {"subject": "application", "operator": "is", "values": ["Nix"]},
            "values",
            "no application",
        ),
        ({"values": []}, "values", "at least 1"),
        (
            {"subject": "similarity", "operator": "like", "least": 101},
            "least",
            "less than or equal",
        ),
    ],
)
def test_a_condition_is_refused_at_its_field(call, path, model, condition, field, says):
    rule = {"name": "r", "deployments": [str(model.deployments.get().pk)]}
    rule["conditions"] = [LONG, LONG | condition]
    problem = call("patch", path, {"rules": [rule]}, 400)
    assert list(problem["errors"]) == [f"rules[0].conditions[1].{field}"]
    assert says in str(problem["errors"])
    assert not RoutingRule.objects.exists()


def test_a_condition_keeps_only_what_its_subject_has(application):
    given = {
        "subject": "application",
        "operator": "is",
        "values": ["shop"],
        "name": "x",
        "least": 9,
    }
    assert check_condition(given) == {
        "subject": "application",
        "operator": "is",
        "values": [str(application.pk)],
    }
    for nonsense in (None, [], "x", {"subject": "header"}):
        with pytest.raises(ValidationError):
            check_condition(nonsense)


def test_the_checks_know_what_the_gateway_knows():
    assert set(SUBJECTS) == set(routing.Subject.__args__)
    assert set(OPERATORS) == set(routing.Operator.__args__)
    assert set(LANGUAGES) == {name for name, _ in traits._SCRIPTS} | set(traits._COMMON)
    assert {"code", "math", "tools", "images", "audio", "files"} == set(CONTENTS)


@pytest.mark.parametrize("target", ["neither", "both", "others", "itself", "nobody"])
def test_a_rule_names_deployments_of_its_model_or_another_model(call, path, model, other, target):
    ours, theirs = str(model.deployments.get().pk), str(other.deployments.get().pk)
    rule = {
        "neither": {},
        "both": {"deployments": [ours], "target": str(other.pk)},
        "others": {"deployments": [theirs]},
        "itself": {"target": str(model.pk)},
        "nobody": {"target": str(uuid4())},
    }[target]
    problem = call("patch", path, {"rules": [{"name": "r", "conditions": [LONG]} | rule]}, 400)
    field, says = {
        "neither": ("rules[0].deployments", "one of both"),
        "both": ("rules[0].deployments", "one of both"),
        "others": ("rules[0].deployments", "is not a deployment of this model"),
        "itself": ("rules", "cannot stand in for itself"),
        "nobody": ("rules[0].target", "does not exist"),
    }[target]
    assert list(problem["errors"]) == [field]
    assert says in str(problem["errors"])


def test_two_rules_of_one_name_and_too_many_are_refused(call, path, model):
    rule = {"name": "r", "deployments": [str(model.deployments.get().pk)]}
    problem = call("patch", path, {"rules": [rule, rule]}, 400)
    assert list(problem["errors"]) == ["rules[1]"]
    many = [rule | {"name": str(number)} for number in range(101)]
    assert call("patch", path, {"rules": many}, 400)["code"] == "too_many"


def test_another_tenants_model_is_neither_fallback_nor_target(charlie_tenant, call, path, model):
    with charlie_tenant:
        theirs = AIModel.objects.create(name="secret", abilities=["chat"])
    for of in (theirs.pk, uuid4()):
        problem = call("patch", path, {"fallbacks": [str(of)]}, 400)
        assert problem["errors"] == {"fallbacks": [f"There is no model with the id {of}."]}
        rule = {"name": "r", "target": str(of)}
        problem = call("patch", path, {"rules": [rule]}, 400)
        assert list(problem["errors"]) == ["rules[0].target"]


def test_fallbacks_in_a_circle_are_refused(call, path, model, other):
    ids = str(model.pk), str(other.pk)
    assert "itself" in call("patch", path, {"fallbacks": [ids[0]]}, 400)["detail"]
    assert "once" in call("patch", path, {"fallbacks": [ids[1]] * 2}, 400)["detail"]
    call("patch", path, {"fallbacks": [ids[1]]})
    problem = call("patch", f"/api/models/{ids[1]}/", {"fallbacks": [ids[0]]}, 400)
    assert problem["code"] == "circle"
    assert "slow → fast → slow goes round" in problem["errors"]["fallbacks"][0]
    rule = {"name": "r", "target": ids[0]}
    problem = call("patch", f"/api/models/{ids[1]}/", {"rules": [rule]}, 400)
    assert "slow → fast → slow goes round" in problem["errors"]["rules"][0]


def test_a_circle_of_three_is_found_through_rules_too(call, path, model, other, models_api):
    third = ai.save_model(model=AIModel(name="third", abilities=["chat"]), apis=[models_api])
    call("patch", path, {"fallbacks": [str(other.pk)]})
    call("patch", f"/api/models/{other.pk}/", {"rules": [{"name": "r", "target": str(third.pk)}]})
    problem = call("patch", f"/api/models/{third.pk}/", {"fallbacks": [str(model.pk)]}, 400)
    assert "third → fast → slow → third goes round" in problem["detail"]


def test_a_fallback_that_can_do_nothing_of_it_is_refused(call, path):
    painter = AIModel.objects.create(name="painter", abilities=["images"])
    problem = call("patch", path, {"fallbacks": [str(painter.pk)]}, 400)
    assert "painter can do nothing of what this model can" in problem["errors"]["fallbacks"][0]


def test_a_rules_last_deployment_is_not_deleted(call, path, model, provider):
    kept = str(model.deployments.get().pk)
    call("patch", path, {"rules": [{"name": "r", "deployments": [kept]}]})
    given = [{"provider": str(provider.pk), "provider_model": "new"}]
    problem = call("patch", path, {"deployments": given}, 400)
    assert "The rule “r” names no other deployment" in problem["errors"]["deployments"][0]
    call("patch", path, {"deployments": given, "rules": []})


# Bounds and prices


def deployment_of(call, path, **fields):
    (given,) = call("get", path)["deployments"]
    return {"deployments": [given | fields]}


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


def test_quirks_are_of_providers_that_speak_openais_format(call, path, model):
    model.deployments.get().provider.__class__.objects.update(preset="anthropic")
    problem = call("patch", path, deployment_of(call, path, quirks={"stop": "drop"}), 400)
    assert list(problem["errors"]) == ["deployments[0].quirks"]


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


def naming(*values, operator="is"):
    return {"subject": "application", "operator": operator, "values": list(values)}


def test_an_application_is_named_by_its_name_in_any_case_or_by_its_id(application):
    small = access.save_application(application=Application(name="sHop"))
    shop, other = str(application.pk), str(small.pk)
    for said, kept in (
        (["Shop"], [shop]),
        (["sHop"], [other]),
        (["SHOP"], [shop, other]),
        ([shop, "Shop"], [shop]),
    ):
        assert sorted(check_condition(naming(*said))["values"]) == sorted(kept)
    for said in ("Shops", str(uuid4()), "%"):
        with pytest.raises(ValidationError, match="There is no application named"):
            check_condition(naming(said))
    assert check_condition(naming("ho", operator="contains"))["values"] == ["ho"]


def ruled(model, *conditions):
    deployments = [str(model.deployments.get().pk)]
    return {"rules": [{"name": "r", "conditions": list(conditions), "deployments": deployments}]}


def test_a_rule_follows_an_application_whose_name_changes(
    call, path, model, application, in_alice, in_store
):
    said = [naming("shop"), naming("sho", operator="contains")]
    (rule,) = call("patch", path, ruled(model, *said))["rules"]
    assert rule["conditions"] == [naming("Shop"), said[1]]
    call("patch", f"/api/applications/{application.pk}/", {"name": "Store"})
    (rule,) = call("get", path)["rules"]
    assert rule["conditions"] == [naming("Store"), said[1]]
    (found,) = told(in_store, in_alice, "fast").routing.rules
    assert [condition.values for condition in found.conditions] == [("Store",), ("sho",)]
    assert call("patch", path, {"rules": [rule]})["rules"] == [rule]
    listed = call("get", "/api/models/")["results"]
    assert [one["rules"] for one in listed if one["name"] == "fast"] == [[rule]]


def test_an_application_that_a_rule_names_is_not_deleted(call, path, model, application):
    other = access.save_application(application=Application(name="Other"))
    call("patch", path, ruled(model, naming("Shop", operator="is_not")))
    address = f"/api/applications/{application.pk}/"
    problem = call("delete", address, status=409)
    assert problem["code"] == "in_use"
    assert "r" in problem["detail"]
    call("delete", f"/api/applications/{other.pk}/", status=204)
    call("patch", path, {"rules": []})
    call("delete", address, status=204)


@pytest.mark.django_db(transaction=True)
def test_rules_of_older_tables_follow_the_applications_that_they_named():
    schemas.create("older")
    connection.set_schema("older", include_public=False)
    MigrationRecorder(connection).ensure_schema()
    connection.set_schema("older")
    old = MigrationExecutor(connection).migrate([("catalog", "0013_batch_prices")]).apps
    shop = str(old.get_model("catalog", "Application").objects.create(name="Shop").pk)
    model = old.get_model("catalog", "AIModel").objects.create(name="m", abilities=["chat"])
    said = [
        naming("SHOP", "Gone"),
        naming("shop", operator="is_not"),
        naming("Shop", operator="contains"),
        {"subject": "header", "operator": "is", "values": ["Shop"], "name": "X-A"},
    ]
    old.get_model("catalog", "RoutingRule").objects.create(model=model, name="r", conditions=said)
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes("catalog"))
    kept = [naming(shop, "Gone"), naming(shop, operator="is_not"), *said[2:]]
    assert RoutingRule.objects.get().conditions == kept
    MigrationExecutor(connection).migrate([("catalog", "0013_batch_prices")])
    back = [naming("Shop", "Gone"), naming("Shop", operator="is_not"), *said[2:]]
    assert RoutingRule.objects.get().conditions == back
