"""Suspended, resumed, deleted, brought back, and gone for good."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.utils import timezone
from django_tenants.utils import schema_exists

from tenants import hooks, selectors, services, tasks
from tenants.models import AccountTier, Domain, ManagementToken, Membership, Tenant, User

State = Tenant.State


@pytest.fixture
def heard(monkeypatch):
    """States announced to other apps, and the ids of tenants that are gone."""
    told = []
    monkeypatch.setattr(hooks, "_on_change", [lambda tenant: told.append(tenant.state)])
    monkeypatch.setattr(hooks, "_on_purge", [told.append])
    return told


@pytest.fixture
def dora(transactional_db, tier, alice):
    """A whole tenant that may be dropped."""
    tenant = services.create_tenant(name="Dora", slug="dora", tier=tier, owner=alice, start=False)
    assert services.provision(tenant)
    tenant.refresh_from_db()
    return tenant


def overdue(tenant):
    Tenant.objects.filter(pk=tenant.pk).update(delete_after=timezone.now())


def test_suspending_and_resuming_is_announced_after_the_commit(
    alice_tenant, heard, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        services.suspend_tenant(tenant=alice_tenant, reason=" unpaid ")
        assert heard == []
    alice_tenant.refresh_from_db()
    assert (alice_tenant.state, alice_tenant.suspended_reason) == (State.SUSPENDED, "unpaid")
    assert heard == [State.SUSPENDED]
    with django_capture_on_commit_callbacks(execute=True):
        services.resume_tenant(tenant=alice_tenant)
    alice_tenant.refresh_from_db()
    assert (alice_tenant.state, alice_tenant.suspended_reason) == (State.ACTIVE, "")
    assert heard == [State.SUSPENDED, State.ACTIVE]


def test_a_hook_that_fails_keeps_nobody_else_from_hearing(
    alice_tenant, monkeypatch, django_capture_on_commit_callbacks
):
    told = []
    monkeypatch.setattr(hooks, "_on_change", [lambda tenant: 1 / 0, told.append])
    with django_capture_on_commit_callbacks(execute=True):
        services.suspend_tenant(tenant=alice_tenant, reason="unpaid")
    assert told == [alice_tenant]


@pytest.mark.parametrize("reason", ["", "   "])
def test_a_suspension_needs_a_reason(alice_tenant, reason):
    with pytest.raises(ValidationError):
        services.suspend_tenant(tenant=alice_tenant, reason=reason)


@pytest.mark.parametrize(
    ("state", "step"),
    [
        (State.SUSPENDED, lambda t: services.suspend_tenant(tenant=t, reason="again")),
        (State.CREATING, lambda t: services.suspend_tenant(tenant=t, reason="early")),
        (State.ACTIVE, lambda t: services.resume_tenant(tenant=t)),
        (State.DELETING, lambda t: services.resume_tenant(tenant=t)),
        (State.DELETING, lambda t: services.request_deletion(tenant=t)),
        (State.ACTIVE, lambda t: services.undo_deletion(tenant=t)),
        (State.ACTIVE, lambda t: services.retry_provisioning(tenant=t)),
    ],
)
def test_a_step_from_the_wrong_state_is_refused(alice_tenant, state, step):
    Tenant.objects.filter(pk=alice_tenant.pk).update(state=state)
    with pytest.raises(ValidationError) as refused:
        step(alice_tenant)
    assert refused.value.code == "state"
    assert Tenant.objects.get(pk=alice_tenant.pk).state == state


def test_the_platforms_own_row_cannot_be_touched(public_tenant):
    for step in (services.request_deletion, services.resume_tenant):
        with pytest.raises(ValidationError):
            step(tenant=public_tenant)
    with pytest.raises(ValidationError):
        services.suspend_tenant(tenant=public_tenant, reason="no")


def test_a_suspended_tenants_people_read_why_and_change_nothing(
    client_for, alice, alice_tenant, bob
):
    services.suspend_tenant(tenant=alice_tenant, reason="The invoice is unpaid")
    client = client_for(alice_tenant, alice)
    for page in ("/admin/", "/admin/tenants/membership/"):
        shown = client.get(page)
        assert shown.status_code == 200
        assert "The invoice is unpaid" in shown.content.decode()
    pk = Membership.objects.get(user=bob).pk
    form = {"role": "viewer"}
    assert client.post(f"/admin/tenants/membership/{pk}/role/", form).status_code == 403
    assert Membership.objects.get(pk=pk).role == "publisher"


@pytest.mark.parametrize("state", [State.CREATING, State.FAILED, State.DELETING])
def test_a_tenant_not_there_yet_or_no_longer_has_no_console(client_for, alice, alice_tenant, state):
    Tenant.objects.filter(pk=alice_tenant.pk).update(state=state)
    client = client_for(alice_tenant, alice)
    unknown = client.get("/admin/", HTTP_HOST="nobody.localhost")
    for path in ("/admin/", "/admin/login/", "/api/members/", "/api/schema/"):
        answer = client.get(path)
        assert (answer.status_code, answer.content) == (404, unknown.content)


@pytest.mark.parametrize("reason", ["", "unpaid"])
def test_an_undone_deletion_leaves_the_tenant_as_it_was(alice_tenant, heard, reason):
    if reason:
        services.suspend_tenant(tenant=alice_tenant, reason=reason)
    before = alice_tenant.state
    services.request_deletion(tenant=alice_tenant)
    assert timedelta(days=6) < alice_tenant.delete_after - timezone.now() < timedelta(days=7.1)
    services.undo_deletion(tenant=alice_tenant)
    alice_tenant.refresh_from_db()
    assert (alice_tenant.state, alice_tenant.delete_after) == (before, None)
    assert alice_tenant.suspended_reason == reason


def test_a_deletion_cannot_be_undone_once_its_time_is_over(alice_tenant):
    services.request_deletion(tenant=alice_tenant)
    overdue(alice_tenant)
    with pytest.raises(ValidationError, match="is over"):
        services.undo_deletion(tenant=alice_tenant)


def test_a_deleted_tenant_stays_until_its_time_is_over(dora):
    services.request_deletion(tenant=dora)
    assert tasks.purge_deleted() == []
    assert schema_exists("dora")


def test_a_purge_drops_schema_rows_and_tells_it(dora, alice, heard):
    member = Membership.objects.get(tenant=dora)
    services.issue_token(membership=member, name="x")
    services.request_deletion(tenant=dora)
    overdue(dora)
    assert tasks.purge_deleted() == ["dora"]
    assert not schema_exists("dora")
    for model in (Tenant, Domain, Membership, ManagementToken):
        assert not model.objects.exists()
    assert User.objects.get() == alice
    assert heard == [State.DELETING, dora.pk]
    assert tasks.purge_deleted() == []


def test_a_slug_is_free_again_after_the_purge(dora, tier, alice):
    services.request_deletion(tenant=dora)
    with pytest.raises(ValidationError):
        services.create_tenant(name="D", slug="dora", tier=tier, owner=alice, start=False)
    overdue(dora)
    services.purge_deleted()
    again = services.create_tenant(name="D", slug="dora", tier=tier, owner=alice, start=False)
    assert services.provision(again)


def test_one_tenants_purge_leaves_the_others_alone(dora, alice_tenant):
    services.request_deletion(tenant=dora)
    overdue(dora)
    services.purge_deleted()
    assert [tenant.slug for tenant in selectors.organisations()] == ["alice"]
    assert schema_exists("alice")


def test_hosts_come_and_go_but_the_first_stays(alice_tenant, charlie_tenant, heard):
    host = services.add_domain(tenant=alice_tenant, domain="API.example.org.")
    assert host.domain == "api.example.org"
    with pytest.raises(ValidationError):
        services.add_domain(tenant=charlie_tenant, domain="api.example.org")
    for bad in ("", "a b", "http://x", "x:80", "-x.org", "x/y", "*.example.org"):
        with pytest.raises(ValidationError):
            services.add_domain(tenant=alice_tenant, domain=bad)
    services.remove_domain(domain=host)
    with pytest.raises(ValidationError, match="first host"):
        services.remove_domain(domain=alice_tenant.domains.get())


def test_the_first_operator_gets_a_password_and_the_second_run_none(db, capsys):
    import json

    def run():
        call_command("ensure_operator")
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    first, second = run(), run()
    operator = User.objects.get()
    assert operator.check_password(first["password"])
    assert not operator.must_change_password
    assert second == {"username": first["username"], "password": None}
    assert Domain.objects.get().domain == "localhost"
    assert set(AccountTier.objects.values_list("name", flat=True)) == {
        "Free",
        "Team",
        "Enterprise",
    }


def test_a_limit_has_a_name_that_exists(alice_tenant):
    alice_tenant.tier.max_apis = 3
    assert selectors.tier_limit(alice_tenant, "max_apis") == 3
    assert selectors.tier_limit(alice_tenant, "max_members") is None
    with pytest.raises(KeyError):
        selectors.tier_limit(alice_tenant, "max_wishes")
