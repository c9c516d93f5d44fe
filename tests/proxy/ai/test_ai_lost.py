"""A whole answer that breaks off, or cannot be read, is asked for elsewhere, and else paid for."""

import gzip
import json

import httpx
import pytest
from ai_batches import jsonl, request, upload
from ai_billed import MOST, Billed

from contract import keys
from contract.usage import decode

TEXT = "Tell me of the sea. " * 100
PROMPT = [{"role": "user", "content": TEXT}]
WHOLE = json.dumps(
    {
        "id": "c",
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "The sea is wide. " * 40},
                "finish_reason": "stop",
            }
        ],
    }
).encode()
LOST = {
    "breaks off": {"pieces": [WHOLE[:-20]], "abort": True, "pause": 0.02},
    "unreadable": {"pieces": [b"[no JSON"]},
}
CODES = {"breaks off": "upstream_broken", "unreadable": "provider_answer_unreadable"}
WAYS = {
    "to Anthropic's": ("/v1/messages", {"messages": PROMPT, "max_tokens": MOST}),
    "to responses": ("/v1/responses", {"input": TEXT, "max_output_tokens": MOST}),
    "prompt": ("/p/told", {"text": TEXT}),
}


@pytest.fixture(autouse=True)
def nothing_held_against_anybody(platform):
    platform.application.gateway.health.circuits.clear()
    yield
    platform.application.gateway.health.circuits.clear()


def says(provider, how):
    options = dict(LOST[how])
    provider.says(*options.pop("pieces"), **options)


@pytest.fixture
def billed(platform, providers, provider):
    tenant = Billed(platform, providers["first"][0], "exact")
    yield tenant
    tenant.web.close()


def kept(billed):
    """What all levels count in the end: tokens and cost, once nothing is reserved."""

    def found():
        pairs = billed.counted()
        used = {name: next(iter(pair)) for name, pair in pairs.items() if len(pair) == 1}
        return used if len(used) == 3 and not any(held for _, held in used.values()) else None

    return billed.platform.wait(found)


def only_event(platform, tenant_id):
    """For a client that never saw the answer."""
    shipped = (decode(fields[b"e"]) for _, fields in platform.valkey.xrange(keys.USAGE_STREAM))
    return next((event for event in shipped if event.tenant_id == tenant_id), None)


@pytest.mark.parametrize("how", LOST)
@pytest.mark.parametrize("way", WAYS)
def test_budgets_and_the_record_keep_an_estimate(billed, provider, platform, way, how):
    says(provider, how)
    path, sent = WAYS[way]
    answer = billed.web.post(path, json={"model": "batched"} | sent if way != "prompt" else sent)
    assert answer.status_code == 502
    event = platform.event(answer.headers["x-request-id"])
    assert event.error_code == CODES[how]
    assert 400 <= event.input_tokens <= 700
    assert event.cost_micros == 2 * event.input_tokens + 10 * event.output_tokens > 0
    counted = kept(billed)
    assert counted["tokens_hour"] == counted["tokens_month"] >= (event.input_tokens + MOST, 0)
    assert counted["cost_month"] >= (event.cost_micros + 10 * MOST, 0)


def test_so_they_do_where_it_was_passed_on_in_pieces(billed, provider, platform):
    says(provider, "breaks off")
    sent = {"model": "batched", "messages": PROMPT, "max_tokens": MOST}
    with pytest.raises(httpx.RemoteProtocolError):
        billed.web.post("/v1/chat/completions", json=sent)
    event = platform.wait(lambda: only_event(platform, billed.tenant_id))
    assert 400 <= event.input_tokens <= 700
    assert 100 <= event.output_tokens <= 300
    assert event.cost_micros == 2 * event.input_tokens + 10 * event.output_tokens
    assert kept(billed)["cost_month"] >= (10 * MOST, 0)


def test_so_they_do_where_a_stream_was_asked_for(billed, provider, platform):
    says(provider, "unreadable")
    sent = {"model": "batched", "messages": PROMPT, "max_tokens": MOST, "stream": True}
    answer = billed.web.post("/v1/messages", json=sent)
    assert answer.json()["error"]["code"] == "provider_answer_unreadable"
    assert platform.event(answer.headers["x-request-id"]).cost_micros
    assert kept(billed)["cost_month"] >= (10 * MOST, 0)


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": 7, "completion_tokens": 3}])
@pytest.mark.parametrize("name", ["scripted", "scripted-json"])
def test_a_prompts_answer_that_is_of_no_use_is_paid_for(web, platform, provider, name, usage):
    answer = json.loads(WHOLE) | {"usage": usage}
    if name == "scripted":
        answer["choices"] = []
    provider.says(json.dumps(answer).encode())
    said = web.post(f"/p/{name}", json={"text": "Tell me of the sea."})
    assert said.status_code == 502
    event = platform.event(said.headers["x-request-id"])
    if usage:
        assert (event.input_tokens, event.output_tokens) == (7, 3)
    else:
        assert event.input_tokens > 10
        assert event.output_tokens == (170 if name == "scripted-json" else 0)
    assert event.cost_micros


@pytest.mark.parametrize("how", LOST)
@pytest.mark.parametrize("usage", [None, {"prompt_tokens": 7, "completion_tokens": 3}])
def test_the_next_deployment_is_asked(web, platform, provider, second, how, usage):
    says(provider, how)
    second.says(json.dumps(json.loads(WHOLE) | {"usage": usage}).encode())
    sent = {"model": "both", "messages": PROMPT, "max_tokens": MOST}
    answers = [web.post("/v1/messages", json=sent) for _ in range(4)]
    assert {answer.status_code for answer in answers} == {200}
    assert provider.asked
    for answer in answers:
        event = platform.event(answer.headers["x-request-id"])
        assert event.deployment_id == "both-1"
        assert event.input_tokens == (7 if usage else None)
        assert (event.cost_micros is None) == (usage is None)


@pytest.mark.parametrize("body", [b"[]", b"{"])
def test_unreadable_answers_do_not_take_a_deployment_out(web, provider, body):
    """They may be the doing of one client's requests."""
    provider.says(body)
    for _ in range(12):
        answer = web.post(
            "/v1/messages", json={"model": "same", "messages": PROMPT, "max_tokens": 9}
        )
        assert answer.json()["error"]["code"] == "provider_answer_unreadable"


GZIP = {"content-encoding": "gzip"}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_a_compressed_answer_is_not_passed_on(billed, provider, platform, path, stream):
    kind = "text/event-stream" if stream else "application/json"
    provider.says(gzip.compress(WHOLE), content_type=kind, headers=GZIP)
    sent = {"model": "batched", "messages": PROMPT, "max_tokens": MOST, "stream": stream}
    answer = billed.web.post(path, json=sent)
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "provider_answer_unreadable"
    assert "compressed" in answer.json()["error"]["message"]
    assert provider.last.headers["accept-encoding"] == "identity"
    assert platform.event(answer.headers["x-request-id"]).cost_micros
    assert kept(billed)["cost_month"] >= (10 * MOST, 0)


def test_one_that_says_it_is_not_compressed_is(web, provider):
    provider.says(WHOLE, headers={"content-encoding": "identity"})
    sent = {"model": "gpt", "messages": PROMPT}
    assert web.post("/v1/chat/completions", json=sent).content == WHOLE


def test_the_next_deployment_is_asked_where_one_compresses(web, provider, second):
    provider.says(gzip.compress(WHOLE), headers=GZIP)
    second.says(WHOLE)
    sent = {"model": "both", "messages": PROMPT}
    assert {web.post("/v1/chat/completions", json=sent).content for _ in range(4)} == {WHOLE}
    assert provider.asked


def test_neither_is_a_compressed_file_passed_on(web, keeper, provider):
    told = upload(web, jsonl(request())).json()
    provider.says(gzip.compress(b"{}"), headers=GZIP)
    for path in (f"/v1/files/{told['id']}", f"/v1/files/{told['id']}/content"):
        answer = web.get(path)
        assert answer.status_code == 502
        assert answer.json()["error"]["code"] == "provider_answer_unreadable"
    assert provider.last.headers["accept-encoding"] == "identity"
