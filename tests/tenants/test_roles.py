"""What each role may do, asked of the backend and of the pages themselves."""

from __future__ import annotations

import pytest
from django.db import connection

from tenants.models import Membership, Tenant

ACTIONS = ("view", "add", "change", "delete")
NONE = ""
LOOK = "view"
ALL = " ".join(ACTIONS)

# role, model, the actions allowed
TABLE = [
    ("viewer", "catalog.api", LOOK),
    ("viewer", "tenants.membership", LOOK),
    ("viewer", "tenants.managementtoken", ALL),
    ("viewer", "tenants.tenant", NONE),
    ("viewer", "tenants.tenantsettings", LOOK),
    ("publisher", "catalog.api", ALL),
    ("publisher", "catalog.provider", ALL),
    ("publisher", "tenants.membership", LOOK),
    ("publisher", "tenants.managementtoken", ALL),
    ("publisher", "tenants.user", NONE),
    ("publisher", "tenants.tenantsettings", LOOK),
    ("admin", "catalog.api", ALL),
    ("admin", "tenants.membership", ALL),
    ("admin", "tenants.managementtoken", ALL),
    ("admin", "tenants.domain", NONE),
    ("admin", "tenants.tenantsettings", "view change"),
    ("owner", "catalog.api", ALL),
    ("owner", "tenants.membership", ALL),
    ("owner", "tenants.managementtoken", ALL),
    ("owner", "tenants.tenant", NONE),
    ("owner", "tenants.tenantsettings", "view change"),
    ("owner", "tenants.accounttier", NONE),
    ("owner", "auth.group", NONE),
]


def allowed(user, model):
    app_label, model_name = model.split(".")
    return [a for a in ACTIONS if user.has_perm(f"{app_label}.{a}_{model_name}")]


@pytest.mark.parametrize(("role", "model", "actions"), TABLE)
def test_a_role_may_do_what_the_table_says(alice_tenant, member, role, model, actions):
    user = member(alice_tenant, role)
    connection.set_tenant(alice_tenant)
    assert allowed(user, model) == actions.split()


@pytest.mark.parametrize(("role", "model", "actions"), TABLE)
def test_a_role_in_one_tenant_counts_for_nothing_in_another(
    alice_tenant, charlie_tenant, member, role, model, actions
):
    user = member(alice_tenant, role)
    connection.set_tenant(charlie_tenant)
    assert allowed(user, model) == []


def test_being_an_operator_counts_for_nothing_in_a_tenant(alice_tenant, operator):
    assert operator.has_perm("tenants.change_tenant")
    connection.set_tenant(alice_tenant)
    assert not operator.has_perm("catalog.view_api")
    assert not operator.has_module_perms("catalog")


def test_a_tenants_owner_may_do_nothing_on_the_platforms_host(alice, alice_tenant):
    assert not alice.has_perm("tenants.view_tenant")
    assert not alice.has_module_perms("tenants")


def test_a_closed_account_may_do_nothing(alice, alice_tenant):
    alice.is_active = False
    connection.set_tenant(alice_tenant)
    assert not alice.has_perm("catalog.view_api")


def test_everybody_in_a_suspended_tenant_may_only_look(alice, alice_tenant):
    alice_tenant.state = Tenant.State.SUSPENDED
    connection.set_tenant(alice_tenant)
    assert allowed(alice, "catalog.api") == ["view"]
    assert allowed(alice, "tenants.membership") == ["view"]


# role, what it gets from each page: the list, adding, changing a role, removing
PAGES = [
    ("viewer", 200, 403, 403, 403),
    ("publisher", 200, 403, 403, 403),
    ("admin", 200, 200, 200, 200),
    ("owner", 200, 200, 200, 200),
]


@pytest.mark.parametrize(("role", "look", "add", "change", "remove"), PAGES)
def test_the_members_pages_follow_the_role(
    alice_tenant, bob, member, client_for, role, look, add, change, remove
):
    client = client_for(alice_tenant, member(alice_tenant, role))
    pk = Membership.objects.get(user=bob).pk
    base = "/admin/tenants/membership/"
    assert client.get(base).status_code == look
    assert client.get(f"{base}{pk}/change/").status_code == look
    assert client.get(f"{base}add/").status_code == add
    assert client.get(f"{base}{pk}/role/").status_code == change
    assert client.get(f"{base}{pk}/remove/").status_code == remove


# role, what it gets from the API: list, add, change, delete
CALLS = [
    ("viewer", 200, 403, 403, 403),
    ("publisher", 200, 403, 403, 403),
    ("admin", 200, 201, 200, 204),
    ("owner", 200, 201, 200, 204),
]


@pytest.mark.parametrize(("role", "look", "add", "change", "delete"), CALLS)
def test_the_management_api_follows_the_role(
    alice_tenant, bob, member, api_client, role, look, add, change, delete
):
    client = api_client(alice_tenant, member(alice_tenant, role))
    pk = Membership.objects.get(user=bob).pk
    new = {"username": "eve", "email": "eve@example.org", "role": "viewer"}
    assert client.get("/api/members/").status_code == look
    assert client.get(f"/api/members/{pk}/").status_code == look
    assert client.post("/api/members/", new).status_code == add
    assert client.patch(f"/api/members/{pk}/", {"role": "viewer"}).status_code == change
    assert client.delete(f"/api/members/{pk}/").status_code == delete
