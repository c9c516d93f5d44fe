"""A model's rules in the console: added, moved, told in words."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from catalog.models import AIModel, Deployment, PriceChange, RoutingRule
from catalog.rule_words import sentence, words
from catalog.services import ai, prices
from contract import routing
from tests.catalog_admin.pages import below, of
from tests.catalog_admin.routing_forms import deployment_rows, model_form, of_model
from tests.catalog_admin.test_admin_forms import errors


@pytest.fixture
def client(client_for: Any, alice_tenant: Any, alice: Any) -> Any:
    return client_for(alice_tenant, alice)


def conditions(*given: dict[str, Any]) -> dict[str, Any]:
    blank = {"subject": "prompt_tokens", "operator": "at_least", "values": "4000"}
    blank |= {"name": "", "least": "50"}
    return {
        f"conditions-{n}-{name}": value
        for n, one in enumerate(given)
        for name, value in (blank | one).items()
    }


def test_rules_are_added_moved_and_deleted(
    client: Any, told: Any, ours: Any, second: AIModel
) -> None:
    model, place = ours.aimodel, ours.aimodel.deployments.get()
    add = of("routingrule", "add")
    told(
        add,
        {"name": "long", "model": model.pk, "deployments": [place.pk]}
        | conditions({}, {"subject": "stream", "operator": "is", "values": "true"}),
    )
    header = {"subject": "header", "name": "X-Team", "operator": "is", "values": "a\nb\n"}
    form = {"name": "team", "model": model.pk, "target": second.pk} | conditions(header)
    found = of_model(told(add, form), "north-large").routing.rules
    assert [rule.name for rule in found] == ["long", "team"]
    assert found[0].deployment_ids == (str(place.pk),)
    assert found[1].model_id == str(second.pk)
    assert found[1].conditions == (routing.Condition("header", "is", ("a", "b"), "X-Team"),)

    page = client.get(below("aimodel", model, "change/")).content.decode()
    assert "When the prompt has at least 4,000 tokens, and a stream is wanted: only" in page
    assert "When the header X-Team is “a” or “b”: north-small is asked in its place." in page
    assert page.index("4,000 tokens") < page.index("X-Team")

    team = RoutingRule.objects.get(name="team")
    found = told(below("routingrule", team, "up/"), {})
    assert [rule.name for rule in of_model(found, "north-large").routing.rules] == ["team", "long"]
    found = told(below("routingrule", team, "down/"), {})
    assert [rule.name for rule in of_model(found, "north-large").routing.rules] == ["long", "team"]
    page = client.get(below("routingrule", team, "change/")).content.decode()
    assert "a\nb</textarea>" in page
    deleted = told(below("routingrule", team, "delete/"), {"post": "yes"})
    assert [rule.name for rule in of_model(deleted, "north-large").routing.rules] == ["long"]


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        (conditions({"values": "many"}), "conditions", "Row 1: Enter one whole number"),
        (conditions({"values": ""}), "conditions", "Row 1: Enter one whole number"),
        (conditions({}, {"subject": "header"}), "conditions", "Row 2: Header takes"),
        (conditions({"operator": "sings"}), "conditions", "Row 1: Length of the prompt takes"),
        (
            conditions({"subject": "similarity", "operator": "like", "embedding_model": "none"}),
            "conditions",
            "Row 1: There is no model named “none”",
        ),
        ({"deployments": []}, "deployments", "one of both"),
        ({"name": ""}, "name", "required"),
        ({"name": "taken"}, "name", "Choose another"),
    ],
)
def test_a_rule_is_refused_at_its_field(
    client: Any, ours: Any, in_alice: Any, fields: dict, field: str, says: str
) -> None:
    place = ours.aimodel.deployments.get()
    taken = RoutingRule(model=ours.aimodel, name="taken")
    ai.save_rule(rule=taken, deployments=[place])
    form = {"name": "r", "model": ours.aimodel.pk, "deployments": [place.pk]} | fields
    assert says in str(errors(client.post(of("routingrule", "add"), form))[field])


def test_a_deployment_that_a_rule_needs_is_not_deleted(
    client: Any, ours: Any, in_alice: Any
) -> None:
    rule = RoutingRule(model=ours.aimodel, name="r")
    ai.save_rule(rule=rule, deployments=[ours.aimodel.deployments.get()])
    form = model_form(ours.aimodel) | deployment_rows(ours.aimodel, DELETE="on")
    page = client.post(below("aimodel", ours.aimodel, "change/"), form)
    assert "The rule “r” names no other deployment" in str(errors(page))
    assert Deployment.objects.filter(model=ours.aimodel).count() == 1


def test_a_viewer_sees_rules_and_prices_and_changes_nothing(
    client_for: Any, alice_tenant: Any, vera: Any, ours: Any, in_alice: Any
) -> None:
    place = ours.aimodel.deployments.get()
    rule = ai.save_rule(rule=RoutingRule(model=ours.aimodel, name="r"), deployments=[place])
    change = PriceChange(deployment=place, since=timezone.now() + timedelta(days=1))
    prices.save_price_change(change=change)
    viewer = client_for(alice_tenant, vera)
    page = viewer.get(below("aimodel", ours.aimodel, "change/")).content.decode()
    assert "Always: only large at Northern cloud is asked." in page
    assert "Add a rule" not in page
    for name, row in (("deployment", place), ("routingrule", rule), ("pricechange", change)):
        assert viewer.get(below(name, row, "change/")).status_code == 200
        assert viewer.post(below(name, row, "change/"), {}).status_code == 403
    assert viewer.post(below("routingrule", rule, "up/")).status_code == 403
    assert viewer.get(of("routingrule", "add")).status_code == 403
    assert viewer.get(of("pricechange", "add")).status_code == 403


def test_a_viewer_reads_conditions_in_words(
    client_for: Any, alice_tenant: Any, vera: Any, ours: Any, second: AIModel
) -> None:
    said = [
        {"subject": "header", "operator": "is", "values": ["a", "b"], "name": "X-Team"},
        {"subject": "application", "operator": "is", "values": [ours.application.name]},
    ]
    rule = RoutingRule(model=ours.aimodel, name="r", conditions=said)
    ai.save_rule(rule=rule, deployments=[ours.aimodel.deployments.get()])
    viewer = client_for(alice_tenant, vera)
    page = viewer.get(below("routingrule", rule, "change/")).content.decode()
    assert "<li>the header X-Team is “a” or “b”</li>" in page
    assert f"<li>the application is “{ours.application.name}”</li>" in page
    assert "large at Northern cloud" in page
    assert "subject" not in page
    assert str(ours.application.pk) not in page
    always = RoutingRule(model=ours.aimodel, name="always", target=second)
    ai.save_rule(rule=always, deployments=[])
    page = viewer.get(below("routingrule", always, "change/")).content.decode()
    assert "none: it always holds" in page
    assert "north-small" in page


def test_a_rule_shows_the_name_that_its_application_has_now(
    client: Any, ours: Any, in_alice: Any
) -> None:
    application = ours.application
    said = {"subject": "application", "operator": "is", "values": application.name.upper()}
    form = {"name": "r", "model": ours.aimodel.pk} | conditions(said)
    form["deployments"] = [ours.aimodel.deployments.get().pk]
    assert client.post(of("routingrule", "add"), form).status_code == 302
    rule = RoutingRule.objects.get()
    assert rule.conditions[0]["values"] == [str(application.pk)]
    application.name = "Renamed"
    application.save()
    for address in (
        below("routingrule", rule, "change/"),
        below("aimodel", ours.aimodel, "change/"),
    ):
        page = client.get(address).content.decode()
        assert "the application is “Renamed”" in page
    assert (
        "Renamed</textarea>" in client.get(below("routingrule", rule, "change/")).content.decode()
    )
    for address, body in (
        (below("application", application, "delete/"), {"post": "yes"}),
        (
            of("application"),
            {"action": "delete_selected", "_selected_action": [application.pk], "post": "yes"},
        ),
    ):
        page = client.post(address, body, follow=True).content.decode()
        assert "Rule “r” of north-large, which names it" in page
        application.refresh_from_db()


def test_many_rules_are_paged_and_found_by_their_words(
    client: Any, ours: Any, in_alice: Any
) -> None:
    place = ours.aimodel.deployments.get()
    for number in range(45):
        said = {"subject": "prompt_tokens", "operator": "at_least", "values": [str(number + 1)]}
        rule = RoutingRule(model=ours.aimodel, name=f"rule {number}", conditions=[said])
        ai.save_rule(rule=rule, deployments=[place])
    address = below("aimodel", ours.aimodel, "change/")

    def shown(query: str) -> list[str]:
        page = client.get(address + query).content.decode()
        return re.findall(r'routingrule/[^"]*/change/"[^>]*>([^<]+)<', page)

    assert shown("") == [f"rule {number}" for number in range(20)]
    assert shown("?rules=3") == [f"rule {number}" for number in range(40, 45)]
    assert shown("?rules=x") == shown("")
    assert shown("?rule=RULE+44") == ["rule 44"]
    assert shown("?rule=least+33+tokens") == ["rule 32"]
    assert shown("?rule=nothing") == []
    page = client.get(address + "?rule=nothing").content.decode()
    assert "None of the 45 rules has these words." in page
    last = RoutingRule.objects.get(name="rule 40")
    moved = client.post(below("routingrule", last, "down/"))
    assert moved.url == f"{address}?rules=3#rules"


def test_long_rules_are_told_in_short(ours: Any, in_alice: Any) -> None:
    said = {"subject": "header", "operator": "is", "values": list("abcdef"), "name": "X"}
    rule = RoutingRule.objects.create(model=ours.aimodel, name="r", conditions=[said])
    assert sentence(rule, {}).startswith("When the header X is “a”, “b”, “c” or 3 more: ")
    assert words(rule, {}) == ["the header X is “a”, “b”, “c”, “d”, “e” or “f”"]
    rule.conditions = [said | {"values": ["x" * 80]}]
    assert words(rule, {}) == [f"the header X is “{'x' * 80}”"]


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ({"subject": "metadata", "operator": "is_not", "values": ["a", "b"], "name": "team"},
         "When the metadata team is neither “a” nor “b”"),
        ({"subject": "complexity", "operator": "at_most", "values": ["30"]},
         "When the question's complexity is at most 30 of 100"),
        ({"subject": "language", "operator": "is", "values": ["de", "fr", "it"]},
         "When the question's language is de, fr or it"),
        ({"subject": "content", "operator": "is_not", "values": ["code", "math"]},
         "When the call has no code and no math"),
        ({"subject": "similarity", "operator": "like", "values": ["Hi"], "least": 60,
          "embedding_model": "vectors"},
         "When the question is at least 60 % like “Hi” in meaning (by vectors)"),
        ({"subject": "similarity", "operator": "like", "values": ["x" * 80], "least": 60},
         f"When the question is at least 60 % like “{'x' * 60}…”"),
        ({"subject": "application", "operator": "contains", "values": ["shop"]},
         "When the application contains “shop”"),
        ({"subject": "stream", "operator": "is", "values": ["false"]},
         "When no stream is wanted"),
    ],
)  # fmt: skip
def test_a_rule_in_plain_words(ours: Any, in_alice: Any, condition: dict, told: str) -> None:
    rule = RoutingRule.objects.create(model=ours.aimodel, name="r", conditions=[condition])
    assert sentence(rule, {}) == f"{told}: any deployment is asked."
