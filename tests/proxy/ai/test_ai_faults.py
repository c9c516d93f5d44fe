"""A provider's errors in the shape of each client: status, code and when to ask again are kept."""

import json

import pytest

from proxy.ai.formats import openai_faults

HI = {"role": "user", "content": "Hi"}
OPENAI = {"message": "Too long.", "type": "invalid_request_error", "param": "messages"}
OPENAI |= {"code": "context_length_exceeded"}
DOORS = {
    "chat": ("/v1/chat/completions", {"messages": [HI]}),
    "responses": ("/v1/responses", {"input": "Hi"}),
    "messages": ("/v1/messages", {"messages": [HI], "max_tokens": 5}),
    "gemini": ("/v1beta/models/{}:generateContent", {"contents": [{"parts": [{"text": "Hi"}]}]}),
}


def ask(web, door, model):
    path, body = DOORS[door]
    if door == "gemini":
        return web.post(path.format(model), json=body)
    return web.post(path, json=body | {"model": model})


def code_in(door, error):
    if door in ("chat", "responses"):
        return error["code"]
    if door == "messages":
        return error["details"]["error_code"]
    return next(d["reason"] for d in error["details"] if d["@type"].endswith("ErrorInfo"))


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("code", ["context_length_exceeded", "content_filter"])
def test_every_client_is_told_the_code(web, provider, door, code):
    provider.says(json.dumps({"error": OPENAI | {"code": code}}).encode(), status=400)
    told = ask(web, door, "gpt")
    assert told.status_code == 400
    error = told.json()["error"]
    assert error["message"] == "Too long."
    assert code_in(door, error) == code


@pytest.mark.parametrize("door", DOORS)
def test_an_overloaded_provider_is_that_for_every_client(web, provider, door):
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    provider.says(json.dumps(body).encode(), status=529, headers={"retry-after": "7"})
    told = ask(web, door, "claude")
    assert (told.status_code, told.headers["retry-after"]) == (529, "7")
    error = told.json()["error"]
    said = error["status"] if door == "gemini" else error["type"]
    assert said == ("UNAVAILABLE" if door == "gemini" else "overloaded_error")


@pytest.mark.parametrize("door", ["chat", "responses", "messages"])
def test_how_long_google_asks_to_wait_is_in_the_head(web, provider, door):
    hint = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "33.6s"}
    error = {"code": 429, "message": "Slow.", "status": "RESOURCE_EXHAUSTED", "details": [hint]}
    provider.says(json.dumps({"error": error}).encode(), status=429)
    told = ask(web, door, "gemini")
    assert (told.status_code, told.headers["retry-after"]) == (429, "34")


def test_an_error_without_an_envelope_keeps_its_code_and_kind(web, provider):
    error = {"object": "error", "message": "Slow.", "type": "rate_limited", "code": "1300"}
    provider.says(json.dumps(error).encode(), status=429, headers={"retry-after-ms": "1500"})
    told = ask(web, "chat", "gpt")
    assert told.status_code == 429
    assert told.headers["retry-after-ms"] == "1500"
    said = told.json()["error"]
    assert said == {"message": "Slow.", "type": "rate_limited", "param": None, "code": "1300"}


@pytest.mark.parametrize("status", [401, 402, 403])
def test_whoever_refuses_the_tenants_account_makes_way_for_the_next(
    web, provider, second, platform, status
):
    whole = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
    whole["choices"] = [{"index": 0, "message": {"role": "assistant", "content": "Dry."}}]
    bad = json.dumps({"error": {"message": "No."}}).encode()
    provider.says(bad, status=status)
    second.says(json.dumps(whole).encode())
    for _ in range(2):
        told = ask(web, "chat", "both")
        assert told.status_code == 200, told.text
        assert told.json()["choices"][0]["message"]["content"] == "Dry."
    assert len(second.asked) == 2
    second.says(bad, status=status)
    told = ask(web, "chat", "both")
    assert told.status_code == (402 if status == 402 else 502)
    assert platform.event(told.headers["x-request-id"]).error_code


@pytest.mark.parametrize("door", DOORS)
def test_a_key_that_google_does_not_take_is_not_the_clients(web, provider, door):
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
    error = {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}
    provider.says(json.dumps({"error": error | {"details": [info]}}).encode(), status=400)
    told = ask(web, door, "gemini")
    assert told.status_code == 502
    assert "provider_rejected_credentials" in told.text
    assert "API key not valid" not in told.text


TOO_LONG = {
    "claude": {
        "type": "invalid_request_error",
        "message": "prompt is too long: 9 tokens > 8 maximum",
    },
    "gemini": {
        "code": 400,
        "status": "INVALID_ARGUMENT",
        "message": "The input token count (9) exceeds the maximum number of tokens allowed (8).",
    },
}


@pytest.mark.parametrize(
    ("model", "door"),
    [
        *(("claude", door) for door in DOORS if door != "messages"),
        *(("gemini", door) for door in DOORS if door != "gemini"),
    ],
)
def test_a_prompt_that_is_too_long_has_one_code_whoever_says_so(web, provider, model, door):
    provider.says(json.dumps({"type": "error", "error": TOO_LONG[model]}).encode(), status=400)
    told = ask(web, door, model)
    assert told.status_code == 400
    assert code_in(door, told.json()["error"]) == "context_length_exceeded"
    assert told.json()["error"]["message"] == TOO_LONG[model]["message"]


@pytest.mark.parametrize("status", [400, 422, 500])
def test_a_code_of_the_providers_own_is_kept(status):
    said = {"message": "maximum context length", "code": "invalid_value"}
    for code, expected in (("invalid_value", "invalid_value"), ("3051", "context_length_exceeded")):
        body = json.dumps({"error": said | {"code": code}}).encode()
        fault = openai_faults.read_fault(status, {}, body)
        assert fault.code == (code if status == 500 else expected)
