"""What the operator does on the platform's own host."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from tenants import services
from tenants.models import Domain, Tenant, User

BASE = "/admin/tenants/tenant/"
State = Tenant.State


@pytest.fixture
def client(client_for, operator):
    return client_for("localhost", operator)


@pytest.fixture
def form(tier):
    return {
        "name": "Dora Ltd",
        "slug": "dora",
        "tier": tier.pk,
        "time_zone": "Europe/Vienna",
        "owner": "dora",
        "owner_email": "dora@example.org",
    }


def test_creating_a_tenant_makes_the_row_at_once_and_shows_the_password_once(client, form):
    page = client.post(f"{BASE}add/", form)
    tenant = Tenant.objects.get(slug="dora")
    assert (tenant.state, tenant.time_zone) == (State.CREATING, "Europe/Vienna")
    owner = tenant.memberships.get().user
    password = dict(page.context["secrets"])["One-time password"]
    assert owner.check_password(password)
    assert owner.must_change_password
    assert f"{BASE}{tenant.pk}/progress/" in page.content.decode()
    assert password not in client.get(f"{BASE}{tenant.pk}/change/").content.decode()


def test_an_owner_with_an_account_keeps_the_password(client, form, charlie):
    answer = client.post(f"{BASE}add/", {**form, "owner": "charlie", "owner_email": ""})
    tenant = Tenant.objects.get(slug="dora")
    assert answer.url == f"{BASE}{tenant.pk}/change/"
    assert tenant.memberships.get().user == charlie
    charlie.refresh_from_db()
    assert charlie.check_password("charlie-password")


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("slug", "alice", "already exists"),
        ("slug", "public", "kept for the platform"),
        ("slug", "Not A Slug", "lower-case letters"),
        ("owner_email", "", "A new one needs an e-mail"),
        ("owner", "not a name", "valid username"),
        ("time_zone", "Mars/Olympus", "not one of the available choices"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_left(client, form, alice_tenant, field, value, text):
    page = client.post(f"{BASE}add/", {**form, field: value})
    assert page.status_code == 200
    assert text in page.content.decode()
    assert not Tenant.objects.filter(name="Dora Ltd").exists()
    assert not User.objects.filter(username="dora").exists()


def test_the_progress_is_there_for_the_page_to_ask(client, alice_tenant):
    Tenant.objects.filter(pk=alice_tenant.pk).update(
        state=State.CREATING, progress=40, progress_text="Step 9 of 20", claimed_at=timezone.now()
    )
    answer = client.get(f"{BASE}{alice_tenant.pk}/progress/").json()
    assert answer == {
        "state": "creating",
        "percent": 40,
        "text": "Step 9 of 20",
        "moving": True,
    }
    assert "Step 9 of 20" in client.get(f"{BASE}{alice_tenant.pk}/change/").content.decode()
    assert "Step 9 of 20" in client.get(BASE).content.decode()


def test_a_failure_shows_its_reason_and_a_way_to_try_again(client, alice_tenant):
    Tenant.objects.filter(pk=alice_tenant.pk).update(
        state=State.FAILED, progress=40, progress_text="No space left on device"
    )
    page = client.get(f"{BASE}{alice_tenant.pk}/change/").content.decode()
    assert "No space left on device" in page
    assert f"{BASE}{alice_tenant.pk}/retry/" in page
    assert client.post(f"{BASE}{alice_tenant.pk}/retry/").status_code == 302
    alice_tenant.refresh_from_db()
    assert alice_tenant.state == State.CREATING


def test_suspending_takes_a_reason_and_a_post(client, alice_tenant):
    path = f"{BASE}{alice_tenant.pk}/suspend/"
    assert client.get(path).status_code == 200
    assert client.post(path, {"reason": ""}).status_code == 200
    alice_tenant.refresh_from_db()
    assert alice_tenant.state == State.ACTIVE
    assert client.post(path, {"reason": "unpaid"}).status_code == 302
    alice_tenant.refresh_from_db()
    assert alice_tenant.state == State.SUSPENDED
    client.post(f"{BASE}{alice_tenant.pk}/resume/")
    alice_tenant.refresh_from_db()
    assert alice_tenant.state == State.ACTIVE


def test_deleting_asks_for_the_slug_and_can_be_undone(client, alice_tenant):
    path = f"{BASE}{alice_tenant.pk}/close/"
    for typed in ("", "Alice", "charlie"):
        assert client.post(path, {"slug": typed}).status_code == 200
        alice_tenant.refresh_from_db()
        assert alice_tenant.state == State.ACTIVE
    assert client.post(path, {"slug": "alice"}).status_code == 302
    alice_tenant.refresh_from_db()
    assert alice_tenant.state == State.DELETING
    client.post(f"{BASE}{alice_tenant.pk}/undo/")
    alice_tenant.refresh_from_db()
    assert alice_tenant.state == State.ACTIVE


def test_no_other_delete_reaches_a_tenant_or_a_person(client, alice, alice_tenant):
    for model, pk in (("tenant", alice_tenant.pk), ("user", alice.pk)):
        path = f"/admin/tenants/{model}/"
        assert client.post(f"{path}{pk}/delete/", {"post": "yes"}).status_code == 403
        chosen = {"action": "delete_selected", "_selected_action": [pk], "post": "yes"}
        client.post(path, chosen)
    assert Tenant.objects.filter(pk=alice_tenant.pk).exists()
    assert User.objects.filter(pk=alice.pk).exists()


def test_the_platforms_own_row_is_not_listed(client, alice_tenant, public_tenant):
    assert [row.slug for row in client.get(BASE).context["cl"].result_list] == ["alice"]
    assert client.get(f"{BASE}{public_tenant.pk}/change/").status_code == 404
    assert client.post(f"{BASE}{public_tenant.pk}/close/", {"slug": "public"}).status_code in (
        403,
        404,
    )
    host = Domain.objects.get(tenant=public_tenant)
    assert client.get(f"/admin/tenants/domain/{host.pk}/change/").status_code == 404


def test_lists_are_searched_and_filtered(client, alice_tenant, charlie_tenant):
    services.suspend_tenant(tenant=charlie_tenant, reason="unpaid")

    def slugs(query):
        return [row.slug for row in client.get(f"{BASE}?{query}").context["cl"].result_list]

    assert slugs("q=alice.localhost") == ["alice"]
    assert slugs("state__exact=suspended") == ["charlie"]


def test_changing_a_tenant_is_logged(client, operator, alice_tenant, tier):
    form = {"name": "Alice & Co", "tier": tier.pk, "time_zone": "UTC"}
    for prefix in ("domains", "memberships"):
        form |= {f"{prefix}-TOTAL_FORMS": 0, f"{prefix}-INITIAL_FORMS": 0}
    assert client.post(f"{BASE}{alice_tenant.pk}/change/", form).status_code == 302
    alice_tenant.refresh_from_db()
    assert alice_tenant.name == "Alice & Co"
    assert LogEntry.objects.get().user == operator


def test_the_last_operator_stays(client, operator):
    form = {"email": "o@example.org", "first_name": "", "last_name": "", "is_active": "on"}
    form |= {"memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}
    page = client.post(f"/admin/tenants/user/{operator.pk}/change/", form)
    assert "This is the last operator" in page.content.decode()
    operator.refresh_from_db()
    assert operator.is_superuser
    services.create_user(username="second", superuser=True)
    assert client.post(f"/admin/tenants/user/{operator.pk}/change/", form).status_code == 302
    operator.refresh_from_db()
    assert (operator.is_superuser, operator.email) == (False, "o@example.org")


def test_a_new_user_and_a_reset_show_a_password_once(client, alice):
    page = client.post("/admin/tenants/user/add/", {"username": "eve", "email": "e@example.org"})
    password = dict(page.context["secrets"])["One-time password"]
    eve = User.objects.get(username="eve")
    assert eve.check_password(password)
    assert not eve.is_superuser
    page = client.post(f"/admin/tenants/user/{alice.pk}/reset-password/")
    alice.refresh_from_db()
    assert alice.check_password(dict(page.context["secrets"])["One-time password"])


@pytest.mark.parametrize(
    "page",
    [
        "/admin/",
        BASE,
        f"{BASE}add/",
        "/admin/tenants/accounttier/",
        "/admin/tenants/accounttier/add/",
        "/admin/tenants/domain/",
        "/admin/tenants/domain/add/",
        "/admin/tenants/user/",
        "/admin/tenants/user/add/",
        "/admin/password_change/",
        "/healthz",
    ],
)
def test_every_page_opens(client, alice_tenant, page):
    assert client.get(page).status_code == 200


def test_a_host_is_added_and_removed(client, alice_tenant):
    form = {"tenant": alice_tenant.pk, "domain": "api.example.org"}
    assert client.post("/admin/tenants/domain/add/", form).status_code == 302
    host = Domain.objects.get(domain="api.example.org")
    assert client.post(f"/admin/tenants/domain/{host.pk}/remove/").status_code == 302
    assert not Domain.objects.filter(domain="api.example.org").exists()
    first = alice_tenant.domains.get()
    assert client.post(f"/admin/tenants/domain/{first.pk}/remove/").status_code == 403
