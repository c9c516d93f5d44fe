"""The calls that are measured, what the upstream sends for each, and what counts as right."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

API_KEY = "hub_bench-key-000000000000000000000000"
MODEL = "bench-chat"
TRANSLATED = "bench-claude"
"""A model whose provider speaks Anthropic's format."""
CHUNKS = 50
STREAMS = 400
"""Paced streams that are open at once."""


def _text(size: int) -> str:
    words = "the gateway sends every call on and writes down what it cost "
    return (words * (size // len(words) + 1))[:size]


def _json_of(size: int, document: dict, key: str) -> bytes:
    """The document as JSON of exactly ``size`` bytes, padded in ``document[key]``."""
    bare = len(json.dumps({**document, key: ""}))
    return json.dumps({**document, key: _text(size - bare)}).encode()


def _question(answer: str, *, stream: bool = False, model: str = MODEL) -> bytes:
    """About 2 KB. The words in parentheses tell the upstream which answer to give."""
    document = {
        "model": model,
        "messages": [
            {"role": "system", "content": _text(300)},
            {"role": "user", "content": f"(answer: {answer}) {_text(1530)}"},
        ],
        "temperature": 0.2,
        "max_tokens": 300,
    }
    if stream:
        document |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(document).encode()


def _chunk(choices: list[dict], **more: object) -> bytes:
    head = {"id": "chat-1", "object": "chat.completion.chunk", "created": 1_760_000_000}
    document = {**head, "model": MODEL, "choices": choices, **more}
    return b"data: " + json.dumps(document, separators=(",", ":")).encode() + b"\n\n"


def _stream(count: int) -> tuple[bytes, ...]:
    """So many events of about 150 bytes; the last carries the usage and the end."""
    words = _text(6 * count)
    pieces = [words[n * 6 : n * 6 + 6] for n in range(count - 2)]
    texts = [_chunk([{"index": 0, "delta": {"content": piece}}]) for piece in pieces]
    end = _chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    return (*texts, end, _chunk([], usage=USAGE) + b"data: [DONE]\n\n")


def _event(kind: str, **more: object) -> bytes:
    """One of Anthropic's."""
    data = json.dumps({"type": kind, **more}, separators=(",", ":"))
    return f"event: {kind}\ndata: {data}\n\n".encode()


def _claude_stream(count: int) -> tuple[bytes, ...]:
    """The text of ``_stream`` in as many events of Anthropic's; two of them begin it, three end
    it."""
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": TRANSLATED}
    message |= {"content": [], "stop_reason": None, "stop_sequence": None}
    message["usage"] = {"input_tokens": 463, "output_tokens": 1}
    text = _text(6 * (count - 2))
    pieces = [text[n * 7 : n * 7 + 7] for n in range(count - 6)]
    pieces.append(text[7 * (count - 6) :])
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    return (
        _event("message_start", message=message),
        _event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *(
            _event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
            for piece in pieces
        ),
        _event("content_block_stop", index=0),
        _event("message_delta", delta=end, usage={"output_tokens": 175}),
        _event("message_stop"),
    )


USAGE = {"prompt_tokens": 463, "completion_tokens": 175, "total_tokens": 638}
REST_ANSWER = _json_of(600, {"id": 17, "city": "Lisbon", "ok": True}, "note")
REST_ORDER = _json_of(10_240, {"id": 17, "city": "Lisbon", "lines": [1, 2, 3]}, "note")
CHAT_ANSWER = json.dumps(
    {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": MODEL,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": _text(700)},
                "finish_reason": "stop",
            }
        ],
        "usage": USAGE,
    }
).encode()
CLAUDE_ANSWER = json.dumps(
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": TRANSLATED,
        "content": [{"type": "text", "text": _text(700)}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 463, "output_tokens": 175},
    }
).encode()
STREAM = _stream(CHUNKS)


@dataclass(frozen=True)
class Reply:
    """What the upstream sends: whole, or in chunks, each in a write of its own.

    ``pace`` is the time between two chunks in seconds; with 0 the next one is written as soon
    as the one before has gone out.
    """

    pieces: tuple[bytes, ...]
    stream: bool = False
    pace: float = 0.0


REPLIES = {
    "whole": Reply((CHAT_ANSWER,)),
    "stream": Reply(STREAM, stream=True),
    "paced": Reply(STREAM, stream=True, pace=0.02),
    "held": Reply(_stream(8), stream=True, pace=4.0),
}
CLAUDE_REPLIES = {
    "whole": Reply((CLAUDE_ANSWER,)),
    "stream": Reply(_claude_stream(CHUNKS), stream=True),
    "paced": Reply(_claude_stream(CHUNKS), stream=True, pace=0.02),
}
"""The same, as Anthropic says it."""


@dataclass(frozen=True)
class Case:
    """One kind of call. ``answer`` must come back byte for byte."""

    name: str
    method: str
    path: str
    answer: bytes
    body: bytes = b""
    ai: bool = False
    chunks: int = 1
    connections: int | None = None
    """How many it takes, where that is not for the caller to choose."""
    spread: float = 0.0
    """Seconds over which the first calls are started, so that paced answers do not march in
    step."""
    headers: dict[str, str] = field(default_factory=dict)
    varied: bool = False
    """No two calls in a row have the same header fields."""
    translated: bool = False
    """The provider speaks Anthropic's format and the caller OpenAI's, so that the meaning of the
    answer counts."""

    def requests(self, port: int, headers: dict[str, str]) -> list[bytes]:
        """What is sent in turn."""
        if not self.varied:
            return [self.request(port, headers)]
        return [self.request(port, headers | {"X-Trace": f"{n:08d}"}) for n in range(997)]

    def request(self, port: int, headers: dict[str, str] | None = None, *, key: bool = True):
        """The call as it goes over the wire, with the given headers besides its own."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: bench.localhost:{port}"]
        lines += [f"X-API-Key: {API_KEY}"] * key + ["Accept: application/json"]
        lines += [f"{name}: {value}" for name, value in (self.headers | (headers or {})).items()]
        if self.body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(self.body)}"]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


def _chat(name: str, reply: str, **options) -> Case:
    stream = REPLIES[reply].stream
    model = TRANSLATED if options.get("translated") else MODEL
    return Case(
        name,
        "POST",
        "/v1/chat/completions",
        b"".join(REPLIES[reply].pieces),
        _question(reply, stream=stream, model=model),
        ai=True,
        chunks=len(REPLIES[reply].pieces),
        **options,
    )


REST_GET = Case("rest-get-600B", "GET", "/rest/item", REST_ANSWER)
CASES = [
    REST_GET,
    Case("rest-get-600B-varied", "GET", "/rest/item", REST_ANSWER, varied=True),
    Case("rest-post-10KB", "POST", "/rest/item", REST_ANSWER, REST_ORDER),
    _chat("chat-2KB-1KB", "whole"),
    _chat("chat-stream-50", "stream"),
    _chat("chat-stream-50-20ms", "paced", connections=STREAMS, spread=1.0),
    _chat("chat-translated", "whole", translated=True),
    _chat("chat-translated-stream-50", "stream", translated=True),
]
HELD_STREAM = _chat("chat-stream-held", "held", spread=2.0)
"""Open for half a minute; not part of the table."""
STEADY = {f"rest-get-600B-at-{share}%": share / 100 for share in (70, 50)}
"""The cases that measure latency at a steady rate, and which share of a core's work each is."""
