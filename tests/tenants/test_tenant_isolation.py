"""Every page and endpoint, asked for another tenant's objects, answers as if there were none."""

from __future__ import annotations

import pytest

from tenants import services
from tenants.models import ManagementToken, Membership

MEMBER = "/admin/tenants/membership/"
TOKEN = "/admin/tenants/managementtoken/"

PAGES = [
    f"{MEMBER}{{member}}/change/",
    f"{MEMBER}{{member}}/role/",
    f"{MEMBER}{{member}}/remove/",
    f"{MEMBER}{{member}}/history/",
    f"{TOKEN}{{token}}/change/",
    f"{TOKEN}{{token}}/revoke/",
    f"{TOKEN}{{token}}/history/",
]
OPERATORS = [
    "/admin/tenants/tenant/",
    "/admin/tenants/tenant/add/",
    "/admin/tenants/tenant/{tenant}/change/",
    "/admin/tenants/tenant/{tenant}/progress/",
    "/admin/tenants/tenant/{tenant}/suspend/",
    "/admin/tenants/tenant/{tenant}/close/",
    "/admin/tenants/user/",
    "/admin/tenants/domain/",
    "/admin/tenants/accounttier/",
]
CALLS = [
    ("get", "/api/members/{member}/"),
    ("patch", "/api/members/{member}/"),
    ("delete", "/api/members/{member}/"),
    ("get", "/api/tokens/{token}/"),
    ("delete", "/api/tokens/{token}/"),
]
NOWHERE = {"member": 999_999, "token": 999_999}


@pytest.fixture
def charlies(charlie, charlie_tenant):
    """The ids of what is Charlie's."""
    membership = Membership.objects.get(user=charlie)
    token, _ = services.issue_token(membership=membership, name="charlies-token")
    return {"member": membership.pk, "token": token.pk, "tenant": charlie_tenant.pk}


def untouched(ids):
    return (
        Membership.objects.get(pk=ids["member"]).role == Membership.Role.OWNER
        and ManagementToken.objects.filter(pk=ids["token"]).exists()
    )


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("page", PAGES)
def test_pages_know_nothing_of_another_tenants_objects(
    client_for, alice, alice_tenant, charlies, page, method
):
    ask = getattr(client_for(alice_tenant, alice), method)
    theirs = ask(page.format(**charlies), {"role": "viewer"})
    nobodys = ask(page.format(**NOWHERE), {"role": "viewer"})
    # What nobody may post to is refused before anything is looked up.
    closed = method == "post" and page.endswith("/change/")
    assert theirs.status_code == nobodys.status_code == (403 if closed else 404)
    assert untouched(charlies)


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_the_api_knows_nothing_of_another_tenants_objects(
    api_client, alice, alice_tenant, charlies, method, path
):
    ask = getattr(api_client(alice_tenant, alice), method)
    theirs = ask(path.format(**charlies), {"role": "viewer"})
    nobodys = ask(path.format(**NOWHERE), {"role": "viewer"})
    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.json()["detail"] == nobodys.json()["detail"]
    assert untouched(charlies)


@pytest.mark.parametrize("page", [MEMBER, TOKEN, f"{MEMBER}?q=charlie", f"{TOKEN}?q=charlie"])
def test_lists_show_ones_own_tenant_only(client_for, alice, alice_tenant, charlies, page):
    rows = client_for(alice_tenant, alice).get(page).context["cl"].result_list
    assert all("charlie" not in str(row) for row in rows)


@pytest.mark.parametrize("path", ["/api/members/", "/api/tokens/", "/api/members/?search=charlie"])
def test_api_lists_hold_ones_own_tenant_only(api_client, alice, alice_tenant, charlies, path):
    answer = api_client(alice_tenant, alice).get(path)
    assert answer.status_code == 200
    assert "charlie" not in answer.content.decode()


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("page", OPERATORS)
def test_the_operators_pages_are_not_on_a_tenants_host(
    client_for, alice, alice_tenant, charlies, page, method
):
    ask = getattr(client_for(alice_tenant, alice), method)
    assert ask(page.format(**charlies)).status_code == 404


@pytest.mark.parametrize("page", OPERATORS)
def test_the_operators_pages_are_closed_to_owners(client_for, operator, alice, charlies, page):
    answer = client_for("localhost", alice).get(page.format(**charlies))
    assert answer.status_code == 302
    assert "/admin/login/" in answer.url


@pytest.mark.parametrize("path", ["/admin/", MEMBER, TOKEN, "/api/members/", "/api/tokens/"])
def test_charlie_gets_nowhere_on_alices_host(
    client_for, api_client, charlie, alice_tenant, charlies, path
):
    answer = client_for(alice_tenant, charlie).get(path)
    nobody = client_for(alice_tenant).get(path)
    assert answer.status_code == nobody.status_code
    assert answer.status_code in (302, 401)


def test_the_members_page_is_not_on_the_operators_host(client_for, operator):
    assert client_for("localhost", operator).get(MEMBER).status_code == 404
    assert client_for("localhost", operator).get("/api/members/").status_code == 404


@pytest.mark.parametrize("host", ["nobody.localhost", "alice.example.org", "127.0.0.1", "[::1]"])
def test_a_host_of_nobody_says_nothing(client_for, alice_tenant, host):
    answer = client_for(host).get("/admin/")
    assert answer.status_code == 404
    assert "No tenant has this host name" in answer.content.decode()
