"""How a model's calls are spread: from the management API to what gateways are told."""

from __future__ import annotations

from uuid import uuid4

from routing_cast import LONG, deployment_of, told

from catalog.models import AIModel
from catalog.services import ai
from contract import routing


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


def test_quirks_are_of_providers_that_speak_openais_format(call, path, model):
    model.deployments.get().provider.__class__.objects.update(preset="anthropic")
    problem = call("patch", path, deployment_of(call, path, quirks={"stop": "drop"}), 400)
    assert list(problem["errors"]) == ["deployments[0].quirks"]
