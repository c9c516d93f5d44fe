"""Bodies and answers that are made to fill a gateway, on the routes that look into them."""

import gzip
import json
import resource

from ai_servers import sse

MEGABYTE = 1 << 20
PACKED = gzip.compress(bytes(200 * MEGABYTE), 9)


def grown() -> int:
    """Bytes that this process, where the gateway runs, has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def refused(answer) -> str:
    assert answer.status_code == 400, answer.text[:300]
    return answer.json()["error"]["code"]


def test_json_nested_without_end_is_refused(web, provider):
    provider.says(b"{}")
    before = grown()
    for deep in (b"[", b'{"a":'):
        nested = deep * (MEGABYTE // len(deep))
        wrapped = b'{"model":"gpt","messages":' + nested
        for body in (
            nested,
            wrapped,
            b'{"model":"gpt","messages":[{"role":"user","content":' + nested,
        ):
            answer = web.post("/v1/chat/completions", content=body)
            assert refused(answer) in ("invalid_json", "invalid_request")
    closed = b'{"model":"gpt","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert web.post("/v1/chat/completions", content=closed).status_code < 500
    assert grown() - before < 50 * MEGABYTE


def test_a_packed_question_is_not_unpacked(web, provider):
    before = grown()
    answer = web.post("/v1/chat/completions", content=PACKED, headers={"content-encoding": "gzip"})
    assert refused(answer) == "invalid_json"
    assert grown() - before < 50 * MEGABYTE


def test_a_packed_answer_is_not_unpacked(web, provider):
    """A provider is asked for plain answers; one that packs them all the same is passed on."""
    provider.says(PACKED, headers={"Content-Encoding": "gzip"})
    before = grown()
    body = {"model": "gpt", "messages": [{"role": "user", "content": "hi"}]}
    with web.stream("POST", "/v1/chat/completions", json=body) as answer:
        size = sum(len(piece) for piece in answer.iter_raw())
    assert size == len(PACKED)
    assert grown() - before < 50 * MEGABYTE


def test_a_stream_of_one_endless_line_does_not_pile_up(web, provider):
    pieces = [b"data: " + b"x" * MEGABYTE] + [b"x" * MEGABYTE] * 60
    provider.says(*pieces, content_type="text/event-stream")
    before = grown()
    body = {"model": "gpt", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    with web.stream("POST", "/v1/chat/completions", json=body) as answer:
        size = sum(len(piece) for piece in answer.iter_raw(65536))
    assert size <= 62 * MEGABYTE
    assert grown() - before < 50 * MEGABYTE


def test_usage_in_a_deep_answer_is_not_looked_for(web, provider):
    deep = b'{"choices":' + b"[" * MEGABYTE
    provider.says(deep)
    body = {"model": "gpt", "messages": [{"role": "user", "content": "hi"}]}
    assert web.post("/v1/chat/completions", json=body).content == deep
    provider.says(
        sse(deep, json.dumps({"choices": []}), "[DONE]"), content_type="text/event-stream"
    )
    answer = web.post("/v1/chat/completions", json=body | {"stream": True})
    assert answer.status_code == 200
