"""What gateway workers tell of targets, read where an administrator looks."""

from __future__ import annotations

from catalog import store


def health(client, upstream):
    told = client.get(f"/api/upstreams/{upstream.pk}/health/")
    assert told.status_code == 200, told.json()
    return {row["url"]: [one["state"] for one in row["states"]] for row in told.json()}


def test_each_targets_states_are_told_the_worst_first(
    api_client, alice_tenant, alice, charlie_tenant, catalogue, tell
):
    client = api_client(alice_tenant, alice)
    one, other = catalogue.upstream.targets.order_by("url")
    tell(alice_tenant, "a", {str(one.pk): "healthy", str(other.pk): "failing"})
    second = tell(alice_tenant, "b", {str(one.pk): "down"})
    tell(charlie_tenant, "c", {str(one.pk): "open"})
    assert health(client, catalogue.upstream) == {
        one.url: ["down", "healthy"],
        other.url: ["failing"],
    }
    second.forget()
    assert health(client, catalogue.upstream)[one.url] == ["healthy"]


def test_without_valkey_nothing_is_claimed(
    api_client, alice_tenant, alice, catalogue, settings, monkeypatch
):
    client = api_client(alice_tenant, alice)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(store, "TIMEOUT", 0.2)
    told = client.get(f"/api/upstreams/{catalogue.upstream.pk}/health/")
    assert told.status_code == 503
    assert told.json()["code"] == "states_unknown"


def test_the_upstreams_page_shows_them(client_for, alice_tenant, alice, catalogue, tell):
    target = catalogue.upstream.targets.order_by("url").first()
    tell(alice_tenant, "a", {str(target.pk): "open"})
    page = client_for(alice_tenant, alice).get(
        f"/admin/catalog/upstream/{catalogue.upstream.pk}/change/"
    )
    text = page.content.decode()
    assert "Left out: calls failed" in text
    assert "1 of 1 on node-a" in text
    assert "In use" in text
