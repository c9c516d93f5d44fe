"""What a tenant's people may change about it themselves."""

from __future__ import annotations

import pytest

from contract.snapshot import decode
from tenants.models import Tenant

LIST = "/admin/tenants/tenantsettings/"


def of(tenant):
    return f"{LIST}{tenant.pk}/change/"


@pytest.mark.django_db(transaction=True)
def test_an_owner_sets_the_time_zone_and_gateways_hear_of_it(alice_tenant, alice, client_for):
    from catalog import store
    from contract import keys

    client = client_for(alice_tenant, alice)
    assert client.get(LIST)["Location"] == of(alice_tenant)
    page = client.get(of(alice_tenant))
    assert "alice.localhost" in page.content.decode()
    assert client.post(of(alice_tenant), {"time_zone": "Europe/Madrid"}).status_code == 302
    assert Tenant.objects.get(pk=alice_tenant.pk).time_zone == "Europe/Madrid"
    blob = store.client().get(keys.snapshot_blob(str(alice_tenant.pk)))
    assert decode(blob).time_zone == "Europe/Madrid"
    store.remove(str(alice_tenant.pk))


@pytest.mark.parametrize("body", [{"time_zone": "Mars/Base"}, {"time_zone": ""}, {}])
def test_a_place_that_has_no_time_zone_is_refused(alice_tenant, alice, client_for, body):
    page = client_for(alice_tenant, alice).post(of(alice_tenant), body)
    assert set(page.context["adminform"].form.errors) == {"time_zone"}


def test_nothing_else_can_be_changed_there(alice_tenant, alice, client_for, tier):
    from tenants.models import AccountTier

    other = AccountTier.objects.create(name="Everything")
    body = {"time_zone": "UTC", "tier": other.pk, "slug": "x", "name": "X", "state": "suspended"}
    client_for(alice_tenant, alice).post(of(alice_tenant), body)
    found = Tenant.objects.get(pk=alice_tenant.pk)
    assert (found.tier, found.slug, found.name, found.state) == (tier, "alice", "Alice", "active")


@pytest.mark.parametrize("role", ["viewer", "publisher"])
def test_others_may_only_look(alice_tenant, member, client_for, role):
    client = client_for(alice_tenant, member(alice_tenant, role))
    assert client.get(of(alice_tenant)).status_code == 200
    assert client.post(of(alice_tenant), {"time_zone": "Europe/Madrid"}).status_code == 403
    assert Tenant.objects.get(pk=alice_tenant.pk).time_zone == "UTC"


def test_another_tenant_is_as_if_it_were_not_there(alice_tenant, alice, charlie_tenant, client_for):
    client = client_for(alice_tenant, alice)
    assert client.get(of(charlie_tenant)).status_code == 404
    assert client.post(of(charlie_tenant), {"time_zone": "Europe/Madrid"}).status_code == 404
    assert client.post(f"{LIST}{charlie_tenant.pk}/delete/").status_code in (403, 404)
    assert Tenant.objects.get(pk=charlie_tenant.pk).time_zone == "UTC"
