"""Streamed responses, read.

Source: OpenAI's API reference, "Streaming events".

A text or a call of a tool begins and ends with its own events. A thought begins with its first
word, or with its item's end where it has none. Items that only this format can say come whole, at
their end; what is told of them before goes by as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from proxy.ai.errors import AnswerUnreadable
from proxy.ai.formats import sse
from proxy.ai.formats.fields import Fields, wrong_answer
from proxy.ai.formats.responses import answer, content, faults, items, thoughts, usage
from proxy.ai.formats.responses.names import NAME, own
from proxy.ai.middle import (
    Begin,
    ChoiceEnd,
    Counted,
    Event,
    Failed,
    Fault,
    Other,
    Part,
    PartBegin,
    PartCited,
    PartDelta,
    PartEnd,
    PartSigned,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)

_decode = msgspec.json.Decoder().decode
_CONTENT_DELTA = "response.reasoning_text.delta"
_GROWING = ("message", "reasoning", "function_call", "custom_tool_call")
_PADDING = ("sequence_number", "obfuscation")


class _Open:
    """A part that grows. ``source`` is the kind of events that a thought grows by."""

    __slots__ = ("ended", "grown", "part", "place", "source", "summary")

    def __init__(self, place: int, part: Part) -> None:
        self.place = place
        self.part = part
        self.grown = False
        self.ended = False
        self.source = ""
        self.summary = 0
        """The number of the part of a summary that grows now."""


class Reader:
    def __init__(self) -> None:
        self._events = sse.Events()
        self._begun = False
        self._over = False
        self._used = 0
        self._calls = 0
        self._open: dict[tuple[int, int], _Open] = {}
        """By numbers of item and content; an item that has no content counts as -1."""
        self._items: dict[int, dict[str, Any]] = {}
        self._done: set[Any] = set()
        """Ids of items that have ended."""

    def feed(self, data: bytes) -> list[Event]:
        try:
            found = self._events.feed(data)
        except sse.TooLong:
            return self._fail("An event of the provider's answer is too long.")
        return self._read(found)

    def end(self) -> list[Event]:
        return self._read(self._events.end())

    def _read(self, found: list[tuple[bytes, bytes]]) -> list[Event]:
        events: list[Event] = []
        for _, data in found:
            if self._over or data == b"[DONE]":
                break
            try:
                self._event(_decode(data), events)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, AnswerUnreadable):
                return events + self._fail("The provider's answer cannot be read.")
        return events

    def _fail(self, sentence: str) -> list[Event]:
        if self._over:
            return []
        self._over = True
        return [Failed(Fault(status=502, message=sentence, code="provider_answer_unreadable"))]

    def _event(self, event: Any, events: list[Event]) -> None:
        if type(event) is not dict:
            raise AnswerUnreadable
        kind = event.get("type")
        handle = _HANDLERS.get(kind) if type(kind) is str else None
        if handle is not None:
            handle(self, event, events)
        elif kind in ("error", None):
            self._over = True
            events.append(Failed(faults.of_event(event)))
        elif kind not in _REPEATED:
            self._begin({}, events)
            events.append(Other(NAME, {k: v for k, v in event.items() if k not in _PADDING}))

    def _begin(self, response: Any, events: list[Event]) -> None:
        if self._begun:
            return
        self._begun = True
        fields = Fields(response, "response", wrong_answer)
        events.append(Begin(fields.text("id"), fields.text("model"), answer.created(fields)))
        more = {k: v for k, v in fields.rest().items() if k not in _BEGUN}
        if more:
            events.append(Other(NAME, {"response": more}))

    def _created(self, event: dict[str, Any], events: list[Event]) -> None:
        self._begin(event.get("response"), events)

    def _item_added(self, event: dict[str, Any], events: list[Event]) -> None:
        self._begin({}, events)
        item = event.get("item")
        if type(item) is not dict:
            raise AnswerUnreadable
        number = _number(event, "output_index")
        self._items[number] = item
        kind = item.get("type")
        if kind in ("function_call", "custom_tool_call"):
            fields = Fields(item, "item", wrong_answer)
            fields.take("type")
            fields.take("status")
            call = items.read_item(item, fields, kind)[0]
            if isinstance(call, ToolCall):
                call.arguments = ""
                self._calls += 1
                self._start((number, -1), call, events)
        elif kind not in ("message", "reasoning", "image_generation_call"):
            events.append(Other(NAME, {k: v for k, v in event.items() if k not in _PADDING}))

    def _start(self, key: tuple[int, int], part: Part, events: list[Event]) -> _Open:
        opened = self._open[key] = _Open(self._used, part)
        self._used += 1
        events.append(PartBegin(0, opened.place, part))
        return opened

    def _content_added(self, event: dict[str, Any], events: list[Event]) -> None:
        part = event.get("part")
        kind = part.get("type") if type(part) is dict else None
        if kind in ("output_text", "refusal"):
            begun = Text("") if kind == "output_text" else Refusal("")
            self._text(_key(event), begun, events)

    def _text(self, key: tuple[int, int], part: Text | Refusal, events: list[Event]) -> _Open:
        """The open text, begun here where the provider did not say that it begins."""
        opened = self._open.get(key)
        if opened is None:
            self._begin({}, events)
            if isinstance(part, Text):
                item = {
                    k: v
                    for k, v in self._items.get(key[0], {}).items()
                    if v is not None and k not in ("type", "role", "content", "status")
                }
                part.extra = own({"item": item} if item else {})
            opened = self._start(key, part, events)
        return opened

    def _text_delta(self, event: dict[str, Any], events: list[Event]) -> None:
        key = (event.get("output_index"), event.get("content_index"))
        opened = self._open.get(key)  # type: ignore[arg-type]
        if opened is None:
            opened = self._text(_key(event), Text(""), events)
        elif opened.ended:
            raise AnswerUnreadable
        logprobs = event.get("logprobs")
        opened.grown = True
        events.append(PartDelta(0, opened.place, _delta(event), logprobs or None))

    def _refusal_delta(self, event: dict[str, Any], events: list[Event]) -> None:
        opened = self._text(_key(event), Refusal(""), events)
        opened.grown = True
        events.append(PartDelta(0, opened.place, _delta(event)))

    def _text_done(self, event: dict[str, Any], events: list[Event]) -> None:
        """All of it is told here to those who missed it: some providers send no pieces."""
        text = event.get("text", event.get("refusal"))
        part = Text("") if "text" in event else Refusal("")
        opened = self._text(_key(event), part, events)
        if not opened.grown and type(text) is str and text:
            opened.grown = True
            events.append(PartDelta(0, opened.place, text, event.get("logprobs") or None))

    def _content_done(self, event: dict[str, Any], events: list[Event]) -> None:
        opened = self._open.get(_key(event))
        if opened is not None and not opened.ended:
            self._end(opened, events)

    def _end(self, opened: _Open, events: list[Event]) -> None:
        opened.ended = True
        events.append(PartEnd(0, opened.place))

    def _annotation(self, event: dict[str, Any], events: list[Event]) -> None:
        given = event.get("annotation")
        opened = self._open.get(_key(event))
        if opened is None or type(given) is not dict:
            raise AnswerUnreadable
        cited = content.citation(given, Fields(given, "annotation", wrong_answer))
        events.append(PartCited(0, opened.place, cited))

    def _thought_delta(self, event: dict[str, Any], events: list[Event]) -> None:
        """Of the summary, or of the content; the first that comes is taken for the thought."""
        number, source = _number(event, "output_index"), event["type"]
        opened = self._open.get((number, -1))
        if opened is None:
            self._begin({}, events)
            item_id = self._items.get(number, {}).get("id") or event.get("item_id")
            thought = Thinking(id=item_id if type(item_id) is str else "")
            if source == _CONTENT_DELTA:
                thought.extra = own({"content": None})
            opened = self._start((number, -1), thought, events)
            opened.source = source
            opened.summary = event.get("summary_index", 0)
        if opened.source != source:
            return
        if event.get("summary_index", 0) != opened.summary:
            opened.summary = event.get("summary_index", 0)
            events.append(PartDelta(0, opened.place, thoughts.BETWEEN))
        opened.grown = True
        events.append(PartDelta(0, opened.place, _delta(event)))

    def _call_delta(self, event: dict[str, Any], events: list[Event]) -> None:
        opened = self._open.get((_number(event, "output_index"), -1))
        if opened is None:
            raise AnswerUnreadable
        opened.grown = True
        events.append(PartDelta(0, opened.place, _delta(event)))

    def _item_done(self, event: dict[str, Any], events: list[Event]) -> None:
        number = _number(event, "output_index")
        item = event.get("item")
        if type(item) is not dict:
            raise AnswerUnreadable
        self._begin({}, events)
        fields = Fields(item, "item", wrong_answer)
        kind, item_id = fields.text("type"), item.get("id")
        self._done.add(item_id if type(item_id) is str else number)
        parts = items.read_item(item, fields, kind)
        opened = self._open.get((number, -1))
        if kind == "message":
            self._message_done(number, parts, events)
        elif opened is None:
            for part in parts:
                self._whole((number, -1), part, events)
        elif not opened.ended:
            if isinstance(parts[0], ToolCall) and not opened.grown and parts[0].arguments:
                events.append(PartDelta(0, opened.place, parts[0].arguments))
            if isinstance(parts[0], Thinking) and parts[0].signature:
                events.append(PartSigned(0, opened.place, parts[0].signature))
            self._end(opened, events)

    def _message_done(self, number: int, parts: list[Part], events: list[Event]) -> None:
        """Texts that never began or never ended did so here."""
        for place, part in enumerate(parts):
            opened = self._open.get((number, place))
            if opened is None:
                self._whole((number, place), part, events)
            elif not opened.ended:
                self._end(opened, events)

    def _whole(self, key: tuple[int, int], part: Part, events: list[Event]) -> None:
        """A part of which nothing came before its end."""
        text = ""
        signature = ""
        if isinstance(part, Text | Thinking | Refusal):
            text, part.text = part.text, ""
        elif isinstance(part, ToolCall):
            self._calls += 1
            text, part.arguments = part.arguments, ""
        if isinstance(part, Thinking):
            signature, part.signature = part.signature, ""
        opened = self._start(key, part, events)
        if text:
            events.append(PartDelta(0, opened.place, text))
        if signature:
            events.append(PartSigned(0, opened.place, signature))
        self._end(opened, events)

    def _finished(self, event: dict[str, Any], events: list[Event]) -> None:
        self._over = True
        response = event.get("response")
        self._begin(response, events)
        if type(response) is not dict:
            raise AnswerUnreadable
        counted = usage.read(response.get("usage"), response.get("tool_usage"))
        if counted is not None:
            events.append(Counted(counted))
        kind = event["type"]
        if kind == "response.failed":
            events.append(Failed(faults.of_response(response)))
            return
        self._missed(response.get("output"), events)
        for opened in self._open.values():
            if not opened.ended:
                self._end(opened, events)
        details = response.get("incomplete_details")
        reason = details.get("reason") if type(details) is dict else ""
        status = "incomplete" if kind == "response.incomplete" else "completed"
        end = answer.finish(status, str(reason), [])
        if end == "stop" and self._calls:
            end = "tool_calls"
        events.append(ChoiceEnd(0, end or "stop"))

    def _missed(self, output: Any, events: list[Event]) -> None:
        """Items whose own end was not told; all of them, where nothing was told before."""
        if type(output) is not list:
            return
        nothing = not self._used
        for number, item in enumerate(output):
            if type(item) is not dict:
                raise AnswerUnreadable
            item_id = item.get("id")
            grows = item.get("type") in _GROWING
            missed = type(item_id) is str and item_id not in self._done
            if nothing or (missed and not grows):
                self._item_done({"output_index": number, "item": item}, events)


def _key(event: dict[str, Any]) -> tuple[int, int]:
    return _number(event, "output_index"), _number(event, "content_index")


def _number(event: dict[str, Any], name: str) -> int:
    value = event.get(name, 0)
    if type(value) is not int or not 0 <= value < 1 << 16:
        raise AnswerUnreadable
    return value


def _delta(event: dict[str, Any]) -> str:
    value = event.get("delta")
    if type(value) is not str:
        raise AnswerUnreadable
    return value


_BEGUN = frozenset(
    ["object", "output", "status", "error", "incomplete_details", "usage", "completed_at"]
)
"""Fields of a response that has begun which say nothing yet."""

_HANDLERS: dict[str, Callable[[Reader, dict[str, Any], list[Event]], None]] = {
    "response.output_text.delta": Reader._text_delta,
    "response.function_call_arguments.delta": Reader._call_delta,
    "response.custom_tool_call_input.delta": Reader._call_delta,
    "response.reasoning_summary_text.delta": Reader._thought_delta,
    _CONTENT_DELTA: Reader._thought_delta,
    "response.refusal.delta": Reader._refusal_delta,
    "response.created": Reader._created,
    "response.queued": Reader._created,
    "response.in_progress": Reader._created,
    "response.output_item.added": Reader._item_added,
    "response.output_item.done": Reader._item_done,
    "response.content_part.added": Reader._content_added,
    "response.content_part.done": Reader._content_done,
    "response.output_text.done": Reader._text_done,
    "response.refusal.done": Reader._text_done,
    "response.output_text.annotation.added": Reader._annotation,
    "response.completed": Reader._finished,
    "response.incomplete": Reader._finished,
    "response.failed": Reader._finished,
}
_REPEATED = frozenset(
    [
        "response.function_call_arguments.done",
        "response.custom_tool_call_input.done",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_part.done",
        "response.reasoning_summary_text.done",
        "response.reasoning_text.done",
    ]
)
"""They say nothing that other events do not say."""
