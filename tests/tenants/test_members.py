"""The rules of membership, in the services and through the pages."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.admin.models import LogEntry
from django.core.exceptions import ValidationError
from django.db import connection

from tenants import services
from tenants.models import Membership, User

BASE = "/admin/tenants/membership/"


def of(user, tenant):
    return Membership.objects.get(user=user, tenant=tenant)


def refused(code, call, **arguments):
    with pytest.raises(ValidationError) as error:
        call(**arguments)
    found = error.value
    codes = (
        {e.code for errors in found.error_dict.values() for e in errors}
        if hasattr(found, "error_dict")
        else {e.code for e in found.error_list}
    )
    assert codes == {code}


def test_the_last_owner_stays(alice, alice_tenant, bob):
    owner = of(alice, alice_tenant)
    refused("last_owner", services.remove_member, membership=owner, actor=owner)
    refused("last_owner", services.change_role, membership=owner, role="admin", actor=owner)
    refused("last_owner", services.remove_member, membership=owner)


def test_an_owner_leaves_once_there_is_another(alice, alice_tenant, bob):
    owner = of(alice, alice_tenant)
    services.change_role(membership=of(bob, alice_tenant), role="owner", actor=owner)
    services.remove_member(membership=owner, actor=owner)
    assert [member.user for member in alice_tenant.memberships.all()] == [bob]


@pytest.mark.django_db(transaction=True)
def test_two_owners_who_leave_at_once_cannot_both_go(alice, alice_tenant, bob):
    services.change_role(membership=of(bob, alice_tenant), role="owner")
    members = [of(alice, alice_tenant), of(bob, alice_tenant)]

    def leave(membership):
        try:
            services.remove_member(membership=membership, actor=membership)
        except ValidationError as error:
            return error.code
        finally:
            connection.close()
        return "gone"

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(leave, members)) == ["gone", "last_owner"]
    assert alice_tenant.memberships.count() == 1


def test_only_an_owner_makes_or_unmakes_owners(alice, alice_tenant, bob, member):
    admin = of(member(alice_tenant, "admin"), alice_tenant)
    bobs = of(bob, alice_tenant)
    refused("owners_only", services.change_role, membership=bobs, role="owner", actor=admin)
    refused("owners_only", services.change_role, membership=admin, role="owner", actor=admin)
    owner = of(alice, alice_tenant)
    refused("owners_only", services.change_role, membership=owner, role="viewer", actor=admin)
    refused("owners_only", services.remove_member, membership=owner, actor=admin)
    refused(
        "owners_only",
        services.invite_member,
        tenant=alice_tenant,
        username="eve",
        email="eve@example.org",
        role="owner",
        actor=admin,
    )
    assert not User.objects.filter(username="eve").exists()


@pytest.mark.parametrize("role", ["viewer", "publisher"])
def test_nobody_below_admin_changes_a_role_not_even_their_own(alice_tenant, member, role):
    mine = of(member(alice_tenant, role), alice_tenant)
    for target in Membership.Role.values:
        refused("forbidden", services.change_role, membership=mine, role=target, actor=mine)


def test_an_actor_of_another_tenant_is_nobody_here(alice_tenant, bob, charlie, charlie_tenant):
    stranger = of(charlie, charlie_tenant)
    bobs = of(bob, alice_tenant)
    refused("forbidden", services.change_role, membership=bobs, role="viewer", actor=stranger)
    refused("forbidden", services.remove_member, membership=bobs, actor=stranger)


def test_a_role_that_does_not_exist_is_refused(alice_tenant, bob):
    refused("role", services.change_role, membership=of(bob, alice_tenant), role="king")


def test_the_tiers_limit_holds_and_says_what_to_do(alice, alice_tenant, bob, charlie):
    alice_tenant.tier.max_members = 2
    alice_tenant.tier.save()
    with pytest.raises(ValidationError, match=r"allows 2 members.*larger tier"):
        services.add_member(tenant=alice_tenant, user=charlie, role="viewer")


def test_a_new_person_gets_a_password_that_works_once(alice_tenant):
    member, password = services.invite_member(
        tenant=alice_tenant, username="eve", email="eve@example.org", role="viewer"
    )
    assert member.user.check_password(password)
    assert member.user.must_change_password


def test_an_account_is_added_only_if_name_and_mail_agree(alice_tenant, charlie):
    wrong = {"tenant": alice_tenant, "username": "charlie", "role": "viewer"}
    refused("taken", services.invite_member, email="other@example.org", **wrong)
    refused("taken", services.invite_member, email="", **wrong)
    member, password = services.invite_member(email="Charlie@Example.org", **wrong)
    assert (member.user, password) == (charlie, None)


def test_a_member_cannot_be_added_twice(alice_tenant, bob):
    refused("member", services.add_member, tenant=alice_tenant, user=bob, role="viewer")


def test_the_page_adds_a_person_and_shows_the_password_once(client_for, alice, alice_tenant):
    client = client_for(alice_tenant, alice)
    form = {"username": "eve", "email": "eve@example.org", "role": "publisher"}
    page = client.post(f"{BASE}add/", form)
    eve = User.objects.get(username="eve")
    password = dict(page.context["secrets"])["One-time password"]
    assert eve.check_password(password)
    assert password in page.content.decode()
    assert "no-store" in page.headers["Cache-Control"]
    assert password not in client.get(BASE).content.decode()


def test_the_page_shows_what_the_service_refuses(client_for, alice, alice_tenant):
    client = client_for(alice_tenant, alice)
    pk = of(alice, alice_tenant).pk
    page = client.post(f"{BASE}{pk}/role/", {"role": "viewer"})
    assert page.status_code == 200
    assert "This is the last owner" in page.content.decode()
    assert "This is the last owner" in client.post(f"{BASE}{pk}/remove/").content.decode()


def test_the_page_changes_a_role_and_removes(client_for, alice, alice_tenant, bob):
    client = client_for(alice_tenant, alice)
    pk = of(bob, alice_tenant).pk
    assert client.post(f"{BASE}{pk}/role/", {"role": "admin"}).status_code == 302
    assert of(bob, alice_tenant).role == "admin"
    assert client.get(f"{BASE}{pk}/remove/").status_code == 200
    assert of(bob, alice_tenant)  # looking changes nothing
    assert client.post(f"{BASE}{pk}/remove/").status_code == 302
    assert not Membership.objects.filter(user=bob).exists()
    assert User.objects.filter(pk=bob.pk).exists()


def test_an_admins_form_offers_no_owner(client_for, alice_tenant, member):
    client = client_for(alice_tenant, member(alice_tenant, "admin"))
    page = client.get(f"{BASE}add/").content.decode()
    assert 'value="admin"' in page
    assert 'value="owner"' not in page
    form = {"username": "eve", "email": "eve@example.org", "role": "owner"}
    assert client.post(f"{BASE}add/", form).status_code == 200
    assert not User.objects.filter(username="eve").exists()


def test_djangos_own_delete_is_closed(client_for, alice, alice_tenant, bob):
    client = client_for(alice_tenant, alice)
    pk = of(bob, alice_tenant).pk
    assert client.post(f"{BASE}{pk}/delete/", {"post": "yes"}).status_code == 403
    client.post(BASE, {"action": "delete_selected", "_selected_action": [pk], "post": "yes"})
    assert of(bob, alice_tenant)


def test_each_tenant_keeps_its_own_log(client_for, alice, alice_tenant, bob, charlie_tenant):
    client = client_for(alice_tenant, alice)
    pk = of(bob, alice_tenant).pk
    client.post(f"{BASE}{pk}/role/", {"role": "viewer"})
    with alice_tenant:
        entry = LogEntry.objects.get()
        assert (entry.user, entry.object_id) == (alice, str(pk))
        assert "viewer" in entry.get_change_message()
    with charlie_tenant:
        assert not LogEntry.objects.exists()
    connection.set_schema_to_public()
    assert not LogEntry.objects.exists()
    assert "viewer now" in client.get(f"{BASE}{pk}/history/").content.decode()


def test_the_api_adds_changes_and_removes(api_client, alice, alice_tenant):
    api = api_client(alice_tenant, alice)
    new = {"username": "eve", "email": "eve@example.org", "role": "viewer"}
    answer = api.post("/api/members/", new).json()
    assert User.objects.get(username="eve").check_password(answer["one_time_password"])
    path = f"/api/members/{answer['id']}/"
    assert "one_time_password" not in api.get(path).json()
    assert api.patch(path, {"role": "admin"}).json()["role"] == "admin"
    assert api.get("/api/members/?role=admin").json()["count"] == 1
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404


def test_the_api_says_what_the_service_refuses(api_client, alice, alice_tenant):
    api = api_client(alice_tenant, alice)
    answer = api.delete(f"/api/members/{of(alice, alice_tenant).pk}/")
    assert answer.status_code == 400
    assert "last owner" in answer.content.decode()
