"""Who may read which usage through the management API."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator

from tests.analytics.usage import happen

pytestmark = pytest.mark.django_db

LISTS = [
    "records/?range=1h",
    "records.csv?range=1h",
    "series/?range=1h&by=application&with_none=true",
    "totals/?range=1h",
    "top/?by=application&range=1h&with_none=true",
]


@pytest.fixture
def shop(in_alice: Any) -> Any:
    """An application of Alice's with a key and two calls; another application has three,
    and nobody known has four."""
    from catalog.models import Application
    from catalog.services import access

    shop, rival = (Application.objects.create(name=name) for name in ("Shop", "Rival"))
    key, secret = access.issue_key(application=shop, name="k")
    now = timezone.now()
    happen(in_alice, now, application_id=shop.pk, id=UUID(int=1))
    happen(in_alice, now, application_id=shop.pk, id=UUID(int=2))
    happen(in_alice, now, application_id=rival.pk, id=UUID(int=3))
    happen(in_alice, now, application_id=rival.pk, count=2)
    happen(in_alice, now, count=4)
    return SimpleNamespace(application=shop, rival=rival, key=key, secret=secret, id=UUID(int=1))


def with_key(api_client: Any, tenant: Any, secret: str) -> Any:
    client = api_client(tenant)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return client


def seen(client: Any, extra: str = "") -> dict[str, int]:
    """How many calls each endpoint tells of."""

    def get(path: str) -> Any:
        response = client.get(f"/api/usage/{path}{extra}")
        assert response.status_code == 200, response.content
        return response

    groups = get(LISTS[2]).json()["series"]
    return {
        "records": len(get(LISTS[0]).json()["results"]),
        "csv": b"".join(get(LISTS[1]).streaming_content).count(b"\r\n") - 1,
        "series": sum(point["calls"] for row in groups for point in row["points"]),
        "totals": get(LISTS[3]).json()["calls"],
        "top": sum(row["calls"] for row in get(LISTS[4]).json()["results"]),
    }


def all_of(count: int) -> dict[str, int]:
    return dict.fromkeys(("records", "csv", "series", "totals", "top"), count)


@pytest.mark.parametrize("role", ["owner", "admin", "publisher", "viewer"])
def test_every_member_reads_all_of_it_and_writes_nothing(
    role: str, shop: Any, alice_tenant: Any, api_client: Any
) -> None:
    from tenants.models import Membership, User

    user = User.objects.create_user(role, f"{role}@example.org", "x")
    Membership.objects.create(tenant=alice_tenant, user=user, role=role)
    client = api_client(alice_tenant, user)
    assert seen(client) == all_of(9)
    assert client.get(f"/api/usage/records/{shop.id}/").status_code == 200
    for path in [*LISTS, f"records/{shop.id}/"]:
        for method in ("post", "put", "patch", "delete"):
            assert getattr(client, method)(f"/api/usage/{path}").status_code in (403, 405)


def test_nobody_else_reads_any(shop: Any, alice_tenant: Any, charlie: Any, api_client: Any) -> None:
    unknown = with_key(api_client, alice_tenant, "hub_unknown")
    management = with_key(api_client, alice_tenant, "hubt_unknown")
    for client in (
        api_client(alice_tenant),
        api_client(alice_tenant, token="hubt_unknown"),
        unknown,
        management,
    ):
        for path in [*LISTS, f"records/{shop.id}/"]:
            response = client.get(f"/api/usage/{path}")
            assert response.status_code == 401, path
            assert response["Content-Type"] == "application/problem+json"


def test_a_key_reads_its_own_applications_usage(
    shop: Any, alice_tenant: Any, api_client: Any
) -> None:
    client = with_key(api_client, alice_tenant, shop.secret)
    assert seen(client) == all_of(2)
    assert seen(client, f"&application={shop.application.pk}") == all_of(2)
    assert client.get(f"/api/usage/records/{shop.id}/").json()["application"]["name"] == "Shop"
    found = client.get("/api/usage/records/?range=1h&page_size=1").json()
    assert len(client.get(found["next"]).json()["results"]) == 1


def test_a_key_is_refused_other_applications_usage(
    shop: Any, alice_tenant: Any, api_client: Any
) -> None:
    client = with_key(api_client, alice_tenant, shop.secret)
    for other in (shop.rival.pk, uuid4(), "none"):
        for path in LISTS:
            response = client.get(f"/api/usage/{path}&application={other}")
            assert response.status_code == 403, path
            assert "its own application only" in response.json()["detail"]
    theirs = client.get(f"/api/usage/records/{UUID(int=3)}/")
    unknown = client.get(f"/api/usage/records/{uuid4()}/")
    assert theirs.status_code == unknown.status_code == 404
    assert theirs.content == unknown.content


@pytest.mark.parametrize("why", ["revoked", "expired", "disabled", "deleted", "suspended"])
def test_a_key_that_no_longer_counts(
    why: str, shop: Any, alice_tenant: Any, api_client: Any
) -> None:
    client = with_key(api_client, alice_tenant, shop.secret)
    assert client.get("/api/usage/totals/").status_code == 200
    now = timezone.now()
    if why == "revoked":
        shop.key.revoked_at = now
        shop.key.save()
    elif why == "expired":
        shop.key.expires_at = now - timedelta(seconds=1)
        shop.key.save()
    elif why == "disabled":
        shop.application.enabled = False
        shop.application.save()
    elif why == "deleted":
        shop.key.delete()
    else:
        type(alice_tenant).objects.filter(pk=alice_tenant.pk).update(state="suspended")
    response = client.get("/api/usage/totals/")
    assert response.status_code == 401
    assert "not known here" in response.json()["detail"]


def test_a_key_opens_nothing_else(shop: Any, alice_tenant: Any, api_client: Any) -> None:
    client = with_key(api_client, alice_tenant, shop.secret)
    schema = SchemaGenerator().get_schema(request=None, public=True)
    own = {
        "/api/usage/records/",
        "/api/usage/records/{id}/",
        "/api/usage/records.csv",
        "/api/usage/series/",
        "/api/usage/totals/",
        "/api/usage/top/",
    }
    tried = 0
    for path, operations in schema["paths"].items():
        address = path.replace("{number}", "1")
        for name in ("id", "prompt_id", "pk"):
            address = address.replace(f"{{{name}}}", str(shop.application.pk))
        for method in operations:
            if path in own:
                assert method == "get"
                continue
            response = getattr(client, method)(address)
            assert response.status_code in (401, 403), (method, path, response.status_code)
            tried += 1
    assert tried > 40


@pytest.fixture
def charlies(charlie_tenant: Any) -> Any:
    """Charlie's application with a key, an API and one call."""
    from catalog.models import Api, Application
    from catalog.services import access

    with charlie_tenant:
        application = Application.objects.create(name="Secret")
        _, secret = access.issue_key(application=application)
        api = Api.objects.create(name="Secret", listen_path="/secret")
    ids = {"api_id": api.pk, "application_id": application.pk}
    happen(charlie_tenant, timezone.now(), id=UUID(int=0xC), path="/secret", **ids)
    return SimpleNamespace(application=application, api=api, secret=secret, id=UUID(int=0xC))


def test_another_tenants_usage_is_as_if_it_did_not_exist(
    charlies: Any, shop_of_alice: Any, alice_tenant: Any, alice: Any, api_client: Any
) -> None:
    for client in (
        api_client(alice_tenant, alice),
        with_key(api_client, alice_tenant, shop_of_alice.secret),
    ):
        for nothing in (f"&api={charlies.api.pk}", f"&api={uuid4()}"):
            assert seen(client, nothing) == all_of(0)
        theirs = client.get(f"/api/usage/records/{charlies.id}/")
        unknown = client.get(f"/api/usage/records/{uuid4()}/")
        assert theirs.status_code == unknown.status_code == 404
        assert theirs.content == unknown.content
        path = f"/api/usage/records/?range=1h&request_id={charlies.id}"
        assert client.get(path).json()["results"] == []
        for path in LISTS:
            response = client.get(f"/api/usage/{path}")
            told = b"".join(response.streaming_content) if response.streaming else response.content
            assert b"ecret" not in told
            assert str(charlies.application.pk).encode() not in told


@pytest.fixture
def shop_of_alice(charlies: Any, alice_tenant: Any) -> Any:
    """Made after Charlie's, because tenants can only be made in the public schema."""
    from catalog.models import Application
    from catalog.services import access

    with alice_tenant:
        application = Application.objects.create(name="Shop")
        _, secret = access.issue_key(application=application)
    happen(alice_tenant, timezone.now(), application_id=application.pk)
    return SimpleNamespace(secret=secret)


def test_another_tenants_token_and_key_are_as_unknown_as_any(
    charlies: Any, alice_tenant: Any, charlie_tenant: Any, charlie: Any, api_client: Any
) -> None:
    from tenants import services
    from tenants.models import Membership

    membership = Membership.objects.get(tenant=charlie_tenant, user=charlie)
    _, token = services.issue_token(membership=membership, name="t")
    for stranger, unknown in (
        (api_client(alice_tenant, token=token), api_client(alice_tenant, token="hubt_unknown")),
        (
            with_key(api_client, alice_tenant, charlies.secret),
            with_key(api_client, alice_tenant, "hub_unknown"),
        ),
    ):
        for path in [*LISTS, f"records/{charlies.id}/"]:
            one, other = (client.get(f"/api/usage/{path}") for client in (stranger, unknown))
            assert one.status_code == other.status_code == 401
            assert one.content == other.content
    assert seen(with_key(api_client, charlie_tenant, charlies.secret)) == all_of(1)


def test_the_schema_has_both_ways_in_and_examples() -> None:
    schema = SchemaGenerator().get_schema(request=None, public=True)
    paths = {path: row.get("get", {"security": []}) for path, row in schema["paths"].items()}
    keyed = [path for path, row in paths.items() if {"API key": []} in row["security"]]
    assert len(keyed) == 6
    for path in keyed:
        assert {"Management token": []} in paths[path]["security"]
        assert {"200", "400", "401", "403"} <= set(paths[path]["responses"])
        for content in paths[path]["responses"]["200"]["content"].items():
            assert content[0] == "text/csv" or content[1]["examples"]
    assert schema["components"]["securitySchemes"]["API key"]["scheme"] == "bearer"
