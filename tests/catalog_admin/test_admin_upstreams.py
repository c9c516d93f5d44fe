"""An upstream's page, and the page of a route, which has its time-outs."""

from __future__ import annotations

from typing import Any

import pytest

from catalog.models import Route, Upstream
from tests.catalog_admin.pages import below, of
from tests.catalog_admin.test_admin_forms import posted


@pytest.fixture
def client(client_for: Any, alice_tenant: Any, alice: Any) -> Any:
    return client_for(alice_tenant, alice)


def test_retries_and_probes_are_set_on_the_upstreams_page(
    client: Any, ours: Any, in_alice: Any
) -> None:
    target = ours.upstream.targets.get()
    form = posted(
        ours.upstream, retry_statuses=["502", "504"], probe_path="/healthz", total_timeout="30"
    )
    form |= {"targets-TOTAL_FORMS": 1, "targets-INITIAL_FORMS": 1}
    form |= {f"targets-0-{name}": value for name, value in posted(target).items()}
    form |= {"targets-0-id": target.pk, "targets-0-upstream": ours.upstream.pk}
    page = client.post(below("upstream", ours.upstream, "change/"), form)
    assert page.status_code == 302, page.context["errors"]
    row = Upstream.objects.get(pk=ours.upstream.pk)
    assert (row.retry_statuses, row.probe_path) == ([502, 504], "/healthz")
    assert row.total_timeout == 30


def test_a_route_is_given_a_timeout_of_its_own_and_is_not_deleted_there(
    client: Any, ours: Any, in_alice: Any
) -> None:
    route = ours.api.routes.get()
    page = client.get(below("api", ours.api, "change/")).content.decode()
    assert below("route", route, "change/") in page
    form = posted(route, first_byte_timeout="300")
    assert client.post(below("route", route, "change/"), form).status_code == 302
    assert Route.objects.get(pk=route.pk).first_byte_timeout == 300
    assert client.post(below("route", route, "delete/"), {"post": "yes"}).status_code == 403
    assert client.get(of("route")).url == of("api")


def test_a_routes_page_is_only_its_tenants(
    client_for: Any, charlie_tenant: Any, charlie: Any, ours: Any, alice_tenant: Any
) -> None:
    with alice_tenant:
        route = ours.api.routes.get()
    page = client_for(charlie_tenant, charlie).get(below("route", route, "change/"))
    assert (page.status_code, page.url) == (302, "/admin/")
