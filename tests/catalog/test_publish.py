"""From a committed change to the gateways' store."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from hashlib import sha256

import pytest
import redis
from django.core.exceptions import ValidationError
from django.db import connection, connections, transaction

from catalog import publish as publishing_module
from catalog import store, tasks
from catalog.models import Api, Application, Publication, Upstream
from catalog.publish import KEPT, publish
from catalog.reconcile import reconcile
from catalog.services import access, apis, publishing, rows
from catalog.snapshot import compile_snapshot
from contract import keys
from contract.snapshot import encode
from tenants import services as tenant_services
from tenants.models import SnapshotChange, Tenant


@pytest.fixture
def store_down(settings):
    """The store's address leads nowhere; ``store_down()`` brings the store back."""
    address = settings.REDIS_URL
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"

    def back():
        settings.REDIS_URL = address

    return back


@pytest.fixture
def announcements():
    """The tenant ids announced since the test began."""
    listener = store.client().pubsub()
    listener.subscribe(keys.SNAPSHOT_CHANNEL)
    listener.get_message(timeout=1)

    def heard():
        found = []
        while message := listener.get_message(timeout=0.2):
            found.append(message["data"].decode())
        return found

    yield heard
    listener.close()


def test_a_save_is_stored_announced_and_recorded(in_alice, committed, in_store, announcements):
    with committed() as outcomes:
        access.save_application(application=Application(name="Shop"))
    got = in_store(in_alice)
    row = Publication.objects.get()
    assert [application.name for application in got.applications] == ["Shop"]
    assert announcements() == [str(in_alice.pk)]
    assert store.stored(str(in_alice.pk)) == (got.version, sha256(encode(got)).hexdigest())
    assert (row.version, row.status, row.digest, row.size) == (
        got.version,
        "published",
        sha256(encode(got)).hexdigest(),
        len(encode(got)),
    )
    assert [outcome.status for outcome in outcomes] == ["published"]
    assert not SnapshotChange.objects.exists()


def test_many_changes_in_one_transaction_are_one_publication(in_alice, committed):
    with committed() as outcomes:
        for name in "abc":
            access.save_application(application=Application(name=name))
    assert len(outcomes) == 1
    assert Publication.objects.count() == 1


def test_what_changes_nothing_for_the_gateway_is_not_stored(in_alice, committed, announcements):
    with committed():
        access.save_application(application=Application(name="Shop"))
    version = store.stored(str(in_alice.pk))
    announcements()
    with committed() as outcomes:
        rows.save(row=Upstream(name="Unused"))
    assert [outcome.status for outcome in outcomes] == ["unchanged"]
    assert store.stored(str(in_alice.pk)) == version
    assert announcements() == []
    assert Publication.objects.count() == 1
    assert not SnapshotChange.objects.exists()


class Undone(Exception):
    """Ends a transaction without a commit."""


def save_and_undo(name):
    with transaction.atomic():
        access.save_application(application=Application(name=name))
        raise Undone


def test_a_change_that_is_rolled_back_is_not_published(in_alice, committed, in_store):
    with committed() as outcomes, pytest.raises(Undone):
        save_and_undo("Shop")
    assert outcomes == []
    assert in_store(in_alice) is None


def test_a_change_after_one_that_was_rolled_back_is_published(in_alice, committed, in_store):
    with committed() as outcomes:
        with pytest.raises(Undone):
            save_and_undo("Lost")
        access.save_application(application=Application(name="Shop"))
    assert len(outcomes) == 1
    assert [row.name for row in in_store(in_alice).applications] == ["Shop"]


def test_a_lost_blob_is_stored_again(in_alice, committed, in_store):
    with committed():
        access.save_application(application=Application(name="Shop"))
    store.client().delete(keys.snapshot_blob(str(in_alice.pk)))
    assert publish(in_alice).status == "published"
    assert in_store(in_alice).version == 2


def test_a_snapshot_with_problems_is_refused_and_the_old_one_stays(api, in_alice, committed):
    publish(in_alice)
    before = store.stored(str(in_alice.pk))
    with committed() as outcomes:
        Api.objects.update(upstream=None)
        publishing.changed()
    assert store.stored(str(in_alice.pk)) == before
    assert outcomes[0].status == "refused"
    assert not outcomes[0].in_effect
    assert "The API Orders has no upstream." in outcomes[0].message
    row = Publication.objects.first()
    assert (row.status, row.problem) == ("refused", "The API Orders has no upstream.")
    publish(in_alice)
    assert Publication.objects.filter(status="refused").count() == 1


def test_a_save_succeeds_without_the_store_and_is_repaired_later(
    in_alice, committed, in_store, store_down
):
    with committed() as outcomes:
        access.save_application(application=Application(name="Shop"))
    assert Application.objects.count() == 1
    assert outcomes[0].status == "waiting"
    assert "It will be in effect when the gateway's store is back" in outcomes[0].message
    assert Publication.objects.get().status == "waiting"
    assert SnapshotChange.objects.count() == 1
    with pytest.raises(redis.RedisError):
        reconcile()
    store_down()
    assert in_store(in_alice) is None
    assert [outcome.status for outcome in reconcile().values()] == ["published"]
    assert in_store(in_alice).applications[0].name == "Shop"
    assert Publication.objects.first().status == "published"
    assert not SnapshotChange.objects.exists()


def test_reconciling_leaves_alone_what_is_in_order(in_alice, charlie_later):
    publish(in_alice)
    publish(charlie_later)
    assert reconcile() == {}


@pytest.fixture
def charlie_later(in_alice, tier, charlie):
    """Charlie's tenant, made from within Alice's schema."""
    connection.set_schema_to_public()
    try:
        tenant = Tenant.objects.create(
            name="Charlie", slug="charlie", schema_name="charlie", tier=tier, state="active"
        )
        tenant.domains.create(domain="charlie.localhost")
        return tenant
    finally:
        connection.set_tenant(in_alice)


def test_reconciling_compiles_only_what_was_changed(in_alice, charlie_later):
    publish(in_alice)
    publish(charlie_later)
    access.save_application(application=Application(name="Shop"))
    assert {tenant.slug: outcome.status for tenant, outcome in reconcile().items()} == {
        "alice": "published"
    }


def test_reconciling_in_full_finds_what_was_changed_past_the_services(in_alice, in_store):
    publish(in_alice)
    Application.objects.create(name="Shop")
    assert reconcile() == {}
    reconcile(full=True)
    assert in_store(in_alice).applications[0].name == "Shop"


def test_reconciling_restores_what_the_store_lost_with_a_higher_version(in_alice, in_store):
    publish(in_alice)
    store.remove(str(in_alice.pk))
    reconcile()
    assert in_store(in_alice).version == 2


def test_versions_go_on_above_a_store_that_outlived_the_database(in_alice, in_store):
    publish(in_alice)
    store.client().hset(keys.SNAPSHOT_INDEX, str(in_alice.pk), "41:other")
    publish(in_alice)
    assert in_store(in_alice).version == 42
    assert Publication.objects.first().version == 42


def test_an_older_version_never_goes_over_a_newer_one(in_alice, in_store):
    tenant_id = str(in_alice.pk)
    new, old = (encode(compile_snapshot(in_alice, version)) for version in (5, 4))
    assert store.put(tenant_id, 5, "five", new)
    assert not store.put(tenant_id, 4, "four", old)
    assert not store.put(tenant_id, 5, "other", old)
    assert store.put(tenant_id, 5, "five", new)
    assert store.stored(tenant_id) == (5, "five")
    assert in_store(in_alice).version == 5


def test_the_history_keeps_the_newest(in_alice, monkeypatch):
    monkeypatch.setattr(publishing_module, "KEPT", 3)
    for number in range(5):
        Application.objects.create(name=f"A{number}")
        publish(in_alice)
    assert [row.version for row in Publication.objects.all()] == [5, 4, 3]
    assert KEPT == 200


def test_a_tenant_that_is_being_created_is_not_published(in_alice, in_store):
    Tenant.objects.filter(pk=in_alice.pk).update(state="creating")
    publish(in_alice)
    assert in_store(in_alice) is None


@pytest.mark.django_db(transaction=True)
def test_suspending_and_purging_a_tenant_reach_the_gateway(alice_tenant, in_store, announcements):
    tenant_services.suspend_tenant(tenant=alice_tenant, reason="Unpaid")
    assert in_store(alice_tenant).suspended == "Unpaid"
    tenant_services.resume_tenant(tenant=alice_tenant)
    assert in_store(alice_tenant).suspended is None
    from tenants import hooks

    announcements()
    hooks.purged(alice_tenant.pk)
    assert in_store(alice_tenant) is None
    assert store.stored(str(alice_tenant.pk)) == (0, "")
    assert announcements() == [str(alice_tenant.pk)]


def at_once(tenant, calls):
    """Runs each call in a thread of its own in the tenant's schema; its result or error."""

    def run(call):
        try:
            with tenant:
                return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        futures = [pool.submit(run, call) for call in calls]
        wait(futures, timeout=30)
    return [future.exception() or future.result() for future in futures]


def save(name):
    return lambda: access.save_application(application=Application(name=name))


@pytest.mark.django_db(transaction=True)
def test_concurrent_changes_are_all_in_the_last_version(alice_tenant, in_store):
    """Twelve threads save at once; versions only grow and the last one has everything."""
    seen, stop = [], threading.Event()

    def watch():
        while not stop.wait(0.005):
            seen.append(store.stored(str(alice_tenant.pk))[0])

    watcher = threading.Thread(target=watch)
    watcher.start()
    results = at_once(alice_tenant, [save(f"App {number}") for number in range(12)])
    stop.set()
    watcher.join(5)
    assert all(isinstance(result, Application) for result in results), results
    assert seen == sorted(seen)
    got = in_store(alice_tenant)
    assert len(got.applications) == 12
    with alice_tenant:
        history = list(Publication.objects.values_list("version", "status"))
        assert history[0] == (got.version, "published")
        assert len({version for version, _ in history}) == len(history)
        assert not SnapshotChange.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_approvals_at_once_are_one_approval(alice_tenant, alice, bob, request):
    subscription = request.getfixturevalue("subscription")
    connection.set_schema_to_public()
    results = at_once(
        alice_tenant,
        [
            partial(access.approve_subscription, subscription=subscription, actor=actor)
            for actor in (alice, bob)
        ],
    )
    (refused,) = (result for result in results if isinstance(result, ValidationError))
    assert refused.code == "transition"
    with alice_tenant:
        assert subscription.events.filter(action="approve").count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_last_place_of_a_tier_is_given_once(alice_tenant, tier):
    tier.max_applications = 1
    tier.save()
    results = at_once(alice_tenant, [save("a"), save("b")])
    (refused,) = (result for result in results if isinstance(result, ValidationError))
    assert refused.code == "tier_limit"
    with alice_tenant:
        assert Application.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_save_is_in_the_store_well_within_a_second(alice_tenant, in_store):
    from time import perf_counter

    with alice_tenant:
        access.save_application(application=Application(name="Warm"))
        started = perf_counter()
        access.save_application(application=Application(name="Shop"))
        took = perf_counter() - started
    assert len(in_store(alice_tenant).applications) == 2
    assert took < 0.5


def test_retiring_takes_effect(api, in_alice, committed, in_store):
    with committed():
        apis.retire_api(api=api)
    assert in_store(in_alice).apis == ()


def test_the_background_tasks_publish_and_repair(in_alice, in_store):
    Application.objects.create(name="Shop")
    tasks.publish_tenant(str(in_alice.pk))
    assert in_store(in_alice).version == 1
    tasks.publish_tenant("00000000-0000-0000-0000-000000000000")
    store.remove(str(in_alice.pk))
    tasks.reconcile_changes()
    assert in_store(in_alice).version == 2
    Application.objects.create(name="Past the services")
    tasks.reconcile_all()
    assert len(in_store(in_alice).applications) == 2


def test_every_task_of_the_schedule_exists(settings):
    from config.celery import app

    app.loader.import_default_modules()
    scheduled = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert scheduled <= set(app.tasks)
    assert {"catalog.reconcile", "catalog.reconcile_all", "catalog.publish_tenant"} <= set(
        app.tasks
    )


def test_what_a_purged_tenant_left_in_the_store_goes(in_alice):
    publish(in_alice)
    gone = "11111111-1111-1111-1111-111111111111"
    store.put(gone, 3, "digest", b"blob")
    reconcile()
    assert set(store.stored_all()) == {str(in_alice.pk)}
