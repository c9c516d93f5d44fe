"""Who sees which page, and who may change what."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from catalog import admin  # noqa: F401  registers the pages
from catalog.models import Api, Application
from tenants.sites import tenant_site
from tests.catalog_admin.pages import DEEDS, MODELS, below, of

WRITERS = ["alice", "bob"]


@pytest.fixture
def browser(request: Any, client_for: Any, alice_tenant: Any) -> Any:
    def sign_in(who: str) -> Client:
        return client_for(alice_tenant, request.getfixturevalue(who))

    return sign_in


def test_every_model_of_the_catalogue_with_pages_is_in_the_table() -> None:
    registered = {
        m._meta.model_name for m in tenant_site._registry if m._meta.app_label == "catalog"
    }
    # The pages of these are reached from others: a route's from its API's, and so on.
    parts = {"route", "deployment", "routingrule", "pricechange"}
    assert registered - parts == set(MODELS)


@pytest.mark.parametrize("who", [*WRITERS, "vera"])
@pytest.mark.parametrize("model", MODELS)
def test_members_see_lists_and_objects(browser: Any, ours: Any, model: str, who: str) -> None:
    client = browser(who)
    assert client.get(of(model)).status_code == 200
    assert client.get(below(model, getattr(ours, model), "change/")).status_code == 200


@pytest.mark.parametrize("model", MODELS)
def test_writers_may_add_and_delete_and_viewers_may_not(
    browser: Any, ours: Any, model: str
) -> None:
    read_only = model == "publication"
    for who in WRITERS:
        client = browser(who)
        expected = 403 if read_only else 200
        assert client.get(of(model, "add")).status_code == expected
        assert client.get(below(model, getattr(ours, model), "delete/")).status_code == expected
    viewer = browser("vera")
    assert viewer.get(of(model, "add")).status_code == 403
    assert viewer.post(of(model, "add"), {}).status_code == 403
    assert viewer.get(below(model, getattr(ours, model), "delete/")).status_code == 403
    assert viewer.post(below(model, getattr(ours, model), "change/"), {}).status_code == 403


@pytest.mark.parametrize(("model", "path", "body"), DEEDS)
def test_a_viewer_may_do_nothing(
    browser: Any, ours: Any, model: str, path: str, body: dict
) -> None:
    viewer = browser("vera")
    url = below(model, getattr(ours, model), path)
    assert viewer.get(url).status_code == 403
    assert viewer.post(url, body).status_code == 403


def test_a_viewer_sees_no_button_that_makes_a_secret_or_decides(browser: Any, ours: Any) -> None:
    viewer, writer = browser("vera"), browser("bob")
    for model in ("application", "apikey", "subscription", "api", "provider", "prompt"):
        url = below(model, getattr(ours, model), "change/")
        assert "console-button" in writer.get(url).content.decode()
        seen = viewer.get(url).content.decode()
        for path in ("/add/", "rotate/", "revoke/", "approve/", "retire/", "remove-key/"):
            assert f'{path}"' not in seen, (model, path)
        assert 'name="key"' not in seen
    assert "approve/" not in viewer.get(of("subscription")).content.decode()


def test_a_viewer_cannot_run_bulk_actions(browser: Any, ours: Any, alice_tenant: Any) -> None:
    before = _fingerprint(alice_tenant)
    for action in ("approve_selected", "reject_selected", "delete_selected"):
        body = {"action": action, "_selected_action": [str(ours.subscription.pk)], "post": "yes"}
        browser("vera").post(of("subscription"), body | {"decided": "yes", "reason": "Because"})
    assert _fingerprint(alice_tenant) == before


@pytest.mark.parametrize("who", [None, "charlie"])
@pytest.mark.parametrize("path", ["", "catalog/api/", "catalog/apikey/add/"])
def test_strangers_are_asked_to_sign_in(
    request: Any, client_for: Any, alice_tenant: Any, path: str, who: str | None
) -> None:
    user = request.getfixturevalue(who) if who else None
    response = client_for(alice_tenant, user).get(f"/admin/{path}")
    assert response.status_code == 302
    assert "/admin/login/" in response["Location"]


@pytest.mark.parametrize(("model", "path", "body"), DEEDS)
def test_a_get_changes_nothing(
    browser: Any, ours: Any, alice_tenant: Any, model: str, path: str, body: dict
) -> None:
    before = _fingerprint(alice_tenant)
    browser("alice").get(below(model, getattr(ours, model), path))
    assert _fingerprint(alice_tenant) == before


@pytest.mark.parametrize(("model", "path", "body"), DEEDS)
def test_a_post_without_a_csrf_token_is_refused(
    alice_tenant: Any, alice: Any, ours: Any, model: str, path: str, body: dict
) -> None:
    client = Client(enforce_csrf_checks=True, HTTP_HOST="alice.localhost")
    client.force_login(alice)
    before = _fingerprint(alice_tenant)
    assert client.post(below(model, getattr(ours, model), path), body).status_code == 403
    assert client.post(of("publication", "again")).status_code == 403
    assert _fingerprint(alice_tenant) == before


def _fingerprint(tenant: Any) -> list:
    """Everything that a deed could have changed."""
    from catalog.models import ApiKey, Prompt, PromptVersion, ProviderCredential, Subscription

    with tenant:
        return [
            list(Api.objects.order_by("pk").values_list("pk", "state")),
            list(ApiKey.objects.order_by("pk").values_list("pk", "revoked_at", "expires_at")),
            list(Subscription.objects.order_by("pk").values_list("pk", "status")),
            list(Prompt.objects.order_by("pk").values_list("pk", "published_version")),
            PromptVersion.objects.count(),
            ProviderCredential.objects.count(),
            Application.objects.count(),
        ]
