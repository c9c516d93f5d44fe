"""A call of each kind through the running platform, and the record that it leaves."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from management import Admin, gateway

CHAT = "/v1/chat/completions"


def record_of(platform: dict[str, Any], request_id: str) -> dict[str, Any]:
    """The record of a call once it is in the tables; fails after 10 s without one."""
    admin, deadline = Admin(platform), time.monotonic() + 10
    while time.monotonic() < deadline:
        found = admin.get("/usage/records/", range="1h", request_id=request_id)["results"]
        if found:
            assert len(found) == 1
            return admin.get(f"/usage/records/{found[0]['id']}/")
        time.sleep(0.2)
    raise AssertionError(f"no record of {request_id}")


def named(record: dict[str, Any], *kinds: str) -> list[str | None]:
    return [record[kind] and record[kind]["name"] for kind in kinds]


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "sandbox-chat", "messages": [{"role": "user", "content": text}], **more}


def cost(platform: dict[str, Any], model: str, usage: dict[str, int]) -> int:
    """Micro-units, from the prices that the management API tells."""
    deployment = Admin(platform).named("/models/", model)["deployments"][0]
    input_price, output_price = (
        float(deployment[name] or 0) for name in ("input_price", "output_price")
    )
    tokens = usage["prompt_tokens"], usage.get("completion_tokens", 0)
    return round(tokens[0] * input_price + tokens[1] * output_price)


def checked(platform: dict[str, Any], answer: httpx.Response, **expected: Any) -> dict[str, Any]:
    """The record, with what every one must tell already compared."""
    record = record_of(platform, answer.headers["x-request-id"])
    request = answer.request
    told = {name: record[name] for name in ("method", "path", "status", "error_code")}
    code = "" if answer.is_success else expected.pop("error_code")
    assert told == {
        "method": request.method,
        "path": request.url.path,
        "status": answer.status_code,
        "error_code": code,
    }
    assert record["request_bytes"] == len(request.content)
    assert record["response_bytes"] == len(answer.content)
    assert record["total_us"] >= record["upstream_us"] >= 0
    assert record["total_us"] >= record["first_byte_us"] > 0
    assert record["abandoned"] is False
    for name, value in expected.items():
        assert record[name] == value, name
    return record


def test_a_rest_call(platform_up: dict[str, Any]) -> None:
    with gateway(platform_up) as client:
        answer = client.get("/weather/cities/berlin?unit=c")
    record = checked(platform_up, answer, input_tokens=None, cost_micros=None, streamed=False)
    assert named(record, "api", "application", "plan") == ["Weather", "Travel app", "Pro"]
    assert named(record, "model", "provider", "prompt") == [None, None, None]


def test_a_chat(platform_up: dict[str, Any]) -> None:
    with gateway(platform_up) as client:
        answer = client.post(CHAT, json=chat("Hello"))
    usage = answer.json()["usage"]
    record = checked(
        platform_up,
        answer,
        input_tokens=usage["prompt_tokens"],
        output_tokens=usage["completion_tokens"],
        cached_tokens=0,
        reasoning_tokens=0,
        cost_micros=cost(platform_up, "sandbox-chat", usage),
        currency="USD",
    )
    assert named(record, "api", "model", "provider") == ["AI models", "sandbox-chat", "Sandbox"]


def test_a_stream_costs_what_the_upstream_reported(platform_up: dict[str, Any]) -> None:
    asked = chat("Tell me more", stream=True, stream_options={"include_usage": True})
    with gateway(platform_up) as client:
        answer = client.post(CHAT, json=asked)
    events = [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")]
    usage = json.loads(events[-1])["usage"]
    checked(
        platform_up,
        answer,
        streamed=True,
        input_tokens=usage["prompt_tokens"],
        output_tokens=usage["completion_tokens"],
        cost_micros=cost(platform_up, "sandbox-chat", usage),
    )


def test_embeddings(platform_up: dict[str, Any]) -> None:
    with gateway(platform_up) as client:
        answer = client.post("/v1/embeddings", json={"model": "sandbox-embed", "input": "one"})
    usage = answer.json()["usage"]
    record = checked(
        platform_up,
        answer,
        input_tokens=usage["prompt_tokens"],
        cost_micros=cost(platform_up, "sandbox-embed", usage),
    )
    assert named(record, "model") == ["sandbox-embed"]


def test_a_prompt(platform_up: dict[str, Any]) -> None:
    with gateway(platform_up) as client:
        answer = client.post("/prompts/sentiment", json={"text": "Lovely"})
    usage = answer.json()["usage"]
    record = checked(
        platform_up,
        answer,
        prompt_version=1,
        input_tokens=usage["input_tokens"],
        output_tokens=usage["output_tokens"],
    )
    wanted = ["Sentiment analysis", "Sentiment analysis", "sandbox-chat"]
    assert named(record, "api", "prompt", "model") == wanted


REFUSED: dict[str, tuple[Callable[[httpx.Client], httpx.Response], str, str | None]] = {
    "without a key": (
        lambda client: client.get("/weather/cities", headers={"Authorization": ""}),
        "api_key_missing",
        None,
    ),
    "nowhere": (lambda client: client.get("/nowhere"), "route_not_found", None),
    "of a missing model": (
        lambda client: client.post(CHAT, json={**chat("Hi"), "model": "missing"}),
        "model_not_found",
        "Travel app",
    ),
    "with wrong variables": (
        lambda client: client.post("/prompts/sentiment", json={}),
        "invalid_variables",
        "Travel app",
    ),
    "that the provider limits": (
        lambda client: client.post(CHAT, json=chat("[[status=429]]")),
        "provider_rate_limited",
        "Travel app",
    ),
    "that fails behind": (
        lambda client: client.post(CHAT, json=chat("[[status=500]]")),
        "provider_error",
        "Travel app",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_call_that_was_refused_or_failed(platform_up: dict[str, Any], what: str) -> None:
    call, code, application = REFUSED[what]
    with gateway(platform_up) as client:
        answer = call(client)
    record = checked(platform_up, answer, error_code=code, output_tokens=None)
    if application:
        assert named(record, "application") == [application]


def test_a_stream_that_its_client_left(platform_up: dict[str, Any]) -> None:
    body = json.dumps(chat("[[chunks=200]] [[pause=0.05]] Slowly", stream=True)).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: demo.localhost\r\n"
        f"Authorization: Bearer {platform_up['api_key']}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", platform_up["gateway_port"])) as client:
        client.sendall(head.encode() + body)
        answer = client.recv(4096).decode()
        time.sleep(0.5)
    request_id = next(
        line.split(": ")[1] for line in answer.split("\r\n") if line.startswith("x-request-id")
    )
    record = record_of(platform_up, request_id)
    assert record["abandoned"] is True
    assert record["status"] == 200
    assert record["streamed"] is True
    assert record["response_bytes"] > 0
    assert named(record, "application", "model") == ["Travel app", "sandbox-chat"]
    assert record["total_us"] < 5_000_000, "the upstream was read to its end"
