"""Subscriptions: requested, decided one by one and together, and remembered."""

from __future__ import annotations

from typing import Any

import pytest

from catalog.models import Application, Subscription
from catalog.services import access
from tests.catalog_admin.pages import below, of


@pytest.fixture
def client(client_for: Any, alice_tenant: Any, bob: Any) -> Any:
    return client_for(alice_tenant, bob)


def test_a_request(client: Any, ours: Any, in_alice: Any, bob: Any) -> None:
    form = {"application": str(ours.application.pk), "plan": str(ours.plan.pk)}
    again = client.post(of("subscription", "add"), form | {"api": str(ours.api.pk)})
    assert "already has a subscription" in again.content.decode()
    body = form | {"api": str(ours.models.pk), "reason": "Summaries"}
    assert client.post(of("subscription", "add"), body).status_code == 302
    with in_alice:
        made = Subscription.objects.get(api=ours.models)
        event = made.events.get()
        assert (made.status, event.reason, event.actor) == ("pending", "Summaries", bob)


def test_only_published_apis_and_open_plans_are_offered(
    client: Any, ours: Any, in_alice: Any
) -> None:
    with in_alice:
        ours.plan.enabled = False
        ours.plan.save()
        ours.models.state = "retired"
        ours.models.save()
    form = client.get(of("subscription", "add")).context["adminform"].form
    with in_alice:
        assert list(form.fields["plan"].queryset) == []
        assert ours.models not in form.fields["api"].queryset


@pytest.mark.parametrize(
    ("deed", "status", "shown"),
    [("approve", "approved", "Approved"), ("reject", "rejected", "Rejected")],
)
def test_deciding_one(
    client: Any, ours: Any, in_alice: Any, bob: Any, deed: str, status: str, shown: str
) -> None:
    url = below("subscription", ours.subscription, f"{deed}/")
    assert 'name="reason"' in client.get(url).content.decode()
    page = client.post(url, {"reason": "As agreed", "next": "/admin/"})
    assert page["Location"] == "/admin/"
    with in_alice:
        row = Subscription.objects.get(pk=ours.subscription.pk)
        event = row.events.last()
        assert (row.status, event.actor, event.reason) == (status, bob, "As agreed")
    change = client.get(below("subscription", ours.subscription, "change/")).content.decode()
    assert shown in change
    assert "As agreed" in change
    assert "For the shop" in change
    again = client.post(url, {"reason": "x"}, follow=True)
    assert "no longer possible" in again.content.decode()


def test_rejecting_needs_a_reason(client: Any, ours: Any, in_alice: Any) -> None:
    page = client.post(below("subscription", ours.subscription, "reject/"), {"reason": ""})
    assert "reason" in page.context["form"].errors
    with in_alice:
        assert Subscription.objects.get(pk=ours.subscription.pk).status == "pending"


def test_what_follows_a_deed_stays_on_the_host(client: Any, ours: Any) -> None:
    url = below("subscription", ours.subscription, "approve/")
    page = client.post(url, {"reason": "", "next": "https://elsewhere.example/"})
    assert page["Location"] == below("subscription", ours.subscription, "change/")


def test_deciding_many_asks_for_the_reason_once(
    client: Any, ours: Any, in_alice: Any, bob: Any
) -> None:
    with in_alice:
        others = [
            access.request_subscription(
                application=access.save_application(application=Application(name=f"App {n}")),
                api=ours.api,
                plan=ours.plan,
                actor=bob,
            )
            for n in range(3)
        ]
        access.reject_subscription(subscription=others[2], actor=bob, reason="No")
    chosen = [str(s.pk) for s in [ours.subscription, *others]]
    body = {"action": "approve_selected", "_selected_action": chosen, "index": "0"}
    asked = client.post(of("subscription"), body)
    assert asked.status_code == 200
    with in_alice:
        assert not Subscription.objects.filter(status="approved").exists()
    page = client.post(
        of("subscription"), body | {"decided": "yes", "reason": "Spring"}, follow=True
    )
    assert "3 done" in page.content.decode()
    assert "1 left as they were" in page.content.decode()
    with in_alice:
        approved = Subscription.objects.filter(status="approved")
        assert approved.count() == 3
        assert {s.events.last().reason for s in approved} == {"Spring"}


def test_pending_ones_come_first_and_can_be_filtered(
    client: Any, ours: Any, in_alice: Any, bob: Any
) -> None:
    with in_alice:
        later = access.request_subscription(
            application=ours.application, api=ours.models, plan=ours.plan, actor=bob
        )
        access.approve_subscription(subscription=later, actor=bob)
    listed = client.get(of("subscription")).context["cl"].result_list
    assert [s.status for s in listed] == ["pending", "approved"]
    listed = client.get(of("subscription") + "?status__exact=approved").context["cl"].result_list
    assert [s.status for s in listed] == ["approved"]


def test_the_home_page_leads_to_what_waits(client: Any, ours: Any) -> None:
    page = client.get("/admin/").content.decode()
    assert below("subscription", ours.subscription, "approve/") in page
    assert below("publication", ours.publication, "change/") in page
    assert "Route /x has no upstream." in page


def test_the_home_page_of_an_empty_tenant_says_how_to_start(
    client_for: Any, alice_tenant: Any, alice: Any
) -> None:
    page = client_for(alice_tenant, alice).get("/admin/").content.decode()
    assert "Getting started" in page
    assert of("upstream", "add") in page
