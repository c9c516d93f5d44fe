"""Who gets in where, and what is said to those who do not."""

from __future__ import annotations

import secrets

import pytest

from tenants import services, throttle
from tenants.models import Membership
from tenants.sign_in import SignInForm

WRONG = "The user name or the password is wrong"
TOO_MANY = "Too many failed attempts"


@pytest.fixture
def address():
    """An address that no other test, nor an earlier run, has used."""
    return f"2001:db8::{secrets.token_hex(2)}:{secrets.token_hex(2)}"


@pytest.fixture
def sign_in(client_for, address):
    """``sign_in(host, username, password)``: the response to the form."""

    def post(host, username, password, address=address):
        client = client_for(host)
        data = {"username": username, "password": password}
        return client.post("/admin/login/?next=/admin/", data, REMOTE_ADDR=address)

    return post


def test_a_member_signs_in_at_the_tenants_host(sign_in, alice, alice_tenant, bob):
    for name in ("alice", "bob"):
        response = sign_in(alice_tenant, name, f"{name}-password")
        assert (response.status_code, response.url) == (302, "/admin/")


def test_everybody_else_reads_the_same_sentence(
    sign_in, alice, alice_tenant, charlie, charlie_tenant, operator
):
    alice.is_active = False
    alice.save()
    attempts = [
        (alice_tenant, "charlie", "charlie-password"),  # at home elsewhere
        (alice_tenant, "operator", "operator-password"),  # a superuser, but no member
        (alice_tenant, "alice", "alice-password"),  # closed
        (alice_tenant, "charlie", "wrong"),
        (alice_tenant, "nobody", "wrong"),
        ("localhost", "charlie", "charlie-password"),  # no operator
    ]
    bodies = []
    for host, username, password in attempts:
        response = sign_in(host, username, password)
        assert response.status_code == 200
        bodies.append(response.context["form"].non_field_errors())
    assert all(body == bodies[0] for body in bodies)
    assert WRONG in bodies[0][0]


def test_an_operator_signs_in_at_the_platforms_host(sign_in, operator):
    assert sign_in("localhost", "operator", "operator-password").status_code == 302


@pytest.mark.parametrize("host", ["ALICE.localhost:8000", "alice.localhost.", "alice.localhost"])
def test_a_host_is_known_however_it_is_written(client_for, alice_tenant, alice, host):
    assert client_for(host, alice).get("/admin/").status_code == 200


def test_a_session_of_one_tenant_opens_no_other(client_for, alice_tenant, charlie_tenant, alice):
    client = client_for(alice_tenant, alice)
    assert client.get("/admin/").status_code == 200
    stolen = client.get("/admin/", HTTP_HOST="charlie.localhost")
    assert stolen.status_code == 302
    assert "/admin/login/" in stolen.url
    assert client.get("/api/members/", HTTP_HOST="charlie.localhost").status_code == 401


def test_a_member_removed_is_out_at_the_next_request(client_for, alice_tenant, bob):
    client = client_for(alice_tenant, bob)
    assert client.get("/admin/").status_code == 200
    services.remove_member(membership=Membership.objects.get(user=bob))
    assert client.get("/admin/").status_code == 302
    assert client.get("/api/members/").status_code == 401


def test_guessing_is_stopped_even_for_the_right_password(sign_in, alice, alice_tenant):
    for _ in range(throttle.PER_ACCOUNT):
        assert WRONG in sign_in(alice_tenant, "alice", "guess").content.decode()
    assert TOO_MANY in sign_in(alice_tenant, "alice", "alice-password").content.decode()
    assert TOO_MANY in sign_in(alice_tenant, "ALICE", "guess").content.decode()


def test_a_stopped_guesser_locks_nobody_out_elsewhere(sign_in, alice, alice_tenant):
    for _ in range(throttle.PER_ACCOUNT + 1):
        sign_in(alice_tenant, "alice", "guess")
    home = sign_in(alice_tenant, "alice", "alice-password", address=f"10.{secrets.token_hex(8)}")
    assert home.status_code == 302


def test_accounts_that_do_not_exist_are_counted_alike(sign_in, alice_tenant):
    for _ in range(throttle.PER_ACCOUNT):
        assert WRONG in sign_in(alice_tenant, "nobody", "guess").content.decode()
    assert TOO_MANY in sign_in(alice_tenant, "nobody", "guess").content.decode()


def test_success_forgets_the_failures(sign_in, alice, alice_tenant):
    for _ in range(3):
        for _ in range(throttle.PER_ACCOUNT - 1):
            sign_in(alice_tenant, "alice", "guess")
        assert sign_in(alice_tenant, "alice", "alice-password").status_code == 302


def test_one_address_trying_many_accounts_is_stopped(sign_in, alice, alice_tenant, monkeypatch):
    monkeypatch.setattr(throttle, "PER_ADDRESS", 6)
    for number in range(6):
        assert WRONG in sign_in(alice_tenant, f"user{number}", "guess").content.decode()
    assert TOO_MANY in sign_in(alice_tenant, "alice", "alice-password").content.decode()


def test_people_sign_in_while_valkey_is_down(sign_in, alice, alice_tenant, settings):
    down = {**settings.CACHES["platform"], "LOCATION": "unix:///nowhere/valkey.sock"}
    settings.CACHES = {**settings.CACHES, "platform": down}
    assert sign_in(alice_tenant, "alice", "alice-password").status_code == 302


def test_a_one_time_password_must_be_replaced_first(client_for, sign_in, alice, alice_tenant):
    password = services.reset_password(user=alice)
    assert sign_in(alice_tenant, "alice", password).status_code == 302
    client = client_for(alice_tenant, alice)
    for page in ("/admin/", "/admin/tenants/membership/", "/admin/tenants/membership/add/"):
        response = client.get(page)
        assert (response.status_code, response.url) == (302, "/admin/password_change/")
    assert client.get("/api/members/").status_code == 403

    form = {"old_password": password, "new_password1": password, "new_password2": password}
    assert "not the old one" in client.post("/admin/password_change/", form).content.decode()
    form["new_password1"] = form["new_password2"] = "a longer sentence"
    assert client.post("/admin/password_change/", form).status_code == 302
    assert client.get("/admin/").status_code == 200
    assert sign_in(alice_tenant, "alice", "a longer sentence").status_code == 302
    assert WRONG in sign_in(alice_tenant, "alice", password).content.decode()


def test_a_viewer_changes_a_password_of_their_own(client_for, alice_tenant, member):
    user = member(alice_tenant, "viewer")
    client = client_for(alice_tenant, user)
    form = {
        "old_password": f"{user.username}-password",
        "new_password1": "a longer sentence",
        "new_password2": "a longer sentence",
    }
    assert client.post("/admin/password_change/", form).status_code == 302
    user.refresh_from_db()
    assert user.check_password("a longer sentence")


def test_a_reset_password_ends_all_sessions(client_for, alice, alice_tenant):
    client = client_for(alice_tenant, alice)
    services.reset_password(user=alice)
    assert client.get("/admin/").status_code == 302
    assert "/login/" in client.get("/admin/").url


def test_the_form_asks_for_no_staff_flag(alice):
    assert not alice.is_staff
    SignInForm().confirm_login_allowed(alice)
