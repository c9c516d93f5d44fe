"""A streamed answer, read from Anthropic.

A block of the model's grows in deltas, and its part grows with them. What only this format can say
(a search of the provider's, its result) is held until it is whole. Almost all events are deltas of
a known form: those are decoded with types, all others, and deltas with unknown fields, without.

Source: Anthropic's API reference, streaming messages.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from proxy.ai.errors import AnswerUnreadable, InvalidJson
from proxy.ai.formats.fields import Fields, decode, wrong_answer
from proxy.ai.formats.messages import blocks
from proxy.ai.formats.messages import usage as counts
from proxy.ai.formats.messages.answer import finish
from proxy.ai.formats.messages.faults import fault_in
from proxy.ai.formats.messages.names import ELSEWHERE, JSON_TOOL, NAME, USUAL
from proxy.ai.formats.sse import Events, TooLong
from proxy.ai.middle import (
    Begin,
    ChoiceEnd,
    Counted,
    Event,
    Failed,
    Fault,
    Foreign,
    Other,
    Part,
    PartBegin,
    PartCited,
    PartDelta,
    PartEnd,
    PartSigned,
    Text,
    Thinking,
    ToolCall,
)


class _Grown(Struct, forbid_unknown_fields=True):
    type: str
    text: str = ""
    thinking: str = ""
    partial_json: str = ""
    signature: str = ""


class _Delta(Struct, forbid_unknown_fields=True):
    index: int
    delta: _Grown
    type: str = ""


_decode_delta = msgspec.json.Decoder(_Delta).decode

_TEXTS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
_HELD = "held"
_UNREADABLE = Fault(
    status=AnswerUnreadable.status,
    message=AnswerUnreadable.sentence,
    kind="api_error",
    code=AnswerUnreadable.code,
)


class Reader:
    __slots__ = (
        "_begun",
        "_bound",
        "_ended",
        "_events",
        "_failed",
        "_given",
        "_grows",
        "_held",
        "_said",
    )

    def __init__(self) -> None:
        self._events = Events()
        self._grows: dict[int, str] = {}
        """By the index of a block that is open: the type of its deltas."""
        self._held: dict[int, tuple[dict[str, Any], list[str]]] = {}
        self._given: dict[int, str] = {}
        """Arguments that came whole with the begin of a call, as some servers do."""
        self._said: counts.Said | None = None
        self._begun = self._ended = self._failed = False
        self._bound = False

    def feed(self, data: bytes) -> list[Event]:
        found: list[Event] = []
        if self._failed:
            return found
        try:
            for name, own in self._events.feed(data):
                self._take(name, own, found)
                if self._failed:
                    break
        except (TooLong, AnswerUnreadable, InvalidJson, RecursionError):
            self._fail(_UNREADABLE, found)
        return found

    def end(self) -> list[Event]:
        found: list[Event] = []
        if self._failed:
            return found
        try:
            for name, own in self._events.end():
                self._take(name, own, found)
        except (AnswerUnreadable, InvalidJson, RecursionError):
            pass  # The stream broke off in the middle of this event.
        return found

    def _fail(self, fault: Fault, found: list[Event]) -> None:
        self._failed = True
        found.append(Failed(fault))

    def _take(self, name: bytes, data: bytes, found: list[Event]) -> None:
        if name == b"content_block_delta":
            try:
                event = _decode_delta(data)
            except (ValueError, RecursionError):
                pass  # It says more than this, or nothing at all: it is looked at again below.
            else:
                delta = event.delta
                if self._grows.get(event.index) == delta.type and not self._given:
                    text = delta.text or delta.partial_json or delta.thinking
                    if text:
                        found.append(PartDelta(0, event.index, text))
                    return
        if data == b"[DONE]":
            return
        value = decode(data)
        fields = Fields(value, "", wrong_answer)
        kind = blocks.needed(fields, "type")
        take = _TAKERS.get(kind)
        if take is not None:
            take(self, fields, found)
        elif self._begun:
            found.append(Other(NAME, value))

    def _start(self, fields: Fields, found: list[Event]) -> None:
        if not self._begun:
            message = _inner(fields, "message")
            self._begun = True
            found.append(Begin(message.text("id"), message.text("model")))
            for name in ("type", "role", "content"):
                message.take(name)
            left = self._count(message, found) | message.rest()
            if left:
                found.append(Other(NAME, {"type": "message_start", "message": left}))

    def _count(self, fields: Fields, found: list[Event]) -> dict[str, Any]:
        """Tells the usage so far, and returns what the middle form has no place for."""
        usage = fields.table("usage")
        said = counts.said_in(usage)
        if said is not None:
            self._said = counts.later(self._said, said)
            found.append(Counted(counts.total(self._said)))
        left = counts.rest(usage) if usage else {}
        return {"usage": left} if left else {}

    def _begin_block(self, fields: Fields, found: list[Event]) -> None:
        self._start(Fields({}, "", wrong_answer), found)
        index, value = fields.whole("index"), fields.table("content_block")
        if index is None or index in self._grows or value is None:
            raise AnswerUnreadable
        if value.get("type") == "tool_use":
            value.setdefault("input", {})
        part = blocks.block(value, fields.at(value, "content_block"))
        if isinstance(part, Foreign):
            self._held[index] = (value, [])
            self._grows[index] = _HELD
            return
        bound = value.get("name") == JSON_TOOL
        self._bound = self._bound or bound
        begun, self._grows[index] = _emptied(part, bound=bound)
        found.append(PartBegin(0, index, begun))
        given = part.arguments if isinstance(part, ToolCall) else ""
        if bound and isinstance(part, Text):
            given = part.text
        elif isinstance(part, Text | Thinking):
            found.extend(_whole(part, index))
        if given not in ("", "{}"):
            self._given[index] = given

    def _index(self, fields: Fields) -> int:
        """Of an open block."""
        index = fields.whole("index")
        if index is None or index not in self._grows:
            raise AnswerUnreadable
        return index

    def _grow(self, fields: Fields, found: list[Event]) -> None:
        index, delta = self._index(fields), _inner(fields, "delta")
        kind, grows = blocks.needed(delta, "type"), self._grows[index]
        if grows == _HELD:
            self._grow_held(index, kind, delta)
        elif kind == "signature_delta" and grows == "thinking_delta":
            if signature := delta.text("signature").removeprefix(ELSEWHERE):
                found.append(PartSigned(0, index, signature))
        elif kind == "citations_delta" and grows == "text_delta":
            value = delta.table("citation") or {}
            cited = blocks.citation(value, delta.at(value, "citation"))
            found.append(PartCited(0, index, cited))
        elif kind in _TEXTS:
            self._given.pop(index, None)  # The deltas say it again.
            text = delta.text(_TEXTS[kind])
            if kind != grows:
                raise AnswerUnreadable
            if text:
                found.append(PartDelta(0, index, text))
            if left := delta.rest():
                found.append(_other_delta(index, {"type": kind, _TEXTS[kind]: "", **left}))
        else:
            found.append(_other_delta(index, {"type": kind, **delta.rest()}))

    def _grow_held(self, index: int, kind: str, delta: Fields) -> None:
        value, pieces = self._held[index]
        if kind == "input_json_delta":
            pieces.append(delta.text("partial_json"))
        else:
            value.update(delta.rest())

    def _end_block(self, fields: Fields, found: list[Event]) -> None:
        index = self._index(fields)
        if given := self._given.pop(index, ""):
            found.append(PartDelta(0, index, given))
        if self._grows.pop(index) == _HELD:
            value, pieces = self._held.pop(index)
            if written := "".join(pieces):
                value["input"] = decode(written.encode())
            found.append(PartBegin(0, index, Foreign(NAME, value)))
        found.append(PartEnd(0, index))

    def _change(self, fields: Fields, found: list[Event]) -> None:
        delta = _inner(fields, "delta")
        left = self._count(fields, found) | fields.rest()
        reason, sequence = delta.text("stop_reason"), delta.text("stop_sequence") or None
        rest = delta.rest()
        if reason and reason not in USUAL:
            rest["stop_reason"] = reason
        if rest:
            left["delta"] = rest
        if left:
            found.append(Other(NAME, {"type": "message_delta", **left}))
        end = finish(reason, bound=self._bound)
        if end is not None:
            self._ended = True
            found.append(ChoiceEnd(0, end, sequence))

    def _stop(self, fields: Fields, found: list[Event]) -> None:
        if not self._ended:
            self._ended = True
            found.append(ChoiceEnd(0, "stop"))

    def _error(self, fields: Fields, found: list[Event]) -> None:
        self._fail(fault_in(fields.rest()), found)

    def _ping(self, fields: Fields, found: list[Event]) -> None:
        if self._begun:
            found.append(Other(NAME, {"type": "ping", **fields.rest()}))


_TAKERS = {
    "message_start": Reader._start,
    "content_block_start": Reader._begin_block,
    "content_block_delta": Reader._grow,
    "content_block_stop": Reader._end_block,
    "message_delta": Reader._change,
    "message_stop": Reader._stop,
    "ping": Reader._ping,
    "error": Reader._error,
}


def _inner(fields: Fields, name: str) -> Fields:
    return fields.inner(name) or fields.at({}, name)


def _emptied(part: Part, *, bound: bool) -> tuple[Part, str]:
    """The part as it begins, and the type of the deltas in which it grows."""
    if bound:
        return Text(""), "input_json_delta"
    if isinstance(part, Text):
        return replace(part, text="", citations=[]), "text_delta"
    if isinstance(part, ToolCall):
        return replace(part, arguments=""), "input_json_delta"
    if isinstance(part, Thinking):
        return replace(part, text="", signature=""), "thinking_delta"
    return part, ""


def _whole(part: Text | Thinking, index: int) -> list[Event]:
    """What a block had already when it began."""
    events: list[Event] = []
    if part.text:
        events.append(PartDelta(0, index, part.text))
    if isinstance(part, Thinking):
        if part.signature:
            events.append(PartSigned(0, index, part.signature))
    else:
        events += [PartCited(0, index, one) for one in part.citations]
    return events


def _other_delta(index: int, delta: dict[str, Any]) -> Other:
    return Other(NAME, {"type": "content_block_delta", "index": index, "delta": delta})
