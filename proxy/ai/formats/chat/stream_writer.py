"""Streamed answers, written for clients.

Source: OpenAI's API reference, "The chat completion chunk object": the first chunk of a choice
has the role; the last one before ``[DONE]`` has the usage and no choices, if the client asked for
it, and then every other says ``"usage": null``.
"""

from __future__ import annotations

import secrets
import time
from typing import Any

from proxy.ai.formats import openai_faults as faults
from proxy.ai.formats.chat import answer, finish, messages, thoughts, tools, usage
from proxy.ai.formats.chat.names import NAME
from proxy.ai.formats.fields import encode
from proxy.ai.middle import (
    Begin,
    ChoiceEnd,
    Counted,
    Event,
    Failed,
    Media,
    Other,
    Part,
    PartBegin,
    PartCited,
    PartDelta,
    PartEnd,
    PartSigned,
    Refusal,
    Request,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from proxy.ai.middle.events import merged

_DONE = b"data: [DONE]\n\n"


class _Part:
    """What is remembered of an open part. ``place`` counts calls of tools, or thoughts."""

    __slots__ = ("before", "empty", "part", "place")

    def __init__(self, part: Part, place: int, before: int) -> None:
        self.part = part
        self.place = place
        self.before = before
        """Characters of the content before this part."""
        self.empty = True


class Writer:
    def __init__(self, request: Request) -> None:
        self._request = request
        self._former = tools.old(request)
        self._usage: Usage | None = None
        self._tail = b',"usage":null}\n\n' if request.include_usage else b"}\n\n"
        self._parts: dict[tuple[int, int], _Part] = {}
        self._counts: dict[tuple[int, type], int] = {}
        """By choice and kind: calls, thoughts, and characters of text so far."""
        self._spoken: set[int] = set()
        self._failed = False
        self._head = b""
        self._begin(Begin())

    def write(self, events: list[Event]) -> bytes:
        return b"".join([self._event(event) for event in events])

    def end(self) -> bytes:
        if self._failed:
            return b""
        if self._usage is None or not self._request.include_usage:
            return _DONE
        counted = encode(usage.write(self._usage))
        return b'%b[],"usage":%b}\n\n%b' % (self._head, counted, _DONE)

    def _event(self, event: Event) -> bytes:
        if isinstance(event, PartDelta):
            return self._grown(event)
        if isinstance(event, PartBegin):
            return self._part_begun(event)
        if isinstance(event, PartEnd):
            return self._part_ended(event)
        if isinstance(event, ChoiceEnd):
            return self._choice_ended(event)
        if isinstance(event, Counted):
            self._usage = merged(self._usage, event.usage)
        elif isinstance(event, PartSigned):
            return self._signed(event)
        elif isinstance(event, PartCited):
            return self._cited(event)
        elif isinstance(event, Begin):
            self._begin(event)
            return self._role(0)
        elif isinstance(event, Failed):
            self._failed = True
            return faults.write_stream_fault(event.fault)
        elif isinstance(event, Other) and event.format == NAME:
            return self._other(event.value)
        return b""

    def _begin(self, event: Begin) -> None:
        head = {
            "id": event.id or f"chatcmpl-{secrets.token_hex(12)}",
            "object": "chat.completion.chunk",
            "created": event.created or int(time.time()),
            "model": event.model or self._request.model,
        }
        self._head = b"data: " + encode(head)[:-1] + b',"choices":'

    def _delta(self, choice: int, delta: bytes, more: bytes = b"") -> bytes:
        """A chunk; ``delta`` and ``more`` are JSON, the latter of fields after the delta."""
        if choice not in self._spoken:
            return self._role(choice) + self._delta(choice, delta, more)
        return b'%b[{"index":%d,"delta":%b,"finish_reason":null%b}]%b' % (
            self._head,
            choice,
            delta,
            more,
            self._tail,
        )

    def _role(self, choice: int) -> bytes:
        if choice in self._spoken:
            return b""
        self._spoken.add(choice)
        return self._delta(choice, b'{"role":"assistant","content":""}')

    def _grown(self, event: PartDelta) -> bytes:
        open_ = self._parts[event.choice, event.part]
        open_.empty = open_.empty and not event.text
        kind = type(open_.part)
        text = encode(event.text)
        if kind is Text:
            self._counts[event.choice, Text] = self._counts.get((event.choice, Text), 0) + len(
                event.text
            )
            more = b""
            if event.logprobs:
                more = b',"logprobs":{"content":%b,"refusal":null}' % encode(event.logprobs)
            return self._delta(event.choice, b'{"content":%b}' % text, more)
        if kind is ToolCall:
            return self._arguments(event.choice, open_, text)
        if kind is Thinking:
            return self._delta(event.choice, _thought(text, open_.place))
        if kind is Refusal:
            return self._delta(event.choice, b'{"refusal":%b}' % text)
        return b""

    def _arguments(self, choice: int, open_: _Part, text: bytes) -> bytes:
        if self._former:
            return self._delta(choice, b'{"function_call":{"arguments":%b}}' % text)
        if isinstance(open_.part, ToolCall) and open_.part.custom:
            shape = b'{"tool_calls":[{"index":%d,"custom":{"input":%b}}]}'
        else:
            shape = b'{"tool_calls":[{"index":%d,"function":{"arguments":%b}}]}'
        return self._delta(choice, shape % (open_.place, text))

    def _part_begun(self, event: PartBegin) -> bytes:
        part = event.value
        kind = type(part)
        counted = (event.choice, kind)
        place = self._counts.get(counted, 0)
        open_ = _Part(part, place, place if kind is Text else 0)
        self._parts[event.choice, event.part] = open_
        written = b""
        if isinstance(part, ToolCall):
            self._counts[counted] = place + 1
            written = self._call_begun(event.choice, part, place)
        elif isinstance(part, Thinking):
            self._counts[counted] = place + 1
            if part.sealed:
                detail = thoughts.detail(part, place)
                written = self._delta(event.choice, encode({"reasoning_details": [detail]}))
        elif isinstance(part, Media):
            written = self._media(event.choice, part)
        elif isinstance(part, Text):
            for citation in part.citations:
                written += self._annotation(event.choice, citation, open_.before)
        text = getattr(part, "arguments" if kind is ToolCall else "text", "")
        if text and not isinstance(part, Media):
            written += self._grown(PartDelta(event.choice, event.part, text))
        return written

    def _call_begun(self, choice: int, call: ToolCall, place: int) -> bytes:
        if self._former:
            named = {"function_call": {"name": call.name, "arguments": ""}}
            return self._delta(choice, encode(named))
        kind, text = ("custom", "input") if call.custom else ("function", "arguments")
        entry = {"index": place, "id": call.id, "type": kind, kind: {"name": call.name, text: ""}}
        return self._delta(choice, encode({"tool_calls": [entry]}))

    def _media(self, choice: int, media: Media) -> bytes:
        if media.kind == "audio":
            sound = {"data": media.data, "transcript": media.transcript}
            return self._delta(choice, encode({"audio": {k: v for k, v in sound.items() if v}}))
        if media.kind == "image":
            return self._delta(choice, encode({"images": [answer.image(media)]}))
        return b""

    def _part_ended(self, event: PartEnd) -> bytes:
        open_ = self._parts.pop((event.choice, event.part), None)
        if open_ is None or not open_.empty or not isinstance(open_.part, ToolCall):
            return b""
        return b"" if open_.part.custom else self._arguments(event.choice, open_, b'"{}"')

    def _choice_ended(self, event: ChoiceEnd) -> bytes:
        reason = finish.write(event.finish, self._former).encode()
        stop = b""
        if event.stop_sequence is not None:
            stop = b',"stop_reason":' + encode(event.stop_sequence)
        return b'%b%b[{"index":%d,"delta":{},"finish_reason":"%b"%b}]%b' % (
            self._role(event.choice),
            self._head,
            event.choice,
            reason,
            stop,
            self._tail,
        )

    def _signed(self, event: PartSigned) -> bytes:
        open_ = self._parts[event.choice, event.part]
        delta: dict[str, Any]
        if isinstance(open_.part, ToolCall):
            google = {"google": {"thought_signature": event.signature}}
            delta = {"tool_calls": [{"index": open_.place, "extra_content": google}]}
        else:
            signed = thoughts.detail(Thinking("", event.signature), open_.place)
            delta = {"reasoning_details": [signed]}
        return self._delta(event.choice, encode(delta))

    def _cited(self, event: PartCited) -> bytes:
        open_ = self._parts.get((event.choice, event.part))
        before = open_.before if open_ else 0
        return self._annotation(event.choice, event.citation, before)

    def _annotation(self, choice: int, citation: Any, before: int) -> bytes:
        entry = messages.annotation(citation)
        if citation.start is not None:
            entry["url_citation"]["start_index"] += before
            entry["url_citation"]["end_index"] += before
        return self._delta(choice, encode({"annotations": [entry]}))

    def _other(self, value: dict[str, Any]) -> bytes:
        """A chunk's further fields, or a choice's."""
        choices = [
            {"delta": {}, "finish_reason": None} | choice for choice in value.get("choices", [])
        ]
        more = {name: given for name, given in value.items() if name != "choices"}
        fields = encode(more)[1:-1]
        written = self._head + encode(choices)
        return written + (b"," + fields if fields else b"") + self._tail


def _thought(text: bytes, place: int) -> bytes:
    """``text`` is JSON. Both ways in which clients look for it."""
    return (
        b'{"reasoning_content":%b,"reasoning_details":'
        b'[{"type":"reasoning.text","text":%b,"index":%d}]}' % (text, text, place)
    )
