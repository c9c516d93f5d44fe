"""Bodies and answers that are made to fill a gateway, on the routes that look into them."""

import gzip
import json
import re
from contextlib import contextmanager
from pathlib import Path

import pytest
from ai_servers import sse

MEGABYTE = 1 << 20
PACKED = gzip.compress(bytes(200 * MEGABYTE), 9)


@contextmanager
def kept_small():
    """This process, where the gateway runs, at no moment grows by 50 MB."""
    Path("/proc/self/clear_refs").write_text("5")
    before = peak()
    yield
    assert peak() - before < 50 * MEGABYTE


def peak() -> int:
    """Bytes that it has had at most since it was last forgotten."""
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def refused(answer) -> str:
    assert answer.status_code == 400, answer.text[:300]
    return answer.json()["error"]["code"]


def test_json_nested_without_end_is_refused(web, provider):
    provider.says(b"{}")
    with kept_small():
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


def test_a_packed_question_is_not_unpacked(web, provider):
    with kept_small():
        answer = web.post(
            "/v1/chat/completions", content=PACKED, headers={"content-encoding": "gzip"}
        )
        assert refused(answer) == "invalid_json"


def test_a_packed_answer_is_not_unpacked(web, provider):
    """A provider is asked for plain answers; one that packs them all the same cannot be read."""
    provider.says(PACKED, headers={"Content-Encoding": "gzip"})
    with kept_small():
        body = {"model": "gpt", "messages": [{"role": "user", "content": "hi"}]}
        answer = web.post("/v1/chat/completions", json=body)
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "provider_answer_unreadable"


def test_a_stream_of_one_endless_line_does_not_pile_up(web, provider):
    pieces = [b"data: " + b"x" * MEGABYTE] + [b"x" * MEGABYTE] * 60
    provider.says(*pieces, content_type="text/event-stream")
    with kept_small():
        body = {"model": "gpt", "messages": [{"role": "user", "content": "hi"}], "stream": True}
        with web.stream("POST", "/v1/chat/completions", json=body) as answer:
            size = sum(len(piece) for piece in answer.iter_raw(65536))
        assert size <= 62 * MEGABYTE


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


NO_JSON = (400, "invalid_json")


def refused_as(answer) -> str:
    return answer.json()["error"]["code"]


def filled(model: str, piece: bytes, size: int = 9 * MEGABYTE) -> bytes:
    """A chat of so many bytes, all of them such pieces."""
    pieces = b",".join([piece] * (size // (len(piece) + 1)))
    return b'{"model":"%b","messages":[%b]}' % (model.encode(), pieces)


@pytest.mark.parametrize("model", ["gpt", "claude"])
@pytest.mark.parametrize(
    "piece",
    [
        b'{"role":"user","content":"x"}',
        b'{"role":"user","content":[{"type":"text","text":"x"}]}',
        b"{}",
        b"[]",
        b"1",
        b'""',
        b'""' * 50,
    ],
)
def test_small_values_without_number_do_not_become_large(web, provider, model, piece):
    """Where they are translated, and where no more than the model's name is another."""
    provider.says(b"{}")
    body = filled(model, piece)
    with kept_small():
        answer = web.post("/v1/chat/completions", content=body)
    assert (answer.status_code, refused_as(answer)) in ((413, "too_many_values"), NO_JSON)
    assert not provider.asked


def test_names_without_number_do_not_become_large(web, provider):
    names = b",".join(b'"%d":1' % number for number in range(900_000))
    with kept_small():
        answer = web.post("/v1/chat/completions", content=b'{"model":"claude",%b}' % names)
    assert refused_as(answer) == "too_many_values"


def test_marks_in_a_text_are_no_values(web, provider):
    """Much of what is asked about is JSON itself."""
    provider.says(b"{}")
    text = json.dumps([{"a": 1, "b": [2]}] * 60_000)
    body = {"model": "claude", "messages": [{"role": "user", "content": text}]}
    assert web.post("/v1/chat/completions", json=body).status_code == 502
    assert json.loads(provider.last.body)["messages"][0]["content"] == text


@pytest.mark.parametrize("fields", [b'"\xff": 1', b'"stream": true, "stream_options": {"\xff": 1}'])
def test_a_name_that_is_no_text_is_refused(web, provider, fields):
    body = b'{"model": "gpt", "messages": [], ' + fields + b"}"
    answer = web.post("/v1/chat/completions", content=body)
    assert (answer.status_code, refused_as(answer)) == NO_JSON
    assert provider.asked == []
