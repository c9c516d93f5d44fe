"""API keys: the secret is shown once, on the answer to the request that made it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from catalog.models import ApiKey
from contract import keys
from tests.catalog_admin.pages import below, of

SECRET = re.compile(r"hub_[A-Za-z0-9_-]{32}")


@pytest.fixture
def client(client_for: Any, alice_tenant: Any, bob: Any) -> Any:
    return client_for(alice_tenant, bob)


def _issue(client: Any, ours: Any, **fields: str) -> Any:
    return client.post(of("apikey", "add"), {"application": str(ours.application.pk)} | fields)


def test_a_new_key_is_shown_once(client: Any, ours: Any, in_alice: Any) -> None:
    page = _issue(client, ours, name="staging")
    secrets = set(SECRET.findall(page.content.decode()))
    assert len(secrets) == 1
    secret = secrets.pop()
    assert "no-store" in page["Cache-Control"]
    with in_alice:
        key = ApiKey.objects.get(name="staging")
        assert bytes(key.digest) == keys.digest(secret)
        assert key.application == ours.application
    for url in (
        below("apikey", key, "change/"),
        below("apikey", key, "history/"),
        of("apikey"),
        below("application", ours.application, "change/"),
        "/admin/",
    ):
        text = client.get(url).content.decode()
        assert secret not in text
        assert secret[12:] not in text
    assert "secret" not in str(dict(client.session))


def test_the_page_offers_to_copy_it_and_leaves_no_way_to_post_again(client: Any, ours: Any) -> None:
    text = _issue(client, ours).content.decode()
    assert "data-copy=" in text
    assert "shown this once" in text
    assert f'data-leave="{below("application", ours.application, "change/")}"' in text


def test_a_key_that_would_be_expired_is_refused_at_the_field(client: Any, ours: Any) -> None:
    page = _issue(client, ours, expires_at_0="2020-01-01", expires_at_1="00:00")
    assert "expires_at" in page.context["adminform"].form.errors
    assert not SECRET.findall(page.content.decode())


@pytest.mark.parametrize(("grace", "works"), [("0", False), ("3600", True)])
def test_rotation(client: Any, ours: Any, in_alice: Any, grace: str, works: bool) -> None:
    page = client.post(below("apikey", ours.apikey, "rotate/"), {"grace": grace})
    assert len(set(SECRET.findall(page.content.decode()))) == 1
    with in_alice:
        old = ApiKey.objects.get(pk=ours.apikey.pk)
        assert old.active is works
        assert ApiKey.objects.filter(name="production").count() == 2


def test_revoking(client: Any, ours: Any, in_alice: Any) -> None:
    page = client.post(below("apikey", ours.apikey, "revoke/"), follow=True)
    assert "is revoked" in page.content.decode()
    with in_alice:
        assert not ApiKey.objects.get(pk=ours.apikey.pk).active
    page = client.post(below("apikey", ours.apikey, "rotate/"), {"grace": "0"}, follow=True)
    assert "no longer possible" in page.content.decode()


def test_renaming_a_key_leaves_the_key(client: Any, ours: Any, in_alice: Any) -> None:
    page = client.post(
        below("apikey", ours.apikey, "change/"),
        {"name": "live", "limits-TOTAL_FORMS": 0, "limits-INITIAL_FORMS": 0},
    )
    assert page.status_code == 302
    with in_alice:
        key = ApiKey.objects.get(pk=ours.apikey.pk)
        assert (key.name, bytes(key.digest)) == ("live", bytes(ours.apikey.digest))


def test_keys_are_filtered_by_state(client: Any, ours: Any, in_alice: Any) -> None:
    with in_alice:
        past = timezone.now() - timedelta(days=1)
        for name, fields in {
            "gone": {"revoked_at": past},
            "late": {"expires_at": past},
        }.items():
            ApiKey.objects.create(
                application=ours.application,
                name=name,
                prefix=f"hub_{name}",
                digest=keys.digest(name),
                **fields,
            )
    for state, name in {"active": "production", "revoked": "gone", "expired": "late"}.items():
        found = client.get(of("apikey") + f"?state={state}").context["cl"].result_list
        assert [key.name for key in found] == [name]
