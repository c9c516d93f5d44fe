"""Creating a tenant: at once a row, then a schema in the background."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone
from django_tenants.utils import schema_exists

from tenants import hooks, schemas, selectors, services
from tenants.models import Domain, Membership, Tenant

State = Tenant.State


@pytest.fixture
def dora(tier, alice):
    """A tenant that was just asked for; Alice is to own it."""
    return services.create_tenant(name="Dora", slug="dora", tier=tier, owner=alice, start=False)


@pytest.fixture
def heard(monkeypatch):
    """The tenants whose change was announced."""
    tenants = []
    monkeypatch.setattr(hooks, "_on_change", [tenants.append])
    return tenants


def test_the_row_and_its_owner_are_there_at_once(dora, alice):
    assert dora.state == State.CREATING
    assert dora.memberships.get().user == alice
    assert dora.memberships.get().role == Membership.Role.OWNER
    assert not schema_exists("dora")


@pytest.mark.django_db(transaction=True)
def test_provisioning_makes_the_schema_and_the_host(dora, heard, settings):
    assert services.provision(dora)
    dora.refresh_from_db()
    assert (dora.state, dora.progress, dora.claimed_at) == (State.ACTIVE, 100, None)
    assert schema_exists("dora")
    assert Domain.objects.get(tenant=dora).domain == f"dora.{settings.DOMAIN}"
    assert [tenant.state for tenant in heard] == [State.ACTIVE]
    with dora, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM dora.catalog_api")
        assert cursor.fetchone() == (0,)


@pytest.mark.django_db(transaction=True)
def test_progress_only_grows_and_names_the_step(dora, monkeypatch):
    seen = []
    migrate = schemas.migrate

    def watched(schema_name, report):
        def both(*step):
            report(*step)
            seen.append(Tenant.objects.values_list("progress", "progress_text").get(pk=dora.pk))

        migrate(schema_name, both)

    monkeypatch.setattr(schemas, "migrate", watched)
    assert services.provision(dora)
    percentages = [percent for percent, _ in seen]
    assert percentages == sorted(percentages)
    assert len(set(percentages)) > 5
    assert all(text.startswith("Step ") for _, text in seen)


@pytest.mark.django_db(transaction=True)
def test_a_second_worker_leaves_a_claimed_tenant_alone(dora):
    Tenant.objects.filter(pk=dora.pk).update(claimed_at=timezone.now())
    assert not services.provision(dora)
    assert not schema_exists("dora")


@pytest.mark.django_db(transaction=True)
def test_a_tenant_whose_worker_died_is_taken_over(dora):
    Tenant.objects.filter(pk=dora.pk).update(
        claimed_at=timezone.now() - selectors.CLAIM_LASTS - timedelta(seconds=1)
    )
    dora.refresh_from_db()
    assert "has stopped" in selectors.progress_of(dora)
    assert services.provision(dora)


@pytest.mark.django_db(transaction=True)
def test_provisioning_twice_is_no_different_from_once(dora):
    assert services.provision(dora)
    assert services.provision(dora)
    assert Domain.objects.filter(tenant=dora).count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_failure_is_kept_with_its_reason_and_can_be_retried(dora, public_tenant, settings):
    squatter = Domain.objects.create(tenant=public_tenant, domain=f"dora.{settings.DOMAIN}")
    assert not services.provision(dora)
    dora.refresh_from_db()
    assert dora.state == State.FAILED
    assert "already leads to another tenant" in dora.progress_text

    squatter.delete()
    services.retry_provisioning(tenant=dora)
    assert services.provision(dora)
    dora.refresh_from_db()
    assert dora.state == State.ACTIVE


@pytest.mark.django_db(transaction=True)
def test_a_failure_half_way_goes_on_where_it_stopped(dora, monkeypatch):
    migrate = schemas.migrate

    def breaks_at_five(schema_name, report):
        def step(done, total, name):
            report(done, total, name)
            if done == 5:
                raise OSError("No space left on device")

        migrate(schema_name, step)

    monkeypatch.setattr(schemas, "migrate", breaks_at_five)
    assert not services.provision(dora)
    dora.refresh_from_db()
    assert (dora.state, dora.progress_text) == (State.FAILED, "No space left on device")

    monkeypatch.setattr(schemas, "migrate", migrate)
    services.retry_provisioning(tenant=dora)
    assert services.provision(dora)


def test_only_a_stuck_tenant_can_be_retried(alice_tenant):
    with pytest.raises(ValidationError, match="not waiting"):
        services.retry_provisioning(tenant=alice_tenant)


def test_a_tenant_no_worker_asks_for_says_so_after_a_while(dora):
    assert "Waiting" in selectors.progress_of(dora)
    dora.created_at -= selectors.PATIENCE * 2
    assert "No background worker" in selectors.progress_of(dora)


@pytest.mark.django_db(transaction=True)
def test_an_unreachable_queue_is_told_on_the_tenant(tier, alice, monkeypatch):
    from celery import current_app

    monkeypatch.setattr(current_app.conf, "broker_write_url", "redis+socket:///nowhere/valkey.sock")
    tenant = services.create_tenant(name="Dora", slug="dora", tier=tier, owner=alice)
    tenant.refresh_from_db()
    assert tenant.state == State.CREATING
    assert "queue cannot be reached" in selectors.progress_of(tenant)


@pytest.mark.django_db(transaction=True)
def test_the_celery_task_does_it(tier, alice):
    from celery.contrib.testing.worker import start_worker

    from config.celery import app

    with start_worker(app, perform_ping_check=False, pool="solo", queues=["hubpo"]):
        tenant = services.create_tenant(name="Dora", slug="dora", tier=tier, owner=alice)
        deadline = timezone.now() + timedelta(seconds=20)
        while timezone.now() < deadline and tenant.state == State.CREATING:
            connection.close()
            tenant.refresh_from_db()
    assert tenant.state == State.ACTIVE


@pytest.mark.parametrize("slug", ["public", "www", "Dora", "-dora", "dora-", "do_ra", "a.b", ""])
def test_a_slug_that_makes_no_host_is_refused(tier, alice, slug):
    with pytest.raises(ValidationError) as refused:
        services.create_tenant(name="Dora", slug=slug, tier=tier, owner=alice, start=False)
    assert "slug" in refused.value.error_dict


def test_a_slug_in_use_is_refused(alice_tenant, tier, alice):
    with pytest.raises(ValidationError) as refused:
        services.create_tenant(name="Another", slug="alice", tier=tier, owner=alice, start=False)
    assert "slug" in refused.value.error_dict
