"""Streams that are cut off before their provider said what they took are paid for all the same."""

import json

import pytest
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
