"""A limit, from the management API to a refused call, and what is left of it without Valkey."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import redis
from management import Admin, gateway

WITHIN = 30.0
"""Seconds. What is measured is printed; this is only where it would be wrong."""


def wait_until(true: Callable[[], bool], what: str) -> float:
    """How long it took."""
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < WITHIN, f"{what} took longer than {WITHIN:g} s"
        time.sleep(0.05)
    return time.monotonic() - started


@pytest.fixture
def valkey(platform_up: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> redis.Redis:
    from config import env

    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setitem(os.environ, "HUBPO_VAR", str(platform_up["var"]))
    return redis.Redis.from_url(env.redis_url(), decode_responses=True)


def test_a_quota_is_refused_shown_and_survives_the_loss_of_its_counters(
    platform_up: dict[str, Any], valkey: redis.Redis
) -> None:
    admin, path = Admin(platform_up), "/weather/cities/berlin"
    application = admin.post("/applications/", name="Counted")
    key = admin.post("/keys/", application=application["id"], name="flow")["key"]
    weather, plan = admin.named("/apis/", "Weather"), admin.named("/plans/", "Unlimited")
    wanted = {"application": application["id"], "api": weather["id"], "plan": plan["id"]}
    subscription = admin.post("/subscriptions/", **wanted)
    admin.post(f"/subscriptions/{subscription['id']}/approve/")
    client = gateway(platform_up, key)
    wait_until(lambda: client.get(path).status_code == 200, "the subscription")

    # A new quota knows what was used before it.
    wait_until(lambda: recorded(admin, application) == 1, "the record")
    quota = {"measure": "calls", "window": "calendar_month", "application": application["id"]}
    limit = admin.post("/limits/", amount="5", **quota)
    wait_until(lambda: own(client) is not None, "the limit")
    assert used(admin, application) == 1
    for _ in range(4):
        assert client.get(path).status_code == 200
    refused = client.get(path)
    assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
    assert int(refused.headers["retry-after"]) > 0

    # The console and the application see the same.
    assert used(admin, application) == 5
    row = own(client)
    assert (row["used"], row["remaining"], row["amount"]) == (5, 0, 5)

    # The counters of the tenant are gone, as after a loss of Valkey.
    wait_until(lambda: recorded(admin, application) == 5, "the records")
    lost = [
        name
        for name in valkey.scan_iter("hubpo:limit:*")
        if application["id"] in name or name.endswith(":rebuilt")
    ]
    assert valkey.delete(*lost) >= 2
    took = wait_until(lambda: used(admin, application) == 5, "the rebuilding")
    print(f"from lost to rebuilt counters: {took:.1f} s")
    assert client.get(path).json()["code"] == "quota_exceeded"
    admin.patch(f"/limits/{limit['id']}/", amount="6")
    wait_until(lambda: client.get(path).status_code == 200, "the raised quota")
    assert client.get(path).json()["code"] == "quota_exceeded"


def test_what_end_users_used_today_survives_the_loss_of_valkey(
    platform_up: dict[str, Any], valkey: redis.Redis
) -> None:
    admin, path = Admin(platform_up), "/counted-users/cities/berlin"
    application = admin.post("/applications/", name="With users")
    key = admin.post("/keys/", application=application["id"], name="flow")["key"]
    weather, plan = admin.named("/apis/", "Weather"), admin.named("/plans/", "Unlimited")
    api = admin.post(
        "/apis/",
        name="Counted users",
        kind="http",
        listen_path="/counted-users",
        upstream=weather["upstream"],
        user_from="header:X-User-Id",
    )
    admin.post(f"/apis/{api['id']}/publish/")
    wanted = {"application": application["id"], "api": api["id"], "plan": plan["id"]}
    subscription = admin.post("/subscriptions/", **wanted)
    admin.post(f"/subscriptions/{subscription['id']}/approve/")
    quota = {"measure": "calls", "window": "calendar_day", "per": "user", "api": api["id"]}
    admin.post("/limits/", amount="3", **quota)
    ann, bob = ({"X-User-Id": f"{name}@example.com"} for name in ("ann", "bob"))
    client = gateway(platform_up, key)

    def used_by(user: dict[str, str]) -> int | None:
        rows = client.get("/v1/limits", headers=user).json().get("limits", [])
        return next((row["used"] for row in rows if row["scope"] == "user"), None)

    def call(user: dict[str, str]) -> int:
        return client.get(path, headers=user).status_code

    wait_until(lambda: used_by(ann) == 0, "the limit")
    assert [call(ann) for _ in range(2)] == [200, 200]
    assert [call(bob) for _ in range(4)] == [200, 200, 200, 429]
    assert (used_by(ann), used_by(bob)) == (2, 3)
    everything = {"application": application["id"], "range": "1h"}

    def rows() -> list[dict[str, Any]]:
        return admin.get("/usage/records/", **everything)["results"]

    wait_until(lambda: sum(row["path"] == path for row in rows()) == 6, "the records")

    valkey.flushall()
    took = wait_until(lambda: (used_by(ann), used_by(bob)) == (2, 3), "the rebuilding")
    print(f"from an emptied Valkey to end users' counters: {took:.1f} s")
    assert [call(ann) for _ in range(2)] == [200, 429]
    assert call(bob) == 429


def own(client: httpx.Client) -> dict[str, Any] | None:
    """The quota as the application sees it; asking counts against nothing."""
    rows = client.get("/v1/limits").json()["limits"]
    return next((row for row in rows if row["period"] == "month"), None)


def used(admin: Admin, application: dict[str, Any]) -> int:
    (row,) = (
        row
        for row in admin.get(f"/applications/{application['id']}/limits/")
        if row["window"] == "calendar_month" and row["set_on"] == "application"
    )
    return int(row["used"])


def recorded(admin: Admin, application: dict[str, Any]) -> int:
    """The application's calls that were let through, as the records have them."""
    rows = admin.get("/usage/records/", application=application["id"], page_size=100)["results"]
    return sum(row["status"] == 200 and row["path"].startswith("/weather") for row in rows)
