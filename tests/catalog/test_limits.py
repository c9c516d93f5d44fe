"""Limits: what can be counted, on what, and what becomes of the limits of older tables."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from msgspec.structs import replace

from catalog.models import Limit
from catalog.services import access, apis
from catalog.services.limits import save_limit
from catalog.snapshot import compile_snapshot
from catalog.snapshot_checks import problems
from contract import policies
from tenants import schemas


def limit(**fields):
    return Limit(**{"amount": 10, "window": "hour", **fields})


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"amount": 0}, {"amount"}),
        ({"amount": -5}, {"amount"}),
        ({"amount": Decimal("1.5")}, {"amount"}),
        ({"amount": Decimal("0.0000001"), "measure": "cost", "currency": "USD"}, {"amount"}),
        ({"amount": 10**11}, {"amount"}),
        ({"window": ""}, {"window"}),
        ({"window": "week"}, {"window"}),
        ({"measure": "concurrency"}, {"window"}),
        ({"measure": "concurrency", "window": "", "mode": "leased"}, {"mode"}),
        ({"measure": "cost"}, {"currency"}),
        ({"measure": "cost", "currency": "usd"}, {"currency"}),
        ({"measure": "tokens", "currency": "USD"}, {"currency"}),
        ({"measure": "bytes"}, {"measure"}),
        ({"per": "subscription"}, {"per"}),
        ({"per": "plan"}, {"per"}),
        ({"mode": "roughly"}, {"mode"}),
        ({"then": "cheaper"}, {"then"}),
        ({"then": "dearer"}, {"then"}),
        ({"measure": "cost", "currency": "USD", "then": "cheaper"}, {"fallback"}),
    ],
)
def test_what_cannot_be_counted_is_refused_at_its_field(in_alice, fields, at):
    with pytest.raises(ValidationError) as caught:
        save_limit(limit=limit(**fields))
    assert set(caught.value.message_dict) == at
    assert not Limit.objects.exists()


def test_each_place_can_be_counted_for_what_calls_there(catalogue):
    places = {
        "plan": ({"all", "subscription", "application", "key", "user"}, {"api"}),
        "application": ({"all", "api", "key", "user"}, {"subscription", "application"}),
        "key": ({"all", "user"}, {"api", "subscription", "application", "key"}),
        "api": ({"all", "application", "key"}, {"subscription", "api", "user"}),
        "": ({"all", "api", "application", "key", "user"}, {"subscription"}),
    }
    for place, (possible, impossible) in places.items():
        on = {place: getattr(catalogue, place)} if place else {}
        for number, per in enumerate(sorted(possible)):
            save_limit(limit=limit(amount=7 + number, window="second", per=per, **on))
        for per in impossible:
            with pytest.raises(ValidationError) as caught:
                save_limit(limit=limit(window="second", per=per, **on))
            assert set(caught.value.message_dict) == {"per"}, (place, per)


def test_a_limit_is_set_on_one_thing(catalogue):
    with pytest.raises(ValidationError, match="one thing"):
        save_limit(limit=limit(plan=catalogue.plan, key=catalogue.key))
    with pytest.raises(IntegrityError), transaction.atomic():
        limit(plan=catalogue.plan, key=catalogue.key).save()


def test_one_kind_of_limit_stands_once_at_a_place(catalogue):
    save_limit(limit=limit())
    save_limit(limit=limit(application=catalogue.application))
    save_limit(limit=limit(window="calendar_day"))
    with pytest.raises(ValidationError, match="already"):
        save_limit(limit=limit(amount=99))
    with pytest.raises(ValidationError, match="already"):
        save_limit(limit=limit(amount=99, application=catalogue.application))


def test_an_api_that_forwards_has_no_tokens_and_names_its_users_first(catalogue):
    with pytest.raises(ValidationError) as caught:
        save_limit(limit=limit(measure="tokens", api=catalogue.api))
    assert set(caught.value.message_dict) == {"measure"}
    save_limit(limit=limit(measure="tokens", api=catalogue.models_api))
    with pytest.raises(ValidationError, match="names its end users"):
        save_limit(limit=limit(api=catalogue.api, per="user"))
    catalogue.api.user_from = "header:X-User-Id"
    apis.save_api(api=catalogue.api)
    save_limit(limit=limit(api=catalogue.api, per="user"))
    catalogue.api.user_from = ""
    with pytest.raises(ValidationError, match="limits for each end user"):
        apis.save_api(api=catalogue.api)


@pytest.mark.parametrize("value", ["X-User", "header:", "header:a b", "claim:", "cookie:id"])
def test_what_names_no_end_user_is_refused(catalogue, value):
    catalogue.api.user_from = value
    with pytest.raises(ValidationError) as caught:
        apis.save_api(api=catalogue.api)
    assert set(caught.value.message_dict) == {"user_from"}


def test_limits_say_what_they_are():
    assert str(limit(amount=Decimal("1.000000"))) == "1 call per hour"
    assert str(limit(amount=12000, window="calendar_month")) == "12,000 calls per calendar month"
    assert str(limit(measure="concurrency", window="", amount=5)) == "5 calls at once"
    money = {"measure": "cost", "currency": "EUR", "window": "calendar_day"}
    assert str(limit(amount=Decimal("1250.500000"), **money)) == "1,250.50 EUR per calendar day"
    assert str(limit(amount=Decimal("0.000001"), **money)) == "0.000001 EUR per calendar day"


def test_the_snapshot_has_every_limit_where_it_is_set(catalogue, alice_tenant, tier):
    alice_tenant.time_zone = "Europe/Madrid"
    tier.max_calls_per_month, tier.max_calls_at_once, tier.max_tokens_per_month = 1000, 20, 5000
    catalogue.api.user_from = "header:X-User-Id"
    apis.save_api(api=catalogue.api)
    for row in (
        limit(amount=500, window="calendar_month"),
        limit(plan=catalogue.plan, per="all", measure="tokens", window="calendar_day"),
        limit(application=catalogue.application, per="api", window="second", mode="leased"),
        limit(
            key=catalogue.key, measure="cost", amount=Decimal("0.25"), currency="EUR",
            window="calendar_month",
        ),
        limit(api=catalogue.api, per="user", window="minute"),
        limit(api=catalogue.api, per="application", measure="concurrency", window=""),
    ):  # fmt: skip
        save_limit(limit=row)
    got = compile_snapshot(alice_tenant, 1)
    assert problems(got) == []
    assert got.time_zone == "Europe/Madrid"

    def of(rows, row):
        (found,) = (it.policies for it in rows if it.id == str(row.pk))
        return [it for it in found if isinstance(it, policies.Limit)]

    make = policies.Limit
    assert list(got.policies) == [
        make("calls", 1000, window=0, period="month", scope="tenant"),
        make("concurrency", 20, window=0, scope="tenant"),
        make("tokens", 5000, window=0, period="month", scope="tenant"),
        make("calls", 500, window=0, period="month", scope="tenant"),
    ]
    assert of(got.plans, catalogue.plan)[-1] == make(
        "tokens", 10, window=0, period="day", scope="plan"
    )
    assert of(got.applications, catalogue.application) == [
        make("calls", 10, window=1, scope="subscription", mode="leased")
    ]
    assert of(got.keys, catalogue.key) == [
        make("cost", 250_000, window=0, period="month", scope="key", currency="EUR")
    ]
    assert got.apis[0].id == str(catalogue.api.pk) or len(got.apis) > 1
    (api,) = (row for row in got.apis if row.id == str(catalogue.api.pk))
    assert api.user_from == "header:x-user-id"
    assert of(got.apis, catalogue.api) == [
        make("calls", 10, window=60, scope="user"),
        make("concurrency", 10, window=0, scope="subscription"),
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"amount": 0}, "lets nothing through"),
        ({"window": 0}, "neither a window nor a period"),
        ({"window": 60, "period": "day"}, "both a window and a period"),
        ({"window": 40 * 86_400}, "at most 31 days"),
        ({"measure": "concurrency"}, "at once"),
        ({"scope": "key"}, "cannot be counted"),
        ({"scope": "user"}, "no end users"),
    ],
)
def test_a_snapshot_with_an_impossible_limit_is_refused(catalogue, alice_tenant, change, says):
    got = compile_snapshot(alice_tenant, 1)
    wrong = replace(policies.Limit("calls", 5, window=60, scope="api"), **change)
    apis_with_it = tuple(
        replace(api, policies=(wrong,)) if api.id == str(catalogue.api.pk) else api
        for api in got.apis
    )
    if "scope" in change and change["scope"] == "key":
        broken = replace(got, policies=(replace(wrong, scope="subscription"),))
    else:
        broken = replace(got, apis=apis_with_it)
    assert any(says in problem for problem in problems(broken))
    assert "time zone" in problems(replace(got, time_zone="Mars/Base"))[0]


def test_a_limit_is_in_force_with_the_commit(catalogue, committed, in_store, in_alice):
    with committed() as outcomes:
        save_limit(limit=limit(application=catalogue.application))
    assert [outcome.status for outcome in outcomes] == ["published"]
    (application,) = in_store(in_alice).applications
    assert application.policies == (policies.Limit("calls", 10, window=3600, scope="application"),)


def test_plans_replace_their_limits_and_no_others(catalogue):
    save_limit(limit=limit(window="minute"))
    kept = catalogue.plan.limits.get(window="minute")
    wanted = [limit(amount=61, window="minute", per="subscription")]
    access.save_plan(plan=catalogue.plan, limits=wanted)
    assert [(row.pk, row.amount) for row in catalogue.plan.limits.all()] == [(kept.pk, 61)]
    assert Limit.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_limits_of_older_tables_become_limits_of_subscriptions():
    schemas.create("older")
    connection.set_schema("older", include_public=False)
    MigrationRecorder(connection).ensure_schema()
    connection.set_schema("older")
    executor = MigrationExecutor(connection)
    old = executor.migrate([("catalog", "0004_api_hosts")]).apps
    plan = old.get_model("catalog", "Plan").objects.create(name="Old")
    for window, calls in ((1, 5), (60, 100), (3600, 2000), (86_400, 9000)):
        old.get_model("catalog", "PlanLimit").objects.create(plan=plan, calls=calls, window=window)
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes("catalog"))
    found = {
        (row.plan.name, row.measure, int(row.amount), row.window, row.per, row.mode)
        for row in Limit.objects.all()
    }
    assert found == {
        ("Old", "calls", 5, "second", "subscription", "exact"),
        ("Old", "calls", 100, "minute", "subscription", "exact"),
        ("Old", "calls", 2000, "hour", "subscription", "exact"),
        ("Old", "calls", 9000, "day", "subscription", "exact"),
    }
    for row in Limit.objects.all():
        row.full_clean()
