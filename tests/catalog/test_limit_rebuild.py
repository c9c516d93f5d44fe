"""Counters of days and months hold what the records say, also after Valkey lost them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from analytics.ingest.stream import Stream
from catalog import store, tasks
from catalog.limits import fill as limit_fill
from catalog.limits import rebuild as limit_rebuild
from catalog.limits.counters import counted
from catalog.models import Limit
from catalog.publish import publish
from catalog.services.apis import save_api
from catalog.services.limits import save_limit
from catalog.snapshot import compile_snapshot
from contract import keys
from contract.counters import read
from contract.periods import period_at
from contract.usage import BATCH
from tests.analytics.usage import happen

NOON = datetime(2031, 3, 14, 12, tzinfo=UTC)
"""In time to come, or the counters would have ended already."""
YESTERDAY, LAST_MONTH = NOON - timedelta(days=1), NOON - timedelta(days=20)


@pytest.fixture(autouse=True)
def _at_noon(monkeypatch):
    monkeypatch.setattr(limit_fill, "time", NOON.timestamp)
    yield
    for name in store.client().scan_iter("hubpo:limit:*"):
        store.client().delete(name)


@pytest.fixture
def rows(catalogue, alice):
    """A calendar limit at every place and for everything that it can be counted for."""
    from catalog.services import access

    access.approve_subscription(subscription=catalogue.subscription, actor=alice)
    for place, pers in Limit.PERS.items():
        on = {place: getattr(catalogue, place)} if place else {}
        for per in pers:
            if per == "user":
                continue
            for window in ("calendar_day", "calendar_month"):
                save_limit(limit=Limit(amount=1000, window=window, per=per, **on))
    return catalogue


def ours(rows, **fields):
    ids = {
        "api_id": rows.api.pk,
        "application_id": rows.application.pk,
        "plan_id": rows.plan.pk,
        "key_id": rows.key.pk,
    }
    return ids | fields


def reading(tenant, one):
    period = period_at(one.limit.period, tenant.time_zone, NOON.timestamp()).name
    return read(store.client().hgetall(one.name(str(tenant.pk), period)), {}, 0, 0).used


def used(tenant):
    """What each calendar counter says: (place, scope, what is counted, period) -> amount."""
    with tenant:
        snapshot = compile_snapshot(tenant, 1)
    return {
        (one.place, one.scope, one.identifier, one.limit.measure, one.limit.period): reading(
            tenant, one
        )
        for one in counted(snapshot)
        if one.limit.period
    }


def test_every_counter_is_what_the_records_say(rows, alice_tenant):
    happen(alice_tenant, NOON, 3, **ours(rows))
    happen(alice_tenant, NOON, 2, **ours(rows, key_id="", status=502, error_code="upstream_broken"))
    happen(alice_tenant, YESTERDAY, 10, **ours(rows))
    happen(alice_tenant, LAST_MONTH, 100, **ours(rows))
    # None of these was let through.
    happen(alice_tenant, NOON, 7, **ours(rows, status=429, error_code="rate_limit_exceeded"))
    happen(
        alice_tenant, NOON, 7, **ours(rows, plan_id="", status=401, error_code="api_key_missing")
    )
    filled = limit_rebuild.rebuild(alice_tenant, again=False)
    assert filled
    got = used(alice_tenant)
    for (place, scope, identifier, _, period), amount in got.items():
        todays = 3 if scope == "key" or place == "key" else 5
        expected = todays + (10 if period == "month" else 0)
        if (scope, identifier) == ("api", str(rows.models_api.pk)) or identifier == str(
            rows.prompt.api_id
        ):
            expected = 0
        assert amount == expected, (place, scope, identifier, period)
    assert len(got) == 2 * 17


def test_calls_of_an_open_api_are_not_counted_for_the_application_whose_key_came_along(
    rows, alice_tenant
):
    rows.api.key_required = False
    save_api(api=rows.api)
    happen(alice_tenant, NOON, 4, **ours(rows, plan_id=""))
    limit_rebuild.rebuild(alice_tenant, again=False)
    got = used(alice_tenant)
    shop = str(rows.application.pk)
    assert got["", "api", str(rows.api.pk), "calls", "day"] == 4
    assert got["", "application", shop, "calls", "day"] == 0
    assert got["application", "application", shop, "calls", "day"] == 0


def test_tokens_and_money_are_summed_by_currency(rows, alice_tenant):
    for fields in (
        {"measure": "tokens", "window": "calendar_day"},
        {"measure": "cost", "currency": "EUR", "window": "calendar_day"},
        {"measure": "cost", "currency": "USD", "window": "calendar_day"},
    ):
        save_limit(limit=Limit(amount=50, application=rows.application, **fields))
    spent = ours(rows, model="m", input_tokens=10, output_tokens=5, cost_micros=700)
    happen(alice_tenant, NOON, 2, **spent, currency="EUR")
    happen(alice_tenant, NOON, 1, **spent, currency="USD")
    limit_rebuild.rebuild(alice_tenant, again=False)
    with alice_tenant:
        snapshot = compile_snapshot(alice_tenant, 1)
    found = {
        (one.limit.measure, one.limit.currency): reading(alice_tenant, one)
        for one in counted(snapshot)
        if one.place == "application" and one.limit.measure != "calls"
    }
    assert found == {("tokens", "USD"): 45, ("cost", "EUR"): 1400, ("cost", "USD"): 700}


def test_what_a_batch_used_is_no_call_of_its_own(rows, alice_tenant):
    """Gateways count those that create it and ask for it, and they have records of their own."""
    save_limit(limit=Limit(amount=50, measure="tokens", window="calendar_day"))
    model = ours(rows, model_id=rows.model.pk, model="fast")
    happen(alice_tenant, NOON, 3, **model, method="POST")
    used_by_it = {"method": BATCH, "input_tokens": 10, "output_tokens": 5, "attempts": 0}
    happen(alice_tenant, NOON, 2, **model, **used_by_it)
    happen(alice_tenant, NOON, 4, **ours(rows), method=BATCH)  # as a client may call a REST API
    limit_rebuild.rebuild(alice_tenant, again=False)
    got = used(alice_tenant)
    assert got["", "tenant", "", "calls", "day"] == 7
    assert got["", "tenant", "", "calls", "month"] == 7
    assert got["", "key", str(rows.key.pk), "calls", "day"] == 7
    assert got["", "tenant", "", "tokens", "day"] == 30


def test_the_day_begins_at_midnight_in_the_tenants_time_zone(rows, alice_tenant):
    alice_tenant.time_zone = "Asia/Kolkata"
    alice_tenant.save()
    before, after = (
        datetime(2031, 3, 13, 18, 29, tzinfo=UTC),
        datetime(2031, 3, 13, 18, 31, tzinfo=UTC),
    )
    happen(alice_tenant, before, 4, **ours(rows))
    happen(alice_tenant, after, 3, **ours(rows))
    limit_rebuild.rebuild(alice_tenant, again=False)
    got = used(alice_tenant)
    assert got["", "tenant", "", "calls", "day"] == 3
    assert got["", "tenant", "", "calls", "month"] == 7


def test_what_gateways_counted_meanwhile_is_neither_lost_nor_counted_twice(rows, alice_tenant):
    happen(alice_tenant, NOON, 10, **ours(rows))
    month = period_at("month", "UTC", NOON.timestamp())
    counter = keys.limit_counter(str(alice_tenant.pk), "calls", "tenant", month.name)
    store.client().hset(counter, "u", 4)  # let through since the loss, and recorded among the 10
    limit_rebuild.rebuild(alice_tenant, again=True)
    assert used(alice_tenant)["", "tenant", "", "calls", "month"] == 10
    store.client().hincrby(counter, "u", 5)
    limit_rebuild.rebuild(alice_tenant, again=False)
    assert used(alice_tenant)["", "tenant", "", "calls", "month"] == 15
    # What was held up in a journal comes in later, and the second filling adds it.
    happen(alice_tenant, NOON, 5 + 3, **ours(rows))
    limit_rebuild.rebuild(alice_tenant, again=False)
    assert used(alice_tenant)["", "tenant", "", "calls", "month"] == 18
    assert store.client().expiretime(counter) > month.end


def test_what_batches_may_use_is_not_taken_for_used(rows, alice_tenant):
    """It is in no record yet: what is missing is filled beside it."""
    happen(alice_tenant, NOON, 10, **ours(rows))
    month = period_at("month", "UTC", NOON.timestamp())
    counter = keys.limit_counter(str(alice_tenant.pk), "calls", "tenant", month.name)
    store.client().hset(counter, "p", 7)
    limit_rebuild.rebuild(alice_tenant, again=False)
    assert used(alice_tenant)["", "tenant", "", "calls", "month"] == 10
    assert store.client().hget(counter, "p") == b"7"


def test_a_lost_valkey_is_noticed_and_filled_once_and_once_more(
    charlie_tenant, rows, alice_tenant, monkeypatch
):
    for tenant in (alice_tenant, charlie_tenant):
        publish(tenant)
    # A new tenant has lost nothing, so that its calls need not wait for anybody.
    assert limit_rebuild.rebuild_lost() == []
    happen(alice_tenant, NOON, 6, **ours(rows))
    for tenant in (alice_tenant, charlie_tenant):
        store.client().delete(keys.limits_rebuilt(str(tenant.pk)))
    for name in store.client().scan_iter(f"hubpo:limit:{{{alice_tenant.pk}}}:*"):
        store.client().delete(name)
    assert set(limit_rebuild.rebuild_lost()) == {alice_tenant, charlie_tenant}
    assert used(alice_tenant)["", "tenant", "", "calls", "day"] == 6
    later = NOON + timedelta(seconds=limit_fill.AGAIN_SECONDS + 1)
    monkeypatch.setattr(limit_rebuild, "time", later.timestamp)
    assert limit_rebuild.rebuild_lost() == [alice_tenant]
    assert limit_rebuild.rebuild_lost() == []


def test_usage_that_is_not_recorded_yet_is_waited_for(rows, alice_tenant, settings, monkeypatch):
    monkeypatch.setattr(limit_rebuild, "RECORDED_SECONDS", 0.2)
    entry = store.client().xadd(keys.USAGE_STREAM, {"e": b"not yet"})
    try:
        assert limit_rebuild.rebuild_lost() == []
        assert not store.client().exists(keys.limits_rebuilt(str(alice_tenant.pk)))
    finally:
        store.client().xdel(keys.USAGE_STREAM, entry)
    assert limit_rebuild.rebuild_lost() == [alice_tenant]
    Stream(settings.REDIS_URL).close()


def test_a_new_limit_knows_what_was_used_before_it(catalogue, alice_tenant, committed, alice):
    publish(alice_tenant)
    limit_rebuild.rebuild_lost()
    happen(alice_tenant, NOON, 9, **ours(catalogue))
    with committed():
        save_limit(limit=Limit(amount=20, window="calendar_day", api=catalogue.api))
    assert used(alice_tenant)["api", "api", str(catalogue.api.pk), "calls", "day"] == 9
    mark = store.client().get(keys.limits_rebuilt(str(alice_tenant.pk)))
    with committed():
        row = catalogue.api.limits.get()
        row.amount = 30
        save_limit(limit=row)
    assert store.client().get(keys.limits_rebuilt(str(alice_tenant.pk))) == mark


def test_one_at_a_time_and_one_tenants_trouble_is_its_own(
    charlie_tenant, rows, alice_tenant, caplog
):
    tier = charlie_tenant.tier
    tier.max_calls_per_month = 9
    tier.save()
    type(charlie_tenant).objects.filter(pk=charlie_tenant.pk).update(time_zone="Mars/Base")
    happen(alice_tenant, NOON, 2, **ours(rows))
    lock = store.client().lock(tasks.REBUILD_LOCK, timeout=5, thread_local=False)
    assert lock.acquire(blocking=False)
    tasks.rebuild_limits()
    lock.release()
    assert used(alice_tenant)["", "tenant", "", "calls", "day"] == 0
    tasks.rebuild_limits()
    assert used(alice_tenant)["", "tenant", "", "calls", "day"] == 2
    assert "counters of tenant charlie" in caplog.text
    assert not store.client().exists(tasks.REBUILD_LOCK)


def test_another_tenants_usage_and_invented_usage_do_not_count(charlie_tenant, rows, alice_tenant):
    from django.db import connection

    happen(charlie_tenant, NOON, 50, **ours(rows))
    happen(alice_tenant, NOON, 5, **ours(rows))
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE public.analytics_usagerecord SET demo = true WHERE tenant_id = %s",
            [alice_tenant.pk],
        )
    assert limit_rebuild.rebuild(alice_tenant, again=False) == 0


ANN, BOB = keys.user_digest("ann"), keys.user_digest("bob")


@pytest.fixture
def users(rows):
    """Besides, one for each end user at every place, by day and by month."""
    for api in (rows.api, rows.models_api):
        api.user_from = "header:X-User"
        save_api(api=api)
    for place, pers in Limit.PERS.items():
        on = {place: getattr(rows, place)} if place else {}
        assert "user" in pers
        for window in ("calendar_day", "calendar_month"):
            save_limit(limit=Limit(amount=1000, window=window, per="user", **on))
    return rows


def of_user(tenant, application, user, *, within="", measure="calls", kind="day"):
    """What the counter says that gateways would ask."""
    subject = keys.limit_subject("user", f"{application}:{user}", within=within)
    period = period_at(kind, tenant.time_zone, NOON.timestamp()).name
    name = keys.limit_counter(str(tenant.pk), measure, subject, period)
    return read(store.client().hgetall(name), {}, 0, 0).used


def test_end_users_counters_are_what_the_records_say_of_each(users, alice_tenant):
    happen(alice_tenant, NOON, 3, **ours(users, end_user=ANN))
    happen(alice_tenant, YESTERDAY, 10, **ours(users, end_user=ANN))
    happen(alice_tenant, LAST_MONTH, 100, **ours(users, end_user=ANN))
    happen(alice_tenant, NOON, 2, **ours(users, end_user=BOB))
    happen(alice_tenant, NOON, 4, **ours(users))  # from before the limit: nobody knows of whom
    refused = {"status": 429, "error_code": "quota_exceeded"}
    happen(alice_tenant, NOON, 7, **ours(users, end_user=ANN, **refused))
    batch = {"method": BATCH, "model_id": users.model.pk}
    happen(alice_tenant, NOON, 6, **ours(users, end_user=ANN, **batch))
    elsewhere = ours(users, api_id=uuid4(), plan_id=uuid4(), key_id=uuid4(), end_user=ANN)
    happen(alice_tenant, NOON, 5, **elsewhere)
    limit_rebuild.rebuild(alice_tenant, again=False)
    shop = users.application.pk
    places = [f"plan:{users.plan.pk}", f"api:{users.api.pk}", f"key:{users.key.pk}"]
    for within in ["", *places]:
        more = 5 if within == "" else 0  # what was called elsewhere by the same application
        found = {
            (user, kind): of_user(alice_tenant, shop, user, within=within, kind=kind)
            for user in (ANN, BOB)
            for kind in ("day", "month")
        }
        assert found == {
            (ANN, "day"): 3 + more,
            (ANN, "month"): 13 + more,
            (BOB, "day"): 2,
            (BOB, "month"): 2,
        }, within


def test_end_users_of_open_apis_belong_to_no_application(users, alice_tenant):
    users.api.key_required = False
    save_api(api=users.api)
    opened = {"api_id": users.api.pk, "end_user": ANN}
    happen(alice_tenant, NOON, 6, **opened)
    happen(alice_tenant, NOON, 1, **opened, application_id=users.application.pk)  # with a key
    limit_rebuild.rebuild(alice_tenant, again=False)
    for within in ("", f"api:{users.api.pk}"):
        assert of_user(alice_tenant, "none", ANN, within=within) == 7
        assert of_user(alice_tenant, users.application.pk, ANN, within=within) == 0


def test_end_users_tokens_and_money_are_summed_by_currency(users, alice_tenant):
    for fields in (
        {"measure": "tokens"},
        {"measure": "cost", "currency": "EUR"},
        {"measure": "cost", "currency": "USD"},
    ):
        fields |= {"per": "user", "window": "calendar_day", "amount": 50}
        save_limit(limit=Limit(api=users.models_api, **fields))
    spent = ours(users, api_id=users.models_api.pk, end_user=ANN, model="m")
    spent |= {"input_tokens": 10, "output_tokens": 5, "cost_micros": 700}
    happen(alice_tenant, NOON, 2, **spent, currency="EUR")
    happen(alice_tenant, NOON, 1, **spent, currency="USD")
    limit_rebuild.rebuild(alice_tenant, again=False)
    within = f"api:{users.models_api.pk}"
    found = {
        measure: of_user(alice_tenant, users.application.pk, ANN, within=within, measure=measure)
        for measure in ("tokens", "cost-EUR", "cost-USD", "calls")
    }
    assert found == {"tokens": 45, "cost-EUR": 1400, "cost-USD": 700, "calls": 0}


def test_many_end_users_are_filled_in_batches_and_anothers_never(
    charlie_tenant, users, alice_tenant, monkeypatch
):
    monkeypatch.setattr(limit_fill, "_CHUNK", 7)
    names = [keys.user_digest(f"user {number}") for number in range(40)]
    for number, name in enumerate(names):
        happen(alice_tenant, NOON, 1 + number % 3, **ours(users, end_user=name))
    happen(charlie_tenant, NOON, 50, **ours(users, end_user=names[0]))
    assert limit_rebuild.rebuild(alice_tenant, again=False) > 40 * 2 * 5
    found = [of_user(alice_tenant, users.application.pk, name) for name in names]
    assert found == [1 + number % 3 for number in range(40)]


def test_what_end_users_used_meanwhile_is_not_counted_twice(users, alice_tenant):
    happen(alice_tenant, NOON, 10, **ours(users, end_user=ANN))
    subject = keys.limit_subject("user", f"{users.application.pk}:{ANN}")
    day = period_at("day", "UTC", NOON.timestamp()).name
    name = keys.limit_counter(str(alice_tenant.pk), "calls", subject, day)
    store.client().hset(name, "u", 4)
    limit_rebuild.rebuild(alice_tenant, again=True)
    assert of_user(alice_tenant, users.application.pk, ANN) == 10
    store.client().hincrby(name, "u", 1)
    limit_rebuild.rebuild(alice_tenant, again=False)
    assert of_user(alice_tenant, users.application.pk, ANN) == 11


def test_the_command_fills_and_refuses_unknown_tenants(rows, alice_tenant):
    happen(alice_tenant, NOON, 2, **ours(rows))
    out = StringIO()
    call_command("rebuild_limits", "alice", stdout=out)
    assert out.getvalue().startswith("alice: ")
    assert used(alice_tenant)["", "tenant", "", "calls", "day"] == 2
    with pytest.raises(CommandError, match="no tenant nobody"):
        call_command("rebuild_limits", "nobody")
