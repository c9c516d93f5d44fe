"""Streams that are cut off before their provider said what they took are paid for all the same."""

import json

import pytest
from ai_billed import MOST, Billed
from ai_servers import sse

from proxy.ai import cut_off

PROMPT = [{"role": "user", "content": "Tell me of the sea. " * 100}]
DOORS = ["/v1/chat/completions", "/v1/messages"]


def piece(text):
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return sse(json.dumps(chunk | {"choices": [choice]}))


def body(model="gpt"):
    return {"model": model, "messages": PROMPT, "stream": True, "max_tokens": 500}


@pytest.mark.parametrize("path", DOORS)
def test_a_client_that_leaves_pays_for_what_came(web, provider, platform, path):
    provider.says(*[piece("wave")] * 200, content_type="text/event-stream", pause=0.02)
    with web.stream("POST", path, json=body()) as answer:
        came = 0
        for part in answer.iter_raw():
            came += part.count(b"wave")
            if came >= 20:
                break
    assert provider.left.wait(3)
    event = platform.event(answer.headers["x-request-id"])
    assert event.abandoned
    assert 15 <= event.output_tokens <= 60
    assert 400 <= event.input_tokens <= 700
    assert event.cost_micros == pytest.approx(
        event.input_tokens * 2.5 + event.output_tokens * 10, abs=1
    )


@pytest.mark.parametrize("path", DOORS)
def test_so_does_one_whose_provider_breaks_off(web, provider, platform, path):
    pieces = [piece("wave")] * 20
    provider.says(*pieces, content_type="text/event-stream", pause=0.002, abort=True)
    answer = web.post(path, json=body())
    event = platform.event(answer.headers["x-request-id"])
    assert event.error_code == "upstream_broken"
    assert 18 <= event.output_tokens <= 24
    assert event.cost_micros


def test_what_was_reported_is_not_estimated(web, provider, platform):
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    last = json.dumps({"id": "c", "object": "chat.completion.chunk", "choices": [], "usage": usage})
    pieces = [piece("wave"), sse(last)]
    provider.says(*pieces, content_type="text/event-stream", pause=0.05, abort=True)
    answer = web.post("/v1/chat/completions", json=body())
    event = platform.event(answer.headers["x-request-id"])
    assert (event.input_tokens, event.output_tokens) == (7, 3)


def test_pieces_of_many_tokens_count_as_many():
    sample = piece("word " * 8)
    usage = cut_off.usage_of("chat", b"", sample, 10 * len(sample), None)
    assert usage.output_tokens == 100


def test_who_leaves_the_stream_of_a_prompt_pays_too(web, provider, platform):
    provider.says(*[piece("wave")] * 200, content_type="text/event-stream", pause=0.02)
    asked, wanted = {"text": "Tell me of the sea."}, {"accept": "text/event-stream"}
    with web.stream("POST", "/p/scripted", json=asked, headers=wanted) as answer:
        for part in answer.iter_raw():
            if b"wave" in part:
                break
    assert provider.left.wait(3)
    event = platform.event(answer.headers["x-request-id"])
    assert event.abandoned
    assert event.input_tokens
    assert event.output_tokens
    assert event.cost_micros


@pytest.fixture
def billed(platform, providers, provider):
    """A tenant with limits on every level."""
    tenant = Billed(platform, providers["first"][0], "exact")
    yield tenant
    tenant.web.close()


def asked(way, most=MOST):
    """Path and body of a stream."""
    model = "carried" if way.startswith("carried") else "batched"
    if way == "prompt":
        return "/p/told?stream=true", {"text": "Tell me of the sea. " * 100}
    if way == "translated to Gemini's":
        said = [{"role": "user", "parts": [{"text": PROMPT[0]["content"]}]}]
        options = {"maxOutputTokens": most}
        path = f"/v1beta/models/{model}:streamGenerateContent?alt=sse"
        return path, {"contents": said, "generationConfig": options}
    path = "/v1/messages" if "to Anthropic" in way else "/v1/chat/completions"
    return path, body(model) | {"max_tokens": most}


WAYS = [
    "passed on",
    "translated to Anthropic's",
    "translated to Gemini's",
    "carried on",
    "carried on, to Anthropic's",
    "prompt",
]


def came(answer, enough=20, then=lambda: None):
    """Reads so many pieces and leaves; what ``then`` says before it does."""
    count = 0
    for part in answer.iter_raw():
        count += part.count(b"wave")
        if count >= enough:
            return then()
    raise AssertionError("The stream ended.")


def settled(billed):
    """What all levels have used, once nothing is reserved."""

    def found():
        pairs = {name: found for name, found in billed.counted().items() if len(found) == 1}
        used = {name: one for name, ((one, held),) in pairs.items() if one and not held}
        return used if len(used) == 3 else None

    return billed.platform.wait(found)


@pytest.mark.parametrize("way", WAYS)
def test_limits_keep_what_was_reserved_for_a_stream_that_its_client_leaves(
    billed, provider, platform, way
):
    provider.says(*[piece("wave")] * 200, content_type="text/event-stream", pause=0.02)
    path, sent = asked(way)
    with billed.web.stream("POST", path, json=sent) as answer:
        assert answer.status_code == 200
        reserved = came(answer, then=billed.counted)
    (tokens,), (held,) = reserved["tokens_hour"], reserved["cost_month"]
    assert provider.left.wait(3)
    event = platform.event(answer.headers["x-request-id"])
    assert event.abandoned
    assert 15 <= event.output_tokens <= 60
    assert 400 <= event.input_tokens <= 700
    assert event.cost_micros == 2 * event.input_tokens + 10 * event.output_tokens
    assert tokens[0] == 0 < event.input_tokens + event.output_tokens < tokens[1]
    assert held[0] == 0 < event.cost_micros < held[1]
    kept = (tokens[1], 0)
    billed.wait(tokens_hour=kept, tokens_month=kept, cost_month=(held[1], 0))


@pytest.mark.parametrize("way", WAYS)
def test_limits_keep_it_too_where_the_provider_breaks_off(billed, provider, platform, way):
    pieces = [piece("wave")] * 20
    provider.says(*pieces, content_type="text/event-stream", pause=0.002, abort=True)
    path, sent = asked(way)
    answer = billed.web.post(path, json=sent)
    event = platform.event(answer.headers["x-request-id"])
    assert event.error_code == "upstream_broken"
    assert 18 <= event.output_tokens <= 24
    assert event.cost_micros
    kept = settled(billed)
    assert kept["tokens_hour"] == kept["tokens_month"] >= MOST > event.output_tokens
    assert kept["cost_month"] >= 10 * MOST


@pytest.mark.parametrize("way", WAYS[:-1])
def test_more_than_was_reserved_counts_as_what_came(billed, provider, platform, way):
    """A provider that heeds no bound on its answer."""
    pieces = [piece("word " * 100)] * 40
    provider.says(*pieces, content_type="text/event-stream", pause=0.002, abort=True)
    path, sent = asked(way, most=1)
    answer = billed.web.post(path, json=sent)
    event = platform.event(answer.headers["x-request-id"])
    assert event.output_tokens > 4000
    used = (event.input_tokens + event.output_tokens, 0)
    billed.wait(tokens_hour=used, tokens_month=used, cost_month=(event.cost_micros, 0))


@pytest.mark.parametrize("way", WAYS)
def test_what_was_reported_before_the_break_is_what_limits_count(billed, provider, platform, way):
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    last = json.dumps({"id": "c", "object": "chat.completion.chunk", "choices": [], "usage": usage})
    pieces = [piece("wave"), sse(last)]
    provider.says(*pieces, content_type="text/event-stream", pause=0.05, abort=True)
    path, sent = asked(way)
    event = platform.event(billed.web.post(path, json=sent).headers["x-request-id"])
    assert (event.input_tokens, event.output_tokens) == (7, 3)
    billed.wait(tokens_hour=(10, 0), tokens_month=(10, 0), cost_month=(44, 0))


def test_who_leaves_a_stream_that_is_carried_on_pays_for_both_parts(
    web, provider, second, platform
):
    provider.says(*[piece("wave")] * 20, content_type="text/event-stream", abort=True)
    second.says(*[piece("wave")] * 200, content_type="text/event-stream", pause=0.02)
    with web.stream("POST", "/v1/chat/completions", json=body("carried")) as answer:
        came(answer, enough=40)
    assert second.left.wait(3)
    event = platform.event(answer.headers["x-request-id"])
    assert event.abandoned
    assert 35 <= event.output_tokens <= 90
    assert 800 <= event.input_tokens <= 1500
    assert event.cost_micros > 25 * 400
