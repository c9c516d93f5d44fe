"""An API may answer on some of the tenant's hosts, and only on the tenant's own."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from catalog.models import Api, Target, Upstream
from catalog.publish import publish
from catalog.services import apis
from catalog.snapshot import compile_snapshot
from catalog.snapshot_checks import problems
from proxy.runtime import TenantRuntime
from tenants.models import Domain


@pytest.fixture
def upstream(in_alice: object) -> Upstream:
    made = Upstream.objects.create(name="Orders")
    Target.objects.create(upstream=made, url="http://127.0.0.1:9")
    return made


@pytest.fixture
def shop(alice_tenant: object) -> str:
    Domain.objects.create(tenant=alice_tenant, domain="Shop.example", is_primary=False)
    return "shop.example"


def made(upstream: Upstream, name: str, *hosts: str) -> Api:
    api = Api(name=name, listen_path="/orders", upstream=upstream, hosts=list(hosts))
    api.state = Api.State.PUBLISHED
    return apis.save_api(api=api)


def answering(tenant: object, host: str) -> str | None:
    """The name of the API that the gateway finds at /orders on a host."""
    runtime = TenantRuntime(compile_snapshot(tenant, 1), None)
    table = runtime.extra_hosts.get(host, runtime.listen)
    found = table.find(["orders"])
    return found[0].api.name if found else None


def test_the_same_path_leads_to_another_api_on_a_chosen_host(
    alice_tenant: object, upstream: Upstream, shop: str
) -> None:
    made(upstream, "Everywhere")
    made(upstream, "In the shop", shop)
    assert answering(alice_tenant, "alice.localhost") == "Everywhere"
    assert answering(alice_tenant, shop) == "In the shop"
    assert problems(compile_snapshot(alice_tenant, 1)) == []


def test_two_apis_cannot_have_one_path_on_one_host(
    alice_tenant: object, upstream: Upstream, shop: str
) -> None:
    made(upstream, "First", shop)
    with pytest.raises(ValidationError, match="already belongs to First"):
        made(upstream, "Second", shop, "alice.localhost")


def test_another_tenants_host_cannot_be_chosen(
    alice_tenant: object, charlie_tenant: object, upstream: Upstream
) -> None:
    with pytest.raises(ValidationError, match=r"charlie\.localhost is not a host of this tenant"):
        made(upstream, "Taken over", "charlie.localhost")


def test_an_api_whose_host_was_taken_away_answers_nowhere(
    alice_tenant: object, upstream: Upstream, shop: str
) -> None:
    made(upstream, "In the shop", shop)
    Domain.objects.filter(tenant=alice_tenant, domain="Shop.example").delete()
    assert answering(alice_tenant, "alice.localhost") is None
    assert publish(alice_tenant) is not None
