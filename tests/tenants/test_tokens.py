"""Management tokens: told once, good for one tenant, gone with the membership."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from contract.keys import digest
from tenants import services
from tenants.models import ManagementToken, Membership

BASE = "/admin/tenants/managementtoken/"


@pytest.fixture
def token(alice, alice_tenant):
    """Alice's token and its text."""
    membership = Membership.objects.get(user=alice)
    return services.issue_token(membership=membership, name="pipeline")


def test_only_the_digest_is_kept(token):
    row, text = token
    assert text.startswith("hubt_")
    assert len(text) > 32
    row.refresh_from_db()
    assert bytes(row.digest) == digest(text)
    assert text not in str(vars(row))
    assert text.startswith(row.prefix)


def test_a_token_is_let_in_at_its_own_tenant_only(api_client, token, alice_tenant, charlie_tenant):
    _, text = token
    assert api_client(alice_tenant, token=text).get("/api/members/").status_code == 200
    elsewhere = api_client(charlie_tenant, token=text).get("/api/members/")
    unknown = api_client(charlie_tenant, token="hubt_unknown").get("/api/members/")
    assert elsewhere.status_code == unknown.status_code == 401
    assert elsewhere.headers["WWW-Authenticate"] == "Token"
    for answer in (elsewhere, unknown):
        answer.data.pop("request_id", None)
    assert elsewhere.data == unknown.data


@pytest.mark.parametrize("header", ["Token", "Token ", "Token  hubt_x y", "Bearer x", "hubt_x", ""])
def test_a_header_that_holds_no_token_is_refused(api_client, alice_tenant, header):
    client = api_client(alice_tenant)
    client.credentials(HTTP_AUTHORIZATION=header)
    assert client.get("/api/members/").status_code == 401


def test_nobody_at_all_gets_401(api_client, alice_tenant):
    assert api_client(alice_tenant).get("/api/members/").status_code == 401
    assert api_client(alice_tenant).post("/api/members/", {}).status_code == 401


def test_an_expired_token_is_refused(api_client, token, alice_tenant):
    _, text = token
    client = api_client(alice_tenant, token=text)
    ManagementToken.objects.update(expires_at=timezone.now() + timedelta(minutes=1))
    assert client.get("/api/tokens/").status_code == 200
    ManagementToken.objects.update(expires_at=timezone.now())
    assert client.get("/api/tokens/").status_code == 401


def test_a_token_cannot_be_issued_for_the_past(alice, alice_tenant):
    membership = Membership.objects.get(user=alice)
    with pytest.raises(ValidationError, match="time to come"):
        services.issue_token(membership=membership, name="x", expires_at=timezone.now())


def test_a_removed_members_token_is_gone(api_client, alice_tenant, bob):
    client = api_client(alice_tenant, bob)
    assert client.get("/api/members/").status_code == 200
    services.remove_member(membership=Membership.objects.get(user=bob))
    assert client.get("/api/members/").status_code == 401
    assert not ManagementToken.objects.exists()


def test_a_closed_accounts_token_is_refused(api_client, alice_tenant, bob):
    client = api_client(alice_tenant, bob)
    bob.is_active = False
    bob.save()
    assert client.get("/api/members/").status_code == 401


def test_its_use_is_noted_once_a_minute(api_client, token, alice_tenant):
    row, text = token
    client = api_client(alice_tenant, token=text)
    client.get("/api/tokens/")
    row.refresh_from_db()
    first = row.last_used_at
    assert timezone.now() - first < timedelta(seconds=10)
    client.get("/api/tokens/")
    row.refresh_from_db()
    assert row.last_used_at == first
    ManagementToken.objects.update(last_used_at=first - timedelta(seconds=61))
    client.get("/api/tokens/")
    row.refresh_from_db()
    assert row.last_used_at > first


def test_a_suspended_tenants_token_reads_only(api_client, token, alice_tenant):
    client = api_client(alice_tenant, token=token[1])
    services.suspend_tenant(tenant=alice_tenant, reason="unpaid")
    assert client.get("/api/members/").status_code == 200
    assert client.post("/api/tokens/", {"name": "another"}).status_code == 403


def test_the_api_issues_shows_and_revokes(api_client, bob, alice_tenant):
    client = api_client(alice_tenant, bob)
    issued = client.post("/api/tokens/", {"name": "laptop"}).json()
    another = api_client(alice_tenant, token=issued["token"])
    path = f"/api/tokens/{issued['id']}/"
    shown = another.get(path).json()
    assert "token" not in shown
    assert shown["username"] == "bob"
    assert client.delete(path).status_code == 204
    assert another.get(path).status_code == 401


def test_a_token_that_ends_issues_none_that_lasts_longer(api_client, alice, alice_tenant):
    membership = Membership.objects.get(user=alice)
    soon = timezone.now() + timedelta(hours=1)
    _, text = services.issue_token(membership=membership, name="short", expires_at=soon)
    client = api_client(alice_tenant, token=text)
    assert client.post("/api/tokens/", {"name": "long"}).status_code == 400
    later = {"name": "long", "expires_at": soon + timedelta(seconds=1)}
    assert client.post("/api/tokens/", later).status_code == 400
    sooner = {"name": "short", "expires_at": soon - timedelta(minutes=1)}
    assert client.post("/api/tokens/", sooner).status_code == 201


def test_one_sees_ones_own_tokens_and_owners_see_all(api_client, client_for, token, bob, alice):
    tenant = Membership.objects.get(user=bob).tenant
    bobs = api_client(tenant, bob)
    names = [row["username"] for row in bobs.get("/api/tokens/").json()["results"]]
    assert names == ["bob"]
    assert bobs.get(f"/api/tokens/{token[0].pk}/").status_code == 404
    assert bobs.delete(f"/api/tokens/{token[0].pk}/").status_code == 404
    alices = api_client(tenant, token=token[1])
    assert alices.get("/api/tokens/").json()["count"] == 2

    page = client_for(tenant, bob)
    assert page.get(f"{BASE}{token[0].pk}/change/").status_code == 404
    assert page.post(f"{BASE}{token[0].pk}/revoke/").status_code == 404
    assert "pipeline" not in page.get(BASE).content.decode()
    assert "pipeline" in client_for(tenant, alice).get(BASE).content.decode()


def test_the_page_issues_shows_once_and_revokes(client_for, api_client, bob, alice_tenant):
    client = client_for(alice_tenant, bob)
    page = client.post(f"{BASE}add/", {"name": "laptop", "expires_at_0": "", "expires_at_1": ""})
    text = dict(page.context["secrets"])["Management token"]
    assert text in page.content.decode()
    assert text not in client.get(BASE).content.decode()
    api = api_client(alice_tenant, token=text)
    assert api.get("/api/members/").status_code == 200
    pk = ManagementToken.objects.get().pk
    assert client.post(f"{BASE}{pk}/revoke/").status_code == 302
    assert api.get("/api/members/").status_code == 401


def test_a_session_without_its_csrf_token_writes_nothing(alice_tenant, alice):
    from django.test import Client

    client = Client(HTTP_HOST="alice.localhost", enforce_csrf_checks=True)
    client.force_login(alice)
    assert client.get("/api/tokens/").status_code == 200
    assert client.post("/api/tokens/", {"name": "x"}).status_code == 403
