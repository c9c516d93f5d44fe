"""Recorded exchanges, changed so that they are no longer what their format says they are.

The same seed makes the same changes: fields of wrong types, taken out, put elsewhere, numbers that
cannot be; bodies cut off or of other bytes; events of a stream out of order, in other line ends.
"""

from __future__ import annotations

import copy
import gzip
import json
import random
import re
from typing import Any

from proxy.ai.formats.converse.frames import Frames, frame

VALUES: list[Any] = [
    None, True, False, -5, 0, 10**30, 2**63, 1e308, 3.7, "", "\x00", "\ud7ff", "é", "not json {",
    '{"a":', [], {}, [[]], [None], [1], ["x"], [{}], {"type": "nonsense"}, {"": ""}, {"text": None},
    {"text": 5}, [{"type": "text"}], [{"text": []}], "data:image/png;base64,??", "data:x", "http://",
    "image/png\r\nx: y", "a" * 300,
]  # fmt: skip
WORDS = [
    "system", "tool", "developer", "assistant", "user", "thinking", "redacted_thinking", "tool_use",
    "tool_result", "image", "input_image", "image_url", "input_audio", "file", "document", "text",
    "refusal", "reasoning", "function_call", "function_call_output", "custom_tool_call", "required",
    "web_search_call", "server_tool_use", "item_reference", "json_schema", "STOP", "stop", "error",
]  # fmt: skip
NAMES = [
    "type", "role", "content", "text", "id", "name", "arguments", "input", "index", "usage",
    "parts", "tool_calls", "delta", "finish_reason", "message", "choices", "citations",
    "annotations", "data", "reasoning", "thinking", "signature", "url", "source", "logprobs",
    "error", "status", "function", "inlineData", "fileData", "thinkingConfig",
    "functionCallingConfig", "output", "metadata",
]  # fmt: skip
_PAGE = b"<html><body>502 Bad Gateway</body></html>"
_NO_TEXT = (b"\xff", b"\xed\xa0\x80", b"\\ud800", b"\x00", b"\xef\xbb\xbf")


class Changes:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def of_json(self, body: bytes) -> bytes:
        """One or a few values changed; sometimes the bytes themselves."""
        if self._random.random() < 0.15:
            return self.of_bytes(body)
        try:
            return self._written(self._changed(json.loads(body)))
        except ValueError:
            return self.of_bytes(body)

    def of_bytes(self, body: bytes) -> bytes:
        chance = self._random.random()
        at = self._random.randrange(len(body) + 1)
        if chance < 0.3:
            return body[:at]
        if chance < 0.5:
            return body[:at] + bytes([self._random.randrange(256)]) + body[at + 1 :]
        if chance < 0.65:
            return body[:at] + self._random.choice(_NO_TEXT) + body[at:]
        if chance < 0.75:
            return re.sub(rb":\s*\d+", b":1e999", body, count=1)
        return self._random.choice(
            [
                b"",
                _PAGE,
                b"[" * 3000,
                gzip.compress(body),
                body + body,
                body.replace(b'":', b'":NaN', 1),
            ]
        )

    def of_events(self, stream: bytes) -> bytes:
        """Of a stream of server-sent events."""
        if self._random.random() < 0.1:
            return self.of_bytes(stream)
        blocks = re.split(rb"\r?\n\r?\n", stream)
        for _ in range(self._random.choice([1, 1, 2, 4])):
            at, chance = self._random.randrange(len(blocks)), self._random.random()
            data = re.search(rb"data:\s*(.*)", blocks[at], re.DOTALL)
            if chance < 0.7 and data is not None:
                blocks[at] = blocks[at][: data.start(1)] + self.of_json(data[1])
            elif chance < 0.8:
                blocks[at] = b""
            elif chance < 0.85:
                blocks.insert(at, blocks[at])
            elif chance < 0.9:
                blocks.insert(at, b": a comment\nretry: 5\nid: 7")
            elif chance < 0.95:
                blocks[at] = blocks[at].replace(b',"', b',\ndata: "', 1)
            else:
                other = self._random.randrange(len(blocks))
                blocks[at], blocks[other] = blocks[other], blocks[at]
        return self._framed(b"\n\n".join(blocks))

    def _framed(self, stream: bytes) -> bytes:
        chance = self._random.random()
        if chance < 0.2:
            return stream.replace(b"\n", b"\r" if chance < 0.1 else b"\r\n")
        if chance < 0.4:
            return stream.rstrip(b"\n")
        if chance < 0.5:
            return b"\xef\xbb\xbf" + stream
        return stream[: self._random.randrange(len(stream) + 1)] if chance < 0.6 else stream

    def of_frames(self, stream: bytes) -> bytes:
        """Of AWS's event stream."""
        frames = Frames().feed(stream)
        if self._random.random() < 0.2 or not frames:
            return self.of_bytes(stream)
        at = self._random.randrange(len(frames))
        headers, payload = frames[at]
        if self._random.random() < 0.2:
            name = self._random.choice([":event-type", ":message-type", ":exception-type"])
            headers = headers | {name: self._random.choice(["", "exception", "messageStop", "x"])}
        frames[at] = headers, self.of_json(payload)
        written = b"".join(frame(headers, payload) for headers, payload in frames)
        return written[: self._random.randrange(len(written))] if at % 7 == 0 else written

    def pieces(self, stream: bytes) -> list[bytes]:
        cuts = sorted(self._random.randrange(len(stream) + 1) for _ in range(3))
        return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    def _changed(self, value: Any) -> Any:
        value = copy.deepcopy(value)
        for _ in range(self._random.choice([1, 1, 1, 2, 4])):
            places = list(_places(value, 0))
            if not places:
                return self._nonsense([])
            holder, key = self._random.choice(places)
            chance = self._random.random()
            if chance < 0.65:
                holder[key] = self._nonsense(places)
            elif chance < 0.8:
                del holder[key]
            elif isinstance(holder, list):
                holder.insert(key, self._nonsense(places))
            else:
                holder[self._random.choice(NAMES)] = self._nonsense(places)
        return value

    def _nonsense(self, places: list[tuple[Any, Any]]) -> Any:
        chance = self._random.random()
        if chance < 0.6 or not places:
            return copy.deepcopy(self._random.choice(VALUES))
        if chance < 0.75:
            return self._random.choice(WORDS)
        holder, key = self._random.choice(places)
        return copy.deepcopy(holder[key])

    def _written(self, value: Any) -> bytes:
        plain = self._random.random() < 0.3
        return json.dumps(value, ensure_ascii=not plain).encode("utf-8", "surrogatepass")


def _places(value: Any, depth: int) -> Any:
    """Whatever can be changed: what holds it, and its key there."""
    if depth > 14 or not isinstance(value, dict | list):
        return
    for key in list(value) if isinstance(value, dict) else range(min(len(value), 30)):
        yield value, key
        yield from _places(value[key], depth + 1)
