"""What refers to a model keeps it from being deleted, and is named."""

from __future__ import annotations

import pytest
from django.db.models import PROTECT, RESTRICT

from catalog.models import AIModel, Deployment, Limit, RoutingRule
from catalog.services import ai, prompts
from catalog.services.limits import save_limit

MEANT = {"subject": "similarity", "operator": "like", "values": ["Hi"], "embedding_model": "small"}


@pytest.fixture
def small(model, provider):
    row = AIModel(name="small", abilities=["chat", "embeddings"])
    return ai.save_model(
        model=row, deployments=[Deployment(provider=provider, provider_model="maker-0")]
    )


def budget(small, **place):
    kind = {"measure": "cost", "currency": "USD", "window": "calendar_month", "amount": 5}
    return save_limit(limit=Limit(**kind, then="cheaper", fallback=small, **place))


def asked_by_a_rule(model, small):
    return ai.save_rule(rule=RoutingRule(model=model, name="easy", target=small), deployments=[])


def compared_in_meaning(model, small):
    rule = RoutingRule(model=model, name="alike", conditions=[MEANT])
    return ai.save_rule(rule=rule, deployments=[model.deployments.get()])


def fallen_back_to(model, small):
    model.fallbacks = [small.pk]
    ai.save_model(model=model)


def compared_in_cost(model, small):
    model.compare_with = small
    ai.save_model(model=model)


@pytest.mark.parametrize(
    ("refer", "named"),
    [
        (asked_by_a_rule, "routing rule “easy” of fast (asks it)"),
        (compared_in_meaning, "routing rule “alike” of fast (compares meanings by it)"),
        (fallen_back_to, "AI model “fast” (falls back to it)"),
        (compared_in_cost, "AI model “fast” (is compared with it)"),
    ],
)
def test_a_model_that_another_one_names_is_not_deleted(call, model, small, refer, named):
    refer(model, small)
    problem = call("delete", f"/api/models/{small.pk}/", status=409)
    assert problem["code"] == "in_use"
    assert problem["detail"] == f"It is still used by {named}. Change or delete these first."
    cleared = {"rules": [], "fallbacks": [], "compare_with": None}
    call("patch", f"/api/models/{model.pk}/", cleared)
    call("delete", f"/api/models/{small.pk}/", status=204)


def test_a_model_that_budgets_drop_to_is_not_deleted_and_they_are_named(
    call, small, plan, application
):
    made = [budget(small), budget(small, plan=plan), budget(small, application=application)]
    path = f"/api/models/{small.pk}/"
    detail = call("delete", path, status=409)["detail"]
    for where in ("the whole tenant", "plan “Free”", "application “Shop”"):
        assert f"limit “5.00 USD per calendar month” on {where} (drops to it)" in detail
    for limit in made:
        call("patch", f"/api/limits/{limit.pk}/", {"then": "refuse", "fallback": None})
    call("delete", path, status=204)


def test_a_model_that_a_prompt_asks_is_not_deleted(call, prompt, model, alice):
    for _ in range(5):
        prompts.add_version(
            prompt=prompt,
            model=model,
            messages=[{"role": "user", "template": "Hi"}],
            variables=[],
            parameters={},
            actor=alice,
        )
    detail = call("delete", f"/api/models/{model.pk}/", status=409)["detail"]
    assert "prompt “Mood, version 6” (asks it)" in detail
    assert "and 1 more." in detail


def test_what_a_model_says_of_itself_does_not_keep_it(call, model, small):
    compared_in_cost(small, small)
    own = RoutingRule(model=small, name="own", conditions=[MEANT])
    ai.save_rule(rule=own, deployments=[small.deployments.get()])
    call("delete", f"/api/models/{small.pk}/", status=204)


def test_no_reference_to_a_model_is_emptied_when_it_goes():
    """Whoever adds one adds it to ``model_uses`` too."""
    found: dict[bool, set] = {True: set(), False: set()}
    for one in AIModel._meta.get_fields(include_hidden=True):
        if one.one_to_many:
            kept = one.on_delete in (PROTECT, RESTRICT)
            found[kept].add((one.related_model.__name__, one.field.name))
    assert found[True] == {
        ("AIModel", "compare_with"),
        ("Limit", "fallback"),
        ("PromptVersion", "model"),
        ("RoutingRule", "target"),
    }
    assert found[False] == {
        ("AIModel_apis", "aimodel"),
        ("Deployment", "model"),
        ("RoutingRule", "model"),
    }
