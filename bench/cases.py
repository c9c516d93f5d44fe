"""The calls that are measured and the answers that count as right."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

API_KEY = "hub_bench-key-000000000000000000000000"
MODEL = "bench-chat"


def _text(size: int) -> str:
    words = "the gateway sends every call on and writes down what it cost "
    return (words * (size // len(words) + 1))[:size]


def _json_of(size: int, document: dict, key: str) -> bytes:
    """The document as JSON of exactly ``size`` bytes, padded in ``document[key]``."""
    bare = len(json.dumps({**document, key: ""}))
    return json.dumps({**document, key: _text(size - bare)}).encode()


REST_ANSWER = _json_of(600, {"id": 17, "city": "Lisbon", "ok": True}, "note")
CHAT_QUESTION = json.dumps(
    {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": _text(300)},
            {"role": "user", "content": _text(1550)},
        ],
        "temperature": 0.2,
        "max_tokens": 300,
    }
).encode()
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
        "usage": {"prompt_tokens": 463, "completion_tokens": 175, "total_tokens": 638},
    }
).encode()


@dataclass(frozen=True)
class Case:
    """One kind of call. ``answer`` must come back byte for byte."""

    name: str
    method: str
    path: str
    answer: bytes
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    def request(self, port: int) -> bytes:
        """The call as it goes over the wire."""
        head = [f"{self.method} {self.path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
        head += [f"X-API-Key: {API_KEY}", "Accept: application/json"]
        head += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.body:
            head += ["Content-Type: application/json", f"Content-Length: {len(self.body)}"]
        return "\r\n".join(head).encode() + b"\r\n\r\n" + self.body


CASES = [
    Case("rest-get-600B", "GET", "/rest/item", REST_ANSWER),
    Case("chat-2KB-1KB", "POST", "/v1/chat/completions", CHAT_ANSWER, CHAT_QUESTION),
]
