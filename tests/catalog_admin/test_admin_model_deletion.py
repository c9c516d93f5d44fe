"""Which models may be deleted in the console, and what goes with them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from catalog.models import AIModel, Deployment, Limit, PriceChange, RoutingRule
from catalog.services import ai
from catalog.services.limits import save_limit
from tests.catalog_admin.pages import below, of


@pytest.fixture
def client(client_for: Any, alice_tenant: Any, alice: Any) -> Any:
    return client_for(alice_tenant, alice)


def test_a_model_that_meanings_are_compared_by_is_not_deleted(
    client: Any, ours: Any, in_alice: Any
) -> None:
    place = ours.aimodel.deployments.get()
    vectors = Deployment(provider=place.provider, provider_model="vectors-1")
    embedder = AIModel(name="vectors", abilities=["embeddings"])
    ai.save_model(model=embedder, deployments=[vectors])
    alike = {"subject": "similarity", "operator": "like", "values": ["Hi"]}
    rule = RoutingRule(
        model=ours.aimodel, name="r", conditions=[alike | {"embedding_model": "vectors"}]
    )
    ai.save_rule(rule=rule, deployments=[place])
    page = client.post(below("aimodel", embedder, "delete/"), {"post": "yes"}, follow=True)
    assert page.status_code == 200
    told = f'href="{below("routingrule", rule, "change/")}">Routing rule “r” of north-large</a>'
    assert f"{told} (compares meanings by it)" in page.content.decode()
    assert AIModel.objects.filter(name="vectors").exists()


def test_a_model_that_a_budget_drops_to_is_not_deleted_and_the_budget_is_named(
    client: Any, ours: Any, second: AIModel, in_alice: Any
) -> None:
    kind = {"measure": "cost", "currency": "USD", "window": "calendar_month", "amount": 5}
    limit = save_limit(
        limit=Limit(**kind, then="cheaper", fallback=second, application=ours.application)
    )
    several = {"action": "delete_selected", "_selected_action": [second.pk], "post": "yes"}
    for address, form in (
        (below("aimodel", second, "delete/"), {"post": "yes"}),
        (of("aimodel"), several),
    ):
        page = client.post(address, form, follow=True)
        assert page.status_code == 200
        told = f'href="{below("limit", limit, "change/")}">Limit “5.00 USD per calendar month”'
        assert f"{told} on application “Web shop”</a> (drops to it)" in page.content.decode()
        assert AIModel.objects.filter(pk=second.pk).exists()


def test_a_model_is_deleted_with_its_deployments_and_their_prices(
    client: Any, second: AIModel, in_alice: Any
) -> None:
    place = second.deployments.get()
    begun = PriceChange(deployment=place, since=timezone.now() - timedelta(days=1))
    PriceChange.objects.bulk_create([begun])
    page = client.post(below("aimodel", second, "delete/"), {"post": "yes"}, follow=True)
    assert page.status_code == 200
    assert not AIModel.objects.filter(pk=second.pk).exists()
    assert not PriceChange.objects.exists()
