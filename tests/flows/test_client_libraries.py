"""Clients that others wrote reach the gateway unchanged: the OpenAI SDK, httpx and curl."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import httpx
import openai
import pytest
from management import Admin, gateway

QUESTION = [{"role": "user", "content": "Say hello to Lisbon"}]


@pytest.fixture
def sdk(platform_up: dict[str, Any]) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"http://127.0.0.1:{platform_up['gateway_port']}/v1",
        api_key=platform_up["api_key"],
        max_retries=0,
    )


def test_the_sdk_lists_and_reads_the_models_of_the_tenant(sdk: openai.OpenAI) -> None:
    names = {model.id for model in sdk.models.list()}
    assert {"sandbox-chat", "sandbox-embed"} <= names
    assert sdk.models.retrieve("sandbox-chat").id == "sandbox-chat"


def test_the_sdk_chats_and_streams_the_same_answer_with_its_usage(sdk: openai.OpenAI) -> None:
    whole = sdk.chat.completions.create(model="sandbox-chat", messages=QUESTION)
    text = whole.choices[0].message.content
    assert "Lisbon" in text

    stream = sdk.chat.completions.create(
        model="sandbox-chat",
        messages=QUESTION,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text
    assert len(chunks) > 2
    assert chunks[-1].usage == whole.usage


def test_a_stream_shows_no_usage_to_a_client_that_did_not_ask(sdk: openai.OpenAI) -> None:
    stream = sdk.chat.completions.create(model="sandbox-chat", messages=QUESTION, stream=True)
    chunks = list(stream)
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


def test_the_sdk_embeds_to_unit_vectors(sdk: openai.OpenAI) -> None:
    answer = sdk.embeddings.create(model="sandbox-embed", input=["one", "two"], dimensions=64)
    vectors = [row.embedding for row in answer.data]
    assert [len(vector) for vector in vectors] == [64, 64]
    assert all(math.isclose(math.hypot(*vector), 1, abs_tol=1e-4) for vector in vectors)
    assert vectors[0] != vectors[1]


def test_the_sdk_raises_its_own_errors(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        sdk.chat.completions.create(model="no-such-model", messages=QUESTION)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.AuthenticationError) as unknown:
        sdk.with_options(api_key="hub_unknown").models.list()
    assert unknown.value.code == "api_key_unknown"
    limited = [{"role": "user", "content": "[[status=429]]"}]
    with pytest.raises(openai.RateLimitError):
        sdk.chat.completions.create(model="sandbox-chat", messages=limited)
    with pytest.raises(openai.BadRequestError):
        sdk.chat.completions.create(model="sandbox-chat", messages="not a list")


def test_httpx_reads_writes_and_deletes_through_a_rest_api(platform_up: dict[str, Any]) -> None:
    with gateway(platform_up) as client:
        assert client.get("/weather/cities/berlin").json()["city"]["name"] == "Berlin"
        report = {"city": "berlin", "celsius": 21.5}
        made = client.post("/weather/reports", json=report)
        assert made.status_code == 201, made.text
        assert client.delete(f"/weather/reports/{made.json()['id']}").status_code == 204
        head = client.head("/weather/cities/berlin")
        assert head.status_code in (200, 405)
        wrong = client.put("/weather/reports", json=report)
        assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
        assert wrong.headers["allow"] == "POST"


def test_a_prompt_answers_as_json_and_as_a_stream(platform_up: dict[str, Any]) -> None:
    body = {"text": "What a wonderful day!"}
    with gateway(platform_up) as client:
        whole = client.post("/prompts/sentiment", json=body).json()
        assert whole["output"]["sentiment"] == "positive"
        events = []
        accept = {"Accept": "text/event-stream"}
        with client.stream("POST", "/prompts/sentiment", json=body, headers=accept) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            events = [line for line in stream.iter_lines() if line.startswith("data: ")]
        text = "".join(json.loads(event[6:]).get("delta", "") for event in events)
        assert json.loads(text) == whole["output"]
        wrong = client.post("/prompts/sentiment", json={"txt": 1})
        assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_variables")
        assert "txt" in wrong.json()["detail"]
        assert "text" in wrong.json()["detail"]


def test_curl_sees_status_type_and_request_id(platform_up: dict[str, Any]) -> None:
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    address = f"http://127.0.0.1:{platform_up['gateway_port']}/weather/cities"
    done = subprocess.run(
        ["curl", "-sS", "-i", "-m", "10", address], capture_output=True, text=True, check=True
    )
    head, _, body = (
        done.stdout.partition("\n\n")
        if "\r\n" not in done.stdout
        else (done.stdout.partition("\r\n\r\n"))
    )
    assert head.startswith("HTTP/1.1 404")
    assert "x-request-id:" in head.lower()
    assert "application/problem+json" in head
    assert json.loads(body)["code"] == "tenant_unknown"


def test_who_may_not_call_is_told_why(platform_up: dict[str, Any]) -> None:
    """Each application of the demo stands at another point of approval."""
    admin = Admin(platform_up)
    expected = {"Field stations": "subscription_pending", "Price scraper": "subscription_rejected"}
    for name, code in expected.items():
        application = admin.named("/applications/", name)
        key = admin.post("/keys/", application=application["id"], name="flow")["key"]
        with gateway(platform_up, key) as client:
            refused = client.get("/weather/cities")
            assert (refused.status_code, refused.json()["code"]) == (403, code)
            unsubscribed = client.get("/v1/models").json()
            assert unsubscribed.get("data") == [] or "error" in unsubscribed


def test_the_key_alone_names_the_tenant_and_a_foreign_host_hides_it(
    platform_up: dict[str, Any],
) -> None:
    base = f"http://127.0.0.1:{platform_up['gateway_port']}"
    key = {"X-API-Key": platform_up["api_key"]}
    assert httpx.get(f"{base}/weather/cities", headers=key).status_code == 200
    nobody = httpx.get(f"{base}/weather/cities", headers={"Host": "nobody.localhost"})
    assert (nobody.status_code, nobody.json()["code"]) == (404, "tenant_unknown")


def test_a_credential_entered_in_the_console_reaches_the_provider_and_nobody_else(
    platform_up: dict[str, Any],
) -> None:
    secret, seen = "sk-flow-0123456789abcdef", []

    class Provider(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(self.headers["Authorization"])
            self.rfile.read(int(self.headers["Content-Length"]))
            body = b'{"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Provider) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        admin = Admin(platform_up)
        address = f"http://127.0.0.1:{server.server_port}/v1"
        provider = admin.post("/providers/", name="Keyed", base_url=address)
        told = admin.put(f"/providers/{provider['id']}/credential/", secret=secret)
        assert secret not in str(told)
        ai = admin.named("/apis/", "AI models")["id"]
        # The demo's plan has a budget, which no model without a price can be held by.
        prices = {"input_price": "0.15", "output_price": "0.60"}
        deployment = {"provider": provider["id"], "provider_model": "keyed-1", **prices}
        admin.post(
            "/models/", name="keyed", abilities=["chat"], apis=[ai], deployments=[deployment]
        )
        with gateway(platform_up) as client:
            body = {"model": "keyed", "messages": [{"role": "user", "content": "Hi"}]}
            answer = client.post("/v1/chat/completions", json=body)
        server.shutdown()
    assert answer.status_code == 200, answer.text
    assert seen == [f"Bearer {secret}"]
    for kept in platform_up["var"].rglob("*"):
        if kept.is_file():
            assert secret.encode() not in kept.read_bytes(), f"{kept} holds the credential"
