"""How much of a limit is used: read where gateways count, told as they count it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest
from django.conf import settings

from catalog import store
from catalog.limits import use as limit_use
from catalog.limits.counters import counted
from catalog.models import Api, Application, Limit, Plan
from catalog.publish import publish
from catalog.services import access, apis
from catalog.services.limits import save_limit
from contract import keys
from contract.counters import slot_at
from contract.periods import period_at


@pytest.fixture(autouse=True)
def _no_counters():
    yield
    for name in store.client().scan_iter("hubpo:limit:*"):
        store.client().delete(name)


@pytest.fixture
def shop(catalogue, alice_tenant, alice, tier):
    """The shop's subscription is approved; two limits are its own, one is the operator's."""
    tier.max_calls_per_month = 1000
    tier.save()
    access.approve_subscription(subscription=catalogue.subscription, actor=alice)
    money = {"measure": "cost", "currency": "EUR", "amount": Decimal("12.50")}
    save_limit(limit=Limit(application=catalogue.application, window="calendar_month", **money))
    save_limit(limit=Limit(key=catalogue.key, measure="concurrency", amount=4))
    publish(alice_tenant)
    return catalogue


def now():
    seconds, micros = store.client().time()
    return seconds * 1_000_000 + micros


def counter(tenant, measure, subject, span):
    return keys.limit_counter(str(tenant.pk), measure, subject, span)


def use(tenant, shop, place="applications"):
    """The API's rows by what they are set on and what they measure."""
    row = {"applications": shop.application, "subscriptions": shop.subscription}[place]
    answer = shop.client.get(f"/api/{place}/{row.pk}/limits/")
    assert answer.status_code == 200, answer.content
    return {(it["set_on"], it["measure"], it["window"]): it for it in answer.json()}


@pytest.fixture
def told(shop, alice_tenant, alice, api_client):
    shop.client = api_client(alice_tenant, alice)
    return lambda place="applications": use(alice_tenant, shop, place)


def test_an_application_sees_every_limit_on_its_calls(told, shop, alice_tenant):
    month = period_at("month", "UTC", now() / 1e6)
    spent = counter(alice_tenant, "cost-EUR", f"application:{shop.application.pk}", month.name)
    store.client().hset(spent, mapping={"u": 2_000_000, "b": 500_000})
    store.client().hset(
        keys.limit_held(spent), mapping={"w1": 250_000, "d:w1": now() + 60_000_000, "w2": 7}
    )
    minute = counter(alice_tenant, "calls", f"subscription:{shop.subscription.pk}", "60")
    store.client().hset(minute, mapping={"n": 9, "f": 1, str(slot_at(now(), 60)): 9})
    held = keys.limit_held(counter(alice_tenant, "concurrency", f"key:{shop.key.pk}", "now"))
    store.client().hset(held, mapping={"w1": 3, "d:w1": now() + 60_000_000})
    rows = told()
    assert set(rows) == {
        ("account_tier", "calls", "calendar_month"),
        ("plan", "calls", "minute"),
        ("plan", "calls", "day"),
        ("application", "cost", "calendar_month"),
        ("key", "concurrency", ""),
    }
    money = rows["application", "cost", "calendar_month"]
    assert (money["amount"], money["used"], money["reserved"], money["remaining"]) == (
        "12.5", "2.5", "0.25", "9.75",
    )  # fmt: skip
    assert (money["currency"], money["counted_name"]) == ("EUR", "Shop")
    assert datetime.fromisoformat(money["resets_at"]).timestamp() == month.end
    assert money["limit"] == str(shop.application.limits.get().pk)
    calls = rows["plan", "calls", "minute"]
    assert (calls["used"], calls["remaining"]) == ("9", "51")
    assert 50 < datetime.fromisoformat(calls["resets_at"]).timestamp() - now() / 1e6 <= 62
    assert (calls["counted_for"], calls["counted_name"]) == ("subscription", "Shop → Orders")
    at_once = rows["key", "concurrency", ""]
    assert (at_once["used"], at_once["reserved"], at_once["remaining"]) == ("0", "3", "1")
    operators = rows["account_tier", "calls", "calendar_month"]
    assert (operators["limit"], operators["amount"], operators["used"]) == (None, "1000", "0")


def test_a_subscription_sees_those_on_its_own_calls(told, shop, alice_tenant, alice, models_api):
    plan = access.save_plan(plan=Plan(name="AI"), limits=[limit(per="all")])
    other = access.request_subscription(
        application=shop.application, api=models_api, plan=plan, actor=alice
    )
    access.approve_subscription(subscription=other, actor=alice)
    save_limit(limit=limit(api=models_api))
    publish(alice_tenant)
    on = {(it["set_on"], it["counted_name"]) for it in told("subscriptions").values()}
    assert ("api", "Models") not in on
    assert ("plan", "AI") not in on
    assert ("plan", "Shop → Orders") in on
    access.revoke_subscription(subscription=shop.subscription, actor=alice)
    publish(alice_tenant)
    assert told("subscriptions") == {}


def limit(**fields):
    return Limit(**{"amount": 10, "window": "hour", **fields})


def test_others_limits_are_not_among_them(told, shop, alice_tenant, alice):
    other = access.save_application(application=Application(name="Other"))
    api = apis.publish_api(
        api=apis.save_api(
            api=Api(name="Other", listen_path="/other", upstream=shop.upstream), routes=[]
        )
    )
    for row in (
        limit(application=other),
        limit(api=api),
        limit(api=api, per="key"),
        limit(per="application"),
    ):
        save_limit(limit=row)
    publish(alice_tenant)
    names = {it["counted_name"] for it in told().values()}
    assert "Other" not in names
    assert "Shop" in names


def test_counters_that_cannot_be_read_are_told_as_such(told, shop, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(settings, "REDIS_URL", "unix:///nowhere/valkey.sock")
        answer = shop.client.get(f"/api/applications/{shop.application.pk}/limits/")
    assert answer.status_code == 503
    assert answer.json()["code"] == "counters_unavailable"


def test_where_the_store_lost_the_snapshot_the_tables_tell(told, shop, alice_tenant):
    store.client().delete(keys.snapshot_blob(str(alice_tenant.pk)))
    assert len(told()) == 5


def test_limits_of_tokens_are_not_counted_where_there_are_none(shop, alice_tenant):
    save_limit(limit=limit(plan=shop.plan, measure="tokens", per="subscription"))
    publish(alice_tenant)
    snapshot = limit_use.in_force(alice_tenant)
    assert not [one for one in counted(snapshot) if one.limit.measure == "tokens"]


def test_another_tenants_counters_are_never_read(told, shop, alice_tenant, charlie):
    from uuid import uuid4

    month = period_at("month", "UTC", now() / 1e6).name
    theirs = keys.limit_counter(str(uuid4()), "calls", "tenant", month)
    store.client().hset(theirs, "u", 999)
    assert told()["account_tier", "calls", "calendar_month"]["used"] == "0"
