"""Time-outs, retries, the breaker and probes, from the management API to the snapshot."""

from __future__ import annotations

import pytest

from catalog.models import Upstream
from catalog.snapshot import compile_snapshot
from contract import snapshot as contract


@pytest.fixture
def management(api_client, alice_tenant, alice):
    return api_client(alice_tenant, alice)


def compiled(tenant, name):
    found = compile_snapshot(tenant, 1)
    return next(item for item in found.upstreams if item.name == name), found


def test_what_is_set_on_an_upstream_is_in_the_snapshot(management, catalogue, alice_tenant):
    given = {
        "connect_timeout": 1,
        "first_byte_timeout": 2,
        "idle_timeout": 3,
        "total_timeout": 4,
        "max_connections": 50,
        "max_waiting": 5,
        "retries": 1,
        "retry_timeouts": True,
        "retry_statuses": [503, 502],
        "retry_budget_percent": 10,
        "retry_budget_per_second": 1,
        "fail_threshold": 4,
        "fail_seconds": 5,
        "fail_percent": 50,
        "fail_least_calls": 30,
        "fail_on_status": True,
        "fail_on_timeout": True,
        "probe_path": "/healthz?deep=1",
        "probe_interval": 5,
        "probe_timeout": 1,
        "probe_status": 204,
        "probe_healthy_after": 1,
        "probe_unhealthy_after": 2,
    }
    told = management.patch(f"/api/upstreams/{catalogue.upstream.pk}/", given, format="json")
    assert told.status_code == 200, told.json()
    assert told.json() | given == told.json()
    got, _ = compiled(alice_tenant, "Orders")
    assert got.timeouts == contract.Timeouts(connect=1, first_byte=2, idle=3, total=4)
    assert got.retries == contract.Retries(
        most=1, on_timeout=True, statuses=(502, 503), budget_percent=10, budget_per_second=1
    )
    assert got.breaker == contract.Breaker(
        failures=4, seconds=5, error_percent=50, least_calls=30, on_status=True, on_timeout=True
    )
    assert got.probe == contract.Probe(
        path="/healthz?deep=1",
        interval=5,
        timeout=1,
        status=204,
        healthy_after=1,
        unhealthy_after=2,
    )
    assert (got.max_connections, got.max_waiting) == (50, 5)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("retry_statuses", [500]),
        ("retries", 6),
        ("retry_budget_percent", 101),
        ("total_timeout", 0),
        ("probe_path", "healthz"),
        ("probe_path", "/a b"),
        ("probe_path", "/a\r\nx-evil: 1"),
        ("probe_interval", 0.5),
        ("max_connections", 0),
        ("fail_threshold", 0),
    ],
)
def test_a_value_that_cannot_be_is_refused_at_its_field(management, catalogue, field, value):
    told = management.patch(
        f"/api/upstreams/{catalogue.upstream.pk}/", {field: value}, format="json"
    )
    assert told.status_code == 400
    assert field in str(told.json())


def test_a_route_has_the_upstreams_timeouts_with_its_own_in_their_place(
    management, catalogue, alice_tenant
):
    routes = [
        {"path": "/slow", "first_byte_timeout": 300, "total_timeout": 600, "retries": 0},
        {"path": "/plain"},
    ]
    told = management.patch(f"/api/apis/{catalogue.api.pk}/", {"routes": routes}, format="json")
    assert told.status_code == 200, told.json()
    Upstream.objects.filter(pk=catalogue.upstream.pk).update(connect_timeout=2)
    _, snapshot = compiled(alice_tenant, "Orders")
    orders = next(api for api in snapshot.apis if api.name == "Orders")
    by_path = {route.path: route for route in orders.routes}
    expected = contract.Timeouts(connect=2, first_byte=300, idle=60, total=600)
    assert by_path["/slow"].timeouts == expected
    assert by_path["/slow"].retries == 0
    assert by_path["/plain"].timeouts is None
    assert by_path["/plain"].retries is None
