"""Rules and their conditions through the management API."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from routing_cast import LONG

from catalog.models import RoutingRule
from catalog.routing_checks import CONTENTS, LANGUAGES, OPERATORS, SUBJECTS, check_condition
from contract import routing
from proxy.ai import traits


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


def test_a_rules_last_deployment_is_not_deleted(call, path, model, provider):
    kept = str(model.deployments.get().pk)
    call("patch", path, {"rules": [{"name": "r", "deployments": [kept]}]})
    given = [{"provider": str(provider.pk), "provider_model": "new"}]
    problem = call("patch", path, {"deployments": given}, 400)
    assert "The rule “r” names no other deployment" in problem["errors"]["deployments"][0]
    call("patch", path, {"deployments": given, "rules": []})
