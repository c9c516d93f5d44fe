"""Applications, keys, plans and subscriptions through the management API."""

from __future__ import annotations


def test_an_application_from_first_to_last(call):
    made = call("post", "/api/applications/", {"name": "Shop", "contact": "a@b.example"}, 201)
    path = f"/api/applications/{made['id']}/"
    assert call("patch", path, {"enabled": False})["enabled"] is False
    call("post", "/api/applications/", {"name": "Shop"}, 400)
    call("delete", path, status=204)


def test_a_key_is_told_once(call, application):
    made = call("post", "/api/keys/", {"application": str(application.pk), "name": "k"}, 201)
    path = f"/api/keys/{made['id']}/"
    assert made["key"].startswith(made["prefix"])
    assert "key" not in call("get", path)
    new = call("post", f"{path}rotate/", {"grace_seconds": 60}, 201)
    assert new["key"] != made["key"]
    assert call("get", path)["active"] is True
    assert call("post", f"{path}revoke/")["active"] is False
    assert call("post", f"{path}rotate/", status=400)["code"] == "inactive"
    active = call("get", "/api/keys/?active=true")
    assert [row["id"] for row in active["results"]] == [new["id"]]
    assert call("get", "/api/keys/?active=false")["count"] == 1
    call("put", path, {"name": "x"}, 405)
    call("delete", path, status=405)


def test_a_plan_from_first_to_last(call):
    limits = [{"amount": 60, "window": "minute"}, {"amount": "5", "window": "second"}]
    body = {"name": "Free", "limits": limits}
    made = call("post", "/api/plans/", body, 201)
    assert {(row["amount"], row["window"], row["per"]) for row in made["limits"]} == {
        ("60", "minute", "subscription"),
        ("5", "second", "subscription"),
    }
    path = f"/api/plans/{made['id']}/"
    changed = call("patch", path, {"limits": [{"amount": 70, "window": "minute"}]})
    ids = {row["window"]: row["id"] for row in made["limits"]}
    assert [(row["id"], row["amount"]) for row in changed["limits"]] == [(ids["minute"], "70")]
    problem = call("patch", path, {"limits": [{"amount": -1, "window": 7}]}, 400)
    assert set(problem["errors"]) == {"limits[0].window"}
    problem = call("patch", path, {"limits": [{"amount": 0, "window": "hour"}]}, 400)
    assert set(problem["errors"]) == {"limits[0].amount"}
    call("delete", path, status=204)


def test_a_subscription_is_requested_approved_and_revoked(call, application, api, plan):
    body = {"application": str(application.pk), "api": str(api.pk), "plan": str(plan.pk)}
    made = call("post", "/api/subscriptions/", body | {"reason": "To sell"}, 201)
    assert made["status"] == "pending"
    path = f"/api/subscriptions/{made['id']}/"
    assert call("post", "/api/subscriptions/", body, 400)["code"] == "open_subscription"
    assert call("post", f"{path}revoke/", status=400)["code"] == "transition"
    assert call("post", f"{path}approve/", {"reason": "Fine"})["status"] == "approved"
    told = call("post", f"{path}revoke/", {"reason": "Over"})
    assert told["status"] == "revoked"
    steps = [(row["action"], row["actor_name"], row["reason"]) for row in told["events"]]
    assert steps == [
        ("request", "alice", "To sell"),
        ("approve", "alice", "Fine"),
        ("revoke", "alice", "Over"),
    ]
    call("patch", path, {"status": "approved"}, 405)
    call("delete", path, status=405)


def test_a_subscription_is_rejected(call, subscription):
    path = f"/api/subscriptions/{subscription.pk}/"
    assert call("post", f"{path}reject/", {"reason": "No"})["status"] == "rejected"
    assert call("get", "/api/subscriptions/?status=rejected")["count"] == 1
    assert call("get", "/api/subscriptions/?status=approved")["count"] == 0
