"""A rule and a price that an admin sets in the console: the next calls go and cost by them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from management import Admin, gateway
from test_records_of_calls import CHAT, record_of


@pytest.fixture
def console(platform_up: dict[str, Any]) -> Iterator[httpx.Client]:
    """The demo tenant's admin, signed in."""
    port = platform_up["console_port"]
    host = {"Host": f"demo.localhost:{port}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=host) as client:
        client.get("/admin/login/")
        submit(client, "/admin/login/", **platform_up["admin"])
        yield client


def submit(client: httpx.Client, path: str, **fields: Any) -> None:
    """Posts a form, which must be accepted."""
    token = {"csrfmiddlewaretoken": client.cookies["csrftoken"]}
    answer = client.post(path, data=fields | token)
    assert answer.status_code == 302, answer.text


def called(platform: dict[str, Any], model: str, team: str) -> tuple[str, dict[str, Any]]:
    """Which way a call went, and its record."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    head = {"X-Team": team, "X-Hubpo-Explain": "1"}
    with gateway(platform) as client:
        answer = client.post(CHAT, json=body, headers=head)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-hubpo-route"], record_of(platform, answer.headers["x-request-id"])


def test_rules_and_prices_set_in_the_console_hold_for_the_next_calls(
    platform_up: dict[str, Any], console: httpx.Client
) -> None:
    admin = Admin(platform_up)
    known = admin.named("/models/", "sandbox-chat")
    place = {"provider": known["deployments"][0]["provider"], "provider_model": "sandbox-chat"}
    place |= {"input_price": "1", "output_price": "1"}
    common = {"abilities": ["chat"], "apis": known["apis"], "deployments": [place]}
    usual = admin.post("/models/", name="flow-usual", **common)
    special = admin.post("/models/", name="flow-special", **common)
    time.sleep(1)
    way, first = called(platform_up, "flow-usual", "research")
    assert "rule" not in way

    submit(
        console,
        "/admin/catalog/routingrule/add/",
        name="research",
        model=usual["id"],
        target=special["id"],
        **{
            "conditions-0-subject": "header",
            "conditions-0-name": "X-Team",
            "conditions-0-operator": "is",
            "conditions-0-values": "research",
        },
    )
    time.sleep(1)
    way, second = called(platform_up, "flow-usual", "research")
    assert "rule 'research'" in way
    assert "rule 'research'" in second["routed"]
    assert "rule 'research'" not in called(platform_up, "flow-usual", "sales")[0]
    assert first["cost_micros"] == second["cost_micros"] > 0

    (deployment,) = special["deployments"]
    submit(
        console,
        "/admin/catalog/pricechange/add/",
        deployment=deployment["id"],
        input_price="9",
        output_price="9",
        currency="USD",
    )
    time.sleep(1)
    _, third = called(platform_up, "flow-usual", "research")
    assert third["cost_micros"] == 9 * second["cost_micros"]
    again = admin.get(f"/usage/records/{second['id']}/")
    assert again == second
