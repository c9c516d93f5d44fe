"""What the management API tells of publishing, in its list and with each write."""

from __future__ import annotations

import pytest


def test_publications_are_read_only(call):
    call("post", "/api/applications/", {"name": "Shop"}, 201)
    (row,) = call("get", "/api/publications/")["results"]
    assert (row["version"], row["status"]) == (1, "published")
    path = f"/api/publications/{row['id']}/"
    assert call("get", path) == row
    call("delete", path, status=405)
    call("post", "/api/publications/", {}, 405)


def test_an_answer_to_a_write_tells_whether_it_is_in_effect(alice_tenant, alice, api_client):
    program = api_client(alice_tenant, alice)
    assert "Hubpo-Publication" not in program.get("/api/plans/")


@pytest.mark.django_db(transaction=True)
def test_a_write_without_the_store_succeeds_and_says_so(alice_tenant, alice, api_client, settings):
    program = api_client(alice_tenant, alice)
    response = program.post("/api/applications/", {"name": "A"})
    assert (response.status_code, response["Hubpo-Publication"]) == (201, "published")
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    response = program.post("/api/applications/", {"name": "B"})
    assert (response.status_code, response["Hubpo-Publication"]) == (201, "waiting")
