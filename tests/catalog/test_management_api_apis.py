"""Upstreams and APIs through the management API."""

from __future__ import annotations


def test_an_upstream_from_first_to_last(call):
    made = call(
        "post",
        "/api/upstreams/",
        {"name": "Orders", "targets": [{"url": "https://a.example"}, {"url": "https://b.example"}]},
        201,
    )
    path = f"/api/upstreams/{made['id']}/"
    assert [target["url"] for target in made["targets"]] == [
        "https://a.example",
        "https://b.example",
    ]
    assert made["targets"][0]["weight"] == 1
    kept, _ = made["targets"]
    changed = call("patch", path, {"targets": [{"url": "https://a.example", "weight": 3}]})
    assert changed["targets"] == [kept | {"weight": 3}]
    assert call("patch", path, {"description": "x"})["targets"] == changed["targets"]
    call("put", path, {"description": "no name"}, 400)
    assert call("get", path)["name"] == "Orders"
    call("delete", path, status=204)
    call("get", path, status=404)


def test_an_api_is_created_as_a_draft_then_published_and_retired(call, in_alice, in_store):
    upstream = call(
        "post", "/api/upstreams/", {"name": "O", "targets": [{"url": "https://o.example"}]}, 201
    )
    body = {
        "name": "Orders",
        "listen_path": "/orders",
        "upstream": upstream["id"],
        "routes": [{"path": "/items/{id}", "methods": ["GET"]}],
    }
    made = call("post", "/api/apis/", body, 201)
    assert made["state"] == "draft"
    assert made["kind"] == "http"
    assert made["routes"][0]["path"] == "/items/{id}"
    path = f"/api/apis/{made['id']}/"
    assert call("post", f"{path}publish/")["state"] == "published"
    assert [api.name for api in in_store(in_alice).apis] == ["Orders"]
    assert call("patch", path, {"version": "2"})["routes"] == made["routes"]
    assert call("patch", path, {"routes": []})["routes"] == []
    assert call("post", f"{path}retire/")["state"] == "retired"
    assert in_store(in_alice).apis == ()


def test_an_ai_api_needs_no_path(call):
    made = call("post", "/api/apis/", {"name": "Models", "kind": "ai"}, 201)
    assert made["listen_path"] == "/v1"
