"""Rules that compare meanings by a model for embeddings."""

from __future__ import annotations

import pytest
from routing_cast import told

from catalog.models import AIModel, Deployment, RoutingRule
from catalog.services import ai
from contract import routing


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
