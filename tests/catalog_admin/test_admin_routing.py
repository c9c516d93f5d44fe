"""Which of a model's deployments is asked: set in the console, told to gateways."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from catalog.models import AIModel, Deployment, PriceChange, RoutingRule
from catalog.services import ai
from contract import routing
from tests.catalog_admin.pages import below, of
from tests.catalog_admin.routing_forms import model_form, of_model
from tests.catalog_admin.test_admin_forms import errors


@pytest.fixture
def client(client_for: Any, alice_tenant: Any, alice: Any) -> Any:
    return client_for(alice_tenant, alice)


def test_strategy_fallbacks_and_regions_reach_the_gateways(
    told: Any, ours: Any, second: AIModel
) -> None:
    third = ai.save_model(model=AIModel(name="third", abilities=["chat"]), apis=[ours.models])
    form = model_form(
        ours.aimodel,
        third.pk,
        second.pk,
        strategy="first_token",
        within_percent="20",
        explore="9",
        regions="EU, US",
        unsupported="drop",
    )
    found = of_model(told(below("aimodel", ours.aimodel, "change/"), form), "north-large").routing
    assert found == routing.Routing(
        strategy=routing.LowestLatency("first_token", 20, 9),
        fallbacks=(str(third.pk), str(second.pk)),
        unsupported="drop",
        regions=("EU", "US"),
    )


def test_fallbacks_in_a_circle_are_refused_at_their_field(
    client: Any, ours: Any, second: AIModel
) -> None:
    second.fallbacks = [ours.aimodel.pk]
    ai.save_model(model=second)
    page = client.post(
        below("aimodel", ours.aimodel, "change/"), model_form(ours.aimodel, second.pk)
    )
    assert "north-large → north-small → north-large goes round" in str(errors(page)["fallbacks"])
    for wrong, says in (
        ([ours.aimodel.pk], "cannot stand in for itself"),
        ([uuid4()], "There is no model with the id"),
        (["x"], "Row 1: choose a model"),
    ):
        form = model_form(ours.aimodel, *wrong)
        page = client.post(below("aimodel", ours.aimodel, "change/"), form)
        assert says in str(errors(page)["fallbacks"])


def test_another_tenants_rows_are_refused_wherever_they_are_named(
    client: Any, ours: Any, theirs: Any, charlie_tenant: Any, in_alice: Any
) -> None:
    with charlie_tenant:
        place = theirs.aimodel.deployments.get()
    address = below("aimodel", ours.aimodel, "change/")
    page = client.post(address, model_form(ours.aimodel, theirs.aimodel.pk))
    assert "There is no model with the id" in str(errors(page)["fallbacks"])
    rule = {"name": "r", "model": ours.aimodel.pk}
    page = client.post(of("routingrule", "add"), rule | {"target": theirs.aimodel.pk})
    assert list(errors(page)) == ["target"]
    page = client.post(of("routingrule", "add"), rule | {"deployments": [place.pk]})
    assert "deployments" in errors(page)
    rule = {"name": "r", "model": theirs.aimodel.pk, "target": ours.aimodel.pk}
    assert "model" in errors(client.post(of("routingrule", "add"), rule))
    change = {"deployment": place.pk, "currency": "USD"}
    assert "deployment" in errors(client.post(of("pricechange", "add"), change))
    assert not RoutingRule.objects.exists()
    assert not PriceChange.objects.exists()


def test_pages_of_another_tenants_parts_do_not_exist(
    client: Any, ours: Any, theirs: Any, charlie_tenant: Any
) -> None:
    with charlie_tenant:
        place = theirs.aimodel.deployments.get()
        rule = RoutingRule.objects.create(model=theirs.aimodel, name="secret")
        rule.deployments.add(place)
        since = timezone.now() + timedelta(days=1)
        change = PriceChange.objects.create(deployment=place, since=since)
    for name, row in (("deployment", place), ("routingrule", rule), ("pricechange", change)):
        page = client.get(below(name, row, "change/"))
        assert (page.status_code, page.url) == (302, "/admin/")
    assert client.post(below("routingrule", rule, "up/")).status_code == 404
    for add in (
        f"routingrule/add/?model={theirs.aimodel.pk}",
        "routingrule/add/?model=x",
        "routingrule/add/",
        f"pricechange/add/?deployment={place.pk}",
    ):
        page = client.get(f"/admin/catalog/{add}")
        assert (page.status_code, page.url) == (302, of("aimodel"))


def test_deployments_that_the_regions_leave_out_are_named(
    client: Any, ours: Any, in_alice: Any
) -> None:
    place = ours.aimodel.deployments.get()
    place.region = "eu"
    ai.save_deployment(deployment=place)
    other = Deployment(
        model=ours.aimodel, provider=place.provider, provider_model="far", region="US"
    )
    ai.save_deployment(deployment=other)
    ours.aimodel.regions = ["EU"]
    ai.save_model(model=ours.aimodel)
    page = client.get(below("aimodel", ours.aimodel, "change/")).content.decode()
    assert "Only EU is asked, so not far at Northern cloud (US)." in page
    page = client.get(below("deployment", other, "change/")).content.decode()
    assert "Not asked: north-large asks only EU, and this is in US." in page
    page = client.get(below("deployment", place, "change/")).content.decode()
    assert "Not asked" not in page


def test_an_empty_list_says_whether_anything_was_left_out(
    client_for: Any, charlie_tenant: Any, charlie: Any, client: Any, ours: Any
) -> None:
    found = client.get(of("aimodel") + "?q=nothing-like-it").content.decode()
    assert "No AI models match" in found
    assert "take filters away" in found
    found = client.get(of("aimodel") + f"?deployments__provider__id__exact={ours.provider.pk}")
    assert "north-large" in found.content.decode()
    with charlie_tenant:
        RoutingRule.objects.all().delete()
        AIModel.objects.all().delete()
    found = client_for(charlie_tenant, charlie).get(of("aimodel")).content.decode()
    assert "No AI models yet" in found
    assert "Add AI model" in found


def test_a_viewer_reads_fallbacks_and_abilities_in_words(
    client_for: Any, alice_tenant: Any, vera: Any, ours: Any, second: AIModel
) -> None:
    third = ai.save_model(model=AIModel(name="north-tiny", abilities=["chat"]))
    ours.aimodel.fallbacks = [second.pk, third.pk]
    ours.aimodel.abilities = ["chat", "images"]
    ai.save_model(model=ours.aimodel)
    viewer = client_for(alice_tenant, vera)
    page = viewer.get(below("aimodel", ours.aimodel, "change/")).content.decode()
    assert "north-small, then north-tiny" in page
    assert "Chat, Pictures" in page
    assert str(second.pk) not in page
