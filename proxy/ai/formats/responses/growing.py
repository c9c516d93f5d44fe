"""A streamed response: its items, and the parts in them, as they grow.

Source: OpenAI's API reference, "Streaming events".

A text or a call of a tool begins and ends with its own events. A thought begins with its first
word, or with its item's end where it has none. Items that only this format can say come whole, at
their end; what is told of them before goes by as it is.
"""

from __future__ import annotations

from typing import Any

from proxy.ai.errors import AnswerUnreadable
from proxy.ai.formats.fields import Fields, tables, wrong_answer
from proxy.ai.formats.responses import content, items, thoughts
from proxy.ai.formats.responses.names import NAME, own
from proxy.ai.middle import (
    Event,
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

CONTENT_DELTA = "response.reasoning_text.delta"
PADDING = ("sequence_number", "obfuscation")
_GROWING = ("message", "reasoning", "function_call", "custom_tool_call")


class _Open:
    """A part. ``source`` is the kind of events that a thought grows by."""

    __slots__ = ("ended", "grown", "part", "place", "source", "summary")

    def __init__(self, place: int, part: Part) -> None:
        self.place = place
        self.part = part
        self.grown = False
        self.ended = False
        self.source = ""
        self.summary: Any = 0
        """The number of the part of a summary that grows now."""


class Growing:
    """Each method takes an event, and puts what it means into ``out``. Raises AnswerUnreadable."""

    def __init__(self, out: list[Event]) -> None:
        self._out = out
        self._used = 0
        """Numbers of parts given away."""
        self.calls = 0
        self._open: dict[tuple[int, int], _Open] = {}
        """By numbers of item and content; what fills an item has the number -1."""
        self._items: dict[int, dict[str, Any]] = {}
        self._done: set[str] = set()
        """Ids of items that have ended."""

    def item_added(self, event: dict[str, Any]) -> None:
        number, item = _number(event, "output_index"), _item(event)
        self._items[number] = item
        kind = item.get("type")
        if kind in ("function_call", "custom_tool_call"):
            fields = Fields(item, "item", wrong_answer)
            for known in ("type", "status", "arguments", "input"):
                fields.take(known)
            call = items.read_item(item, fields, kind)[0]
            if isinstance(call, ToolCall):
                call.arguments = ""
                self.calls += 1
                self._start((number, -1), call)
        elif kind not in ("message", "reasoning", "image_generation_call"):
            self._out.append(Other(NAME, {k: v for k, v in event.items() if k not in PADDING}))

    def _start(self, key: tuple[int, int], part: Part) -> _Open:
        opened = self._open[key] = _Open(self._used, part)
        self._used += 1
        self._out.append(PartBegin(0, opened.place, part))
        return opened

    def _grow(self, opened: _Open, text: str, logprobs: Any = None) -> None:
        if opened.ended:
            raise AnswerUnreadable
        opened.grown = True
        self._out.append(PartDelta(0, opened.place, text, logprobs))

    def content_added(self, event: dict[str, Any]) -> None:
        part = event.get("part")
        kind = part.get("type") if type(part) is dict else None
        if kind == "output_text":
            self._text(_key(event), Text(""))
        elif kind == "refusal":
            self._text(_key(event), Refusal(""))

    def _text(self, key: tuple[int, int], part: Text | Refusal) -> _Open:
        """The open text, begun here where the provider did not say that it begins."""
        opened = self._open.get(key)
        if opened is not None:
            return opened
        if isinstance(part, Text):
            item = {
                name: value
                for name, value in self._items.get(key[0], {}).items()
                if value is not None and name not in ("type", "role", "content", "status")
            }
            part.extra = own({"item": item} if item else {})
        return self._start(key, part)

    def text_delta(self, event: dict[str, Any]) -> None:
        key = _key(event)
        opened = self._open.get(key) or self._text(key, Text(""))
        self._grow(opened, _delta(event), tables(event.get("logprobs")))

    def refusal_delta(self, event: dict[str, Any]) -> None:
        self._grow(self._text(_key(event), Refusal("")), _delta(event))

    def text_done(self, event: dict[str, Any]) -> None:
        """All of it is told here to those who missed it: some providers send no pieces."""
        text = event.get("text", event.get("refusal"))
        opened = self._text(_key(event), Text("") if "text" in event else Refusal(""))
        if not opened.grown and type(text) is str and text:
            self._grow(opened, text, tables(event.get("logprobs")))

    def content_done(self, event: dict[str, Any]) -> None:
        opened = self._open.get(_key(event))
        if opened is not None:
            self._end(opened)

    def _end(self, opened: _Open) -> None:
        if not opened.ended:
            opened.ended = True
            self._out.append(PartEnd(0, opened.place))

    def annotation(self, event: dict[str, Any]) -> None:
        given = event.get("annotation")
        opened = self._open.get(_key(event))
        if opened is None or type(given) is not dict:
            raise AnswerUnreadable
        cited = content.citation(given, Fields(given, "annotation", wrong_answer))
        self._out.append(PartCited(0, opened.place, cited))

    def thought_delta(self, event: dict[str, Any]) -> None:
        """Of the summary, or of the content; the first that comes is taken for the thought."""
        number, source = _number(event, "output_index"), event["type"]
        summary = event.get("summary_index", 0)
        opened = self._open.get((number, -1))
        if opened is None:
            item_id = self._items.get(number, {}).get("id") or event.get("item_id")
            thought = Thinking(id=item_id if type(item_id) is str else "")
            if source == CONTENT_DELTA:
                thought.extra = own({"content": None})
            opened = self._start((number, -1), thought)
            opened.source, opened.summary = source, summary
        if opened.source != source:
            return
        if summary != opened.summary:
            opened.summary = summary
            self._grow(opened, thoughts.BETWEEN)
        self._grow(opened, _delta(event))

    def call_delta(self, event: dict[str, Any]) -> None:
        opened = self._open.get((_number(event, "output_index"), -1))
        if opened is None or type(opened.part) is not ToolCall:
            raise AnswerUnreadable
        self._grow(opened, _delta(event))

    def item_done(self, event: dict[str, Any]) -> None:
        number, item = _number(event, "output_index"), _item(event)
        fields = Fields(item, "item", wrong_answer)
        kind, item_id = fields.text("type"), item.get("id")
        if type(item_id) is str:
            self._done.add(item_id)
        parts = items.read_item(item, fields, kind)
        opened = self._open.get((number, -1))
        if kind == "message":
            self._message_done(number, parts)
        elif opened is None:
            for part in parts:
                self._whole((number, -1), part)
        elif not opened.ended:
            last = parts[0]
            if isinstance(last, ToolCall) and not opened.grown and last.arguments:
                self._grow(opened, last.arguments)
            if isinstance(last, Thinking) and last.signature:
                self._out.append(PartSigned(0, opened.place, last.signature))
            self._end(opened)

    def _message_done(self, number: int, parts: list[Part]) -> None:
        """Texts that never began or never ended did so here."""
        for place, part in enumerate(parts):
            opened = self._open.get((number, place))
            if opened is None:
                self._whole((number, place), part)
            else:
                self._end(opened)

    def _whole(self, key: tuple[int, int], part: Part) -> None:
        """A part of which nothing came before its end."""
        text = signature = ""
        if isinstance(part, Text | Thinking | Refusal):
            text, part.text = part.text, ""
        elif isinstance(part, ToolCall):
            self.calls += 1
            text, part.arguments = part.arguments, ""
        if isinstance(part, Thinking):
            signature, part.signature = part.signature, ""
        opened = self._start(key, part)
        if text:
            self._grow(opened, text)
        if signature:
            self._out.append(PartSigned(0, opened.place, signature))
        self._end(opened)

    def close(self, output: Any) -> None:
        """The response is complete: ends what is open. ``output`` is all of it, where items may be
        whose own end was not told; none was told where nothing came before."""
        nothing = not self._used
        for number, item in enumerate(output if type(output) is list else []):
            item_id = item.get("id") if type(item) is dict else None
            missed = type(item_id) is str and item_id not in self._done
            if nothing or (missed and item.get("type") not in _GROWING):
                self.item_done({"output_index": number, "item": item})
        for opened in self._open.values():
            self._end(opened)


def _item(event: dict[str, Any]) -> dict[str, Any]:
    item = event.get("item")
    if type(item) is not dict:
        raise AnswerUnreadable
    return item


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
