"""A streamed answer of Cohere's."""

from __future__ import annotations

from typing import Any

from proxy.ai.errors import AnswerUnreadable, InvalidJson
from proxy.ai.formats import sse
from proxy.ai.formats.cohere import parts
from proxy.ai.formats.cohere.answer import FINISHES, REASONS, of_untyped, written_usage
from proxy.ai.formats.cohere.faults import write_stream_fault
from proxy.ai.formats.cohere.parts import FORMAT, PLAN, Block
from proxy.ai.formats.fields import Fields, decode, encode, wrong_answer
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
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from proxy.ai.middle.events import merged


class Reader:
    def __init__(self) -> None:
        self._events = sse.Events()
        self._failed = False
        self._open: dict[tuple[str, int], int] = {}
        """The part of each content, tool call or plan that has begun, by its kind and index."""
        self._count = 0
        self._text: int | None = None
        """The last text, which citations speak of."""

    def feed(self, data: bytes) -> list[Event]:
        if self._failed:
            return []
        try:
            return self._all(self._events.feed(data))
        except sse.TooLong:
            return self._fail()

    def end(self) -> list[Event]:
        return [] if self._failed else self._all(self._events.end())

    def _all(self, found: list[tuple[bytes, bytes]]) -> list[Event]:
        events: list[Event] = []
        for _, data in found:
            if data == b"[DONE]":
                continue
            try:
                self._take(Fields(decode(data), "", wrong_answer), events)
            except (AnswerUnreadable, InvalidJson):
                return events + self._fail()
            if self._failed:
                break
        return events

    def _fail(self, message: str = "The stream holds what is no answer.") -> list[Event]:
        self._failed = True
        return [Failed(Fault(status=502, message=message))]

    def _take(self, fields: Fields, events: list[Event]) -> None:
        kind, index = fields.text("type"), fields.whole("index") or 0
        delta = fields.inner("delta")
        message = delta.inner("message") if delta is not None else None
        if kind in ("content-delta", "content-start") and message is not None:
            self._content(message, index, events)
        elif kind == "tool-call-start" and message is not None:
            call = message.inner("tool_calls")
            if call is not None:
                made = parts.call(call)
                place = self._begin("call", index, ToolCall(made.id, made.name), events)
                if made.arguments:
                    events.append(PartDelta(0, place, made.arguments))
        elif kind == "tool-call-delta" and message is not None:
            call = message.inner("tool_calls")
            function = call.inner("function") if call is not None else None
            open_ = self._open.get(("call", index))
            if function is not None and open_ is not None:
                events.append(PartDelta(0, open_, function.text("arguments")))
        elif kind == "tool-plan-delta" and message is not None:
            self._grow("plan", 0, Thinking(extra=PLAN), message.text("tool_plan"), events)
        elif kind in ("content-end", "tool-call-end"):
            self._close("content" if kind == "content-end" else "call", index, events)
        elif kind == "citation-start" and message is not None:
            raw = message.table("citations")
            if raw is not None and self._text is not None:
                events.append(PartCited(0, self._text, parts.citation(raw)))
        elif kind == "message-start":
            events.append(Begin(fields.text("id")))
        elif kind == "message-end" and delta is not None:
            self._end(delta, events)
        elif not kind and fields.has("message"):
            events += self._fail(fields.text("message"))

    def _content(self, message: Fields, index: int, events: list[Event]) -> None:
        content = message.inner("content")
        if content is None:
            return
        thinking = content.text("thinking")
        kind = content.text("type")
        if thinking or kind == "thinking":
            self._grow("content", index, Thinking(), thinking, events)
        else:
            self._grow("content", index, Text(""), content.text("text"), events)

    def _grow(self, kind: str, index: int, part: Part, text: str, events: list[Event]) -> None:
        place = self._open.get((kind, index))
        if place is None:
            place = self._begin(kind, index, part, events)
        if text:
            events.append(PartDelta(0, place, text))

    def _begin(self, kind: str, index: int, part: Part, events: list[Event]) -> int:
        self._close("plan", 0, events)
        place = self._open[kind, index] = self._count
        self._count += 1
        if isinstance(part, Text):
            self._text = place
        events.append(PartBegin(0, place, part))
        return place

    def _close(self, kind: str, index: int, events: list[Event]) -> None:
        place = self._open.pop((kind, index), None)
        if place is not None:
            events.append(PartEnd(0, place))

    def _end(self, delta: Fields, events: list[Event]) -> None:
        reason, error = delta.text("finish_reason"), delta.text("error")
        if reason == "ERROR" and error:
            events += self._fail(error)
            return
        for kind, index in list(self._open):
            self._close(kind, index, events)
        finish = FINISHES.get(reason, "error")
        if REASONS[finish] != reason:
            events.append(Other(FORMAT, {"finish_reason": reason}))
        events.append(ChoiceEnd(0, finish))
        counted = delta.take("usage")
        reported = None if counted is None else of_untyped(counted)
        if reported is not None:
            events.append(Counted(reported))


class Writer:
    def __init__(self) -> None:
        self._parts: dict[int, Part] = {}
        self._places: dict[int, int] = {}
        self._count = {"content": 0, "call": 0}
        self._usage: Usage | None = None
        self._reason = ""
        self._failed = False

    def write(self, events: list[Event]) -> bytes:
        return b"".join(self._written(event) for event in events)

    def _written(self, event: Event) -> bytes:
        if isinstance(event, PartDelta):
            return self._delta(event.part, event.text)
        if isinstance(event, PartBegin):
            return self._begin(event.part, event.value)
        if isinstance(event, PartEnd):
            return self._end(event.part)
        if isinstance(event, PartCited):
            if event.citation.format != FORMAT or event.citation.raw is None:
                return b""
            return _event("citation-start", {"citations": event.citation.raw}, 0)
        if isinstance(event, Begin):
            message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}
            told = {"id": event.id, "type": "message-start"}
            delta = {"message": message | {"citations": []}}
            return sse.event(encode({**told, "delta": delta}), b"message-start")
        if isinstance(event, ChoiceEnd):
            self._reason = self._reason or REASONS[event.finish]
        elif isinstance(event, Counted):
            self._usage = merged(self._usage, event.usage)
        elif isinstance(event, Failed):
            self._failed = True
            return write_stream_fault(event.fault)
        elif isinstance(event, Other) and event.format == FORMAT:
            self._reason = str(event.value.get("finish_reason", ""))
        return b""

    def _begin(self, place: int, part: Part) -> bytes:
        self._parts[place] = part
        if isinstance(part, Thinking) and part.extra == PLAN:
            return b""
        kind = "call" if isinstance(part, ToolCall) else "content"
        index = self._places[place] = self._count[kind]
        self._count[kind] += 1
        if isinstance(part, ToolCall):
            function = {"name": part.name, "arguments": ""}
            call = {"id": part.id, "type": "function", "function": function}
            return _event("tool-call-start", {"tool_calls": call}, index)
        begun = {"type": "text", "text": ""}
        if isinstance(part, Thinking):
            begun = {"type": "thinking", "thinking": ""}
        return _event("content-start", {"content": begun}, index)

    def _delta(self, place: int, text: str) -> bytes:
        part = self._parts.get(place)
        index = self._places.get(place, 0)
        if isinstance(part, ToolCall):
            return _event(
                "tool-call-delta", {"tool_calls": {"function": {"arguments": text}}}, index
            )
        if isinstance(part, Thinking):
            if part.extra == PLAN:
                return _event("tool-plan-delta", {"tool_plan": text}, None)
            return _event("content-delta", {"content": {"thinking": text}}, index)
        return _event("content-delta", {"content": {"text": text}}, index)

    def _end(self, place: int) -> bytes:
        part = self._parts.pop(place, None)
        if isinstance(part, Thinking) and part.extra == PLAN:
            return b""
        name = "tool-call-end" if isinstance(part, ToolCall) else "content-end"
        index = self._places.get(place, 0)
        return sse.event(encode({"type": name, "index": index}), name.encode())

    def end(self) -> bytes:
        if self._failed:
            return b""
        delta: Block = {"finish_reason": self._reason or "COMPLETE"}
        if self._usage is not None:
            delta["usage"] = written_usage(self._usage)
        return sse.event(encode({"type": "message-end", "delta": delta}), b"message-end")


def _event(name: str, message: dict[str, Any], index: int | None) -> bytes:
    told: Block = {"type": name}
    if index is not None:
        told["index"] = index
    return sse.event(encode({**told, "delta": {"message": message}}), name.encode())
