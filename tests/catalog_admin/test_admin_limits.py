"""The pages of limits: what they refuse, what they show, and what they say when they cannot."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings

from catalog import store
from catalog.models import Limit
from catalog.publish import publish
from catalog.services import access, apis
from contract import keys
from contract.counters import slot_at
from tests.catalog_admin.pages import below, of


@pytest.fixture
def client(client_for: Any, alice_tenant: Any, alice: Any) -> Any:
    return client_for(alice_tenant, alice)


@pytest.fixture
def published(ours: Any, alice_tenant: Any, alice: Any) -> Any:
    """The subscription is approved, and gateways know of it. What is counted is taken away."""
    with alice_tenant:
        access.approve_subscription(subscription=ours.subscription, actor=alice)
    publish(alice_tenant)
    yield ours
    for name in store.client().scan_iter("hubpo:limit:*"):
        store.client().delete(name)
    store.remove(str(alice_tenant.pk))


def form(**given: str) -> dict[str, str]:
    return {
        "measure": "calls", "amount": "10", "currency": "", "window": "minute", "per": "all",
        "mode": "exact", "then": "refuse",
    } | given  # fmt: skip


def inline(*rows: dict[str, str], initial: int = 0) -> dict[str, Any]:
    data: dict[str, Any] = {"limits-TOTAL_FORMS": len(rows), "limits-INITIAL_FORMS": initial}
    for index, row in enumerate(rows):
        data |= {f"limits-{index}-{name}": value for name, value in row.items()}
    return data


@pytest.mark.parametrize(
    ("given", "field", "says"),
    [
        ({"amount": "0"}, "amount", "more than 0"),
        ({"amount": "1.5"}, "amount", "whole numbers"),
        ({"amount": "many"}, "amount", "Enter a number"),
        ({"window": ""}, "window", "in which time"),
        ({"measure": "concurrency"}, "window", "have no window"),
        ({"measure": "cost"}, "currency", "which currency"),
        ({"measure": "cost", "currency": "$"}, "currency", "three letters"),
        ({"currency": "USD"}, "currency", "Only a cost"),
        ({"per": "subscription"}, "per", "Here a limit can be counted for"),
    ],
)
def test_what_cannot_be_is_told_at_its_field(
    client: Any, ours: Any, alice_tenant: Any, given: dict[str, str], field: str, says: str
) -> None:
    page = client.post(of("limit", "add"), form(**given))
    assert says in str(page.context["adminform"].form.errors[field])
    with alice_tenant:
        assert Limit.objects.count() == 1


def test_money_is_given_in_units_of_its_currency(client: Any, ours: Any, alice_tenant: Any) -> None:
    body = form(measure="cost", amount="12.50", currency="eur", window="calendar_month")
    answer = client.post(of("limit", "add"), body, follow=True)
    assert "no complete price in EUR: north-large." in answer.content.decode()
    with alice_tenant:
        row = Limit.objects.get(measure="cost")
    assert (row.units, row.currency, row.place) == (12_500_000, "EUR", "")
    page = client.get(below("limit", row, "change/")).content.decode()
    assert 'value="12.5"' in page
    assert "12.50 EUR per calendar month" in page


def test_apis_that_name_no_end_users_are_told(client: Any, published: Any, in_alice: Any) -> None:
    body = form(window="hour", per="user", plan=str(published.plan.pk))
    answer = client.post(of("limit", "add"), body, follow=True).content.decode()
    assert "what names an end user: Weather." in answer
    published.api.user_from = "claim:sub"
    with in_alice:
        apis.save_api(api=published.api)
        row = Limit.objects.get(per="user")
    page = client.get(below("limit", row, "change/")).content.decode()
    assert "names an end user" not in page
    assert "Counted for each end user as it calls." in page


@pytest.mark.parametrize("model", ["application", "apikey"])
def test_limits_are_set_on_the_page_of_what_they_limit(
    client: Any, ours: Any, alice_tenant: Any, model: str
) -> None:
    row = getattr(ours, model)
    body = {"name": "Renamed", "enabled": "on", **inline(form(amount="7"), form(window="hour"))}
    answer = client.post(below(model, row, "change/"), body)
    assert answer.status_code == 302
    with alice_tenant:
        assert [str(limit) for limit in row.limits.all()] == [
            "10 calls per hour",
            "7 calls per minute",
        ]
        kept = row.limits.get(window="hour")
    again = form(window="hour") | {"id": str(kept.pk)}
    body = {"name": "Renamed", "enabled": "on"}
    body |= inline(again, form(window="hour", amount="8"), initial=1)
    page = client.post(below(model, row, "change/"), body)
    errors = page.context["inline_admin_formsets"][0].formset.errors
    assert "already" in str(errors[1])


def test_a_limit_of_another_tenants_things_cannot_be_set(
    client: Any, ours: Any, theirs: Any, alice_tenant: Any
) -> None:
    for field, row in (
        ("plan", theirs.plan),
        ("application", theirs.application),
        ("key", theirs.apikey),
        ("api", theirs.api),
    ):
        page = client.post(of("limit", "add"), form(window="hour") | {field: str(row.pk)})
        assert set(page.context["adminform"].form.errors) == {field}
    with alice_tenant:
        assert Limit.objects.count() == 1


def test_lists_and_pages_show_what_is_used(
    client: Any, published: Any, alice_tenant: Any, tier: Any
) -> None:
    tier.max_calls_per_minute = 600
    tier.save()
    seconds, micros = store.client().time()
    slot = slot_at(seconds * 1_000_000 + micros, 60)
    subject = f"subscription:{published.subscription.pk}"
    counter = keys.limit_counter(str(alice_tenant.pk), "calls", subject, "60")
    store.client().hset(counter, mapping={"n": 9, "f": slot, str(slot): 9})
    for page in (of("limit"), below("limit", published.limit, "change/")):
        assert "9 of 10" in client.get(page).content.decode(), page
    text = client.get(below("application", published.application, "change/")).content.decode()
    assert "9 of 10" in text
    assert "Subscription: Web shop → Weather" in text
    assert "Set by your account tier" in client.get(of("limit")).content.decode()


def test_counters_that_cannot_be_read_are_not_shown_as_unused(
    client: Any, published: Any, monkeypatch: Any
) -> None:
    pages = [
        of("limit"),
        below("limit", published.limit, "change/"),
        below("application", published.application, "change/"),
    ]
    with monkeypatch.context() as patch:
        patch.setattr(settings, "REDIS_URL", "unix:///nowhere/valkey.sock")
        texts = [client.get(page).content.decode() for page in pages]
    for text in texts:
        assert "cannot be read" in text
        assert "0 of 10" not in text


def test_a_list_of_one_things_limits(client: Any, ours: Any, alice_tenant: Any) -> None:
    with alice_tenant:
        Limit.objects.create(api=ours.api, amount=77, window="hour")
    link = f"{of('limit')}?api__id__exact={ours.api.pk}"
    assert f'href="{link}"' in client.get(below("api", ours.api, "change/")).content.decode()
    page = client.get(link).content.decode()
    assert "77 calls per hour" in page
    assert "10 calls per minute" not in page
    assert "10 calls per minute" in client.get(f"{of('limit')}?on=plan").content.decode()
