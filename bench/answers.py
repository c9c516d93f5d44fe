"""Puts the answers on a connection together and judges each: only right ones may be counted."""

from __future__ import annotations

import json

import httptools


class Answers:
    """Feed it what one connection receives; it says when an answer is complete.

    The first answer is parsed as HTTP. Later ones that came in one piece are compared with
    what is expected without that, which is as strict and leaves the core to the gateway.
    """

    def __init__(self, expected: bytes, *, rewritten: bool = False) -> None:
        self.expected = expected
        self.rewritten = rewritten
        """Whether the gateway writes the JSON anew, so that its meaning counts."""
        self.reads = 0
        self._trusted = False
        self._body: list[bytes] | None = None
        self._complete = False

    def feed(self, data: bytes) -> bool | None:
        """True or False for a right or wrong answer, None while it is incomplete."""
        self.reads += 1
        if self._body is None:
            if self._trusted and self.is_plain(data):
                return True
            self._body, self._complete = [], False
            self._parser = httptools.HttpResponseParser(self)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._body.append(str(error).encode())
            return False
        if not self._complete:
            return None
        body, self._body = b"".join(self._body), None
        self.last = body
        self._trusted = self._parser.get_status_code() == 200 and self._same(body)
        return self._trusted

    def is_plain(self, data: bytes) -> bool:
        """Whether this is a whole answer of known length, with the right body."""
        return (
            data.startswith(b"HTTP/1.1 200 ")
            and data.endswith(self.expected)
            and data.find(b"\r\n\r\n") + 4 + len(self.expected) == len(data)
        )

    def _same(self, body: bytes) -> bool:
        if body == self.expected:
            return True
        return self.rewritten and meaning(body) == meaning(self.expected)

    def on_body(self, data: bytes) -> None:
        assert self._body is not None
        self._body.append(data)

    def on_message_complete(self) -> None:
        self._complete = True


def meaning(body: bytes) -> tuple[str, bool, int] | None:
    """Text, whether it is complete, and tokens of a chat answer or stream; None for others."""
    try:
        if not body.startswith(b"data:"):
            document = json.loads(body)
            choice = document["choices"][0]
            ended = choice["finish_reason"] == "stop"
            return choice["message"]["content"], ended, document["usage"]["total_tokens"]
        lines = [line[5:].strip() for line in body.split(b"\n") if line.startswith(b"data:")]
        events = [json.loads(line) for line in lines if line != b"[DONE]"]
        choices = [event["choices"][0] for event in events if event["choices"]]
        text = "".join(choice["delta"].get("content") or "" for choice in choices)
        tokens = [event["usage"]["total_tokens"] for event in events if event.get("usage")]
        return text, lines[-1] == b"[DONE]", tokens[-1]
    except (ValueError, LookupError, TypeError):
        return None
