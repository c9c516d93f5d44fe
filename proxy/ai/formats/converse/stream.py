"""A streamed answer of Converse's."""

from __future__ import annotations

from typing import Any

from proxy.ai.errors import AnswerUnreadable, InvalidJson
from proxy.ai.formats.converse import blocks
from proxy.ai.formats.converse.answer import FINISHES, REASONS, of_untyped, written_usage
from proxy.ai.formats.converse.blocks import FORMAT, Block
from proxy.ai.formats.converse.faults import of_exception, write_stream_fault
from proxy.ai.formats.converse.frames import Frames, frame
from proxy.ai.formats.fields import Fields, decode, encode, wrong_answer
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
    PartDelta,
    PartEnd,
    PartSigned,
    Text,
    Thinking,
    ToolCall,
)
from proxy.ai.middle.rules import Notes


class Reader:
    def __init__(self) -> None:
        self._frames = Frames()
        self._failed = False
        self._places: dict[int, int] = {}
        """The part of each block that has begun."""
        self._count = 0
        self._foreign: set[int] = set()
        """Blocks of tools that Bedrock runs itself."""

    def feed(self, data: bytes) -> list[Event]:
        if self._failed:
            return []
        events: list[Event] = []
        for headers, payload in self._frames.feed(data):
            try:
                self._take(headers, payload, events)
            except (AnswerUnreadable, InvalidJson):
                return events + self._fail()
            if self._failed:
                return events
        return events + self._fail() if self._frames.bad else events

    def end(self) -> list[Event]:
        return []

    def _fail(self) -> list[Event]:
        self._failed = True
        return [Failed(Fault(status=502, message="The stream holds what is no answer."))]

    def _take(self, headers: dict[str, str], payload: bytes, events: list[Event]) -> None:
        if headers.get(":message-type") in ("exception", "error"):
            self._failed = True
            name = headers.get(":exception-type") or headers.get(":error-code") or ""
            events.append(Failed(of_exception(name, payload)))
            return
        fields = Fields(decode(payload), "", wrong_answer)
        kind = headers.get(":event-type", "")
        # Padding, so that lengths on the wire tell nothing.
        fields.take("p")
        if kind == "contentBlockDelta":
            self._delta(fields, events)
        elif kind == "contentBlockStart":
            self._start(fields, events)
        elif kind == "contentBlockStop":
            index = fields.whole("contentBlockIndex") or 0
            self._foreign.discard(index)
            place = self._places.pop(index, None)
            if place is not None:
                events.append(PartEnd(0, place))
        elif kind == "messageStart":
            events.append(Begin())
        elif kind == "messageStop":
            reason = fields.text("stopReason")
            finish = FINISHES.get(reason, "error")
            if REASONS[finish] != reason:
                events.append(Other(FORMAT, {"stopReason": reason}))
            events.append(ChoiceEnd(0, finish))
        elif kind == "metadata":
            counted = fields.take("usage")
            reported = None if counted is None else of_untyped(counted)
            if reported is not None:
                events.append(Counted(reported))
            if fields.rest():
                events.append(Other(FORMAT, {"metadata": fields.rest()}))
        else:
            events.append(Other(FORMAT, {kind: fields.rest()}))

    def _begin(self, index: int, part: Part, events: list[Event]) -> int:
        place = self._places[index] = self._count
        self._count += 1
        events.append(PartBegin(0, place, part))
        return place

    def _start(self, fields: Fields, events: list[Event]) -> None:
        index = fields.whole("contentBlockIndex") or 0
        start = fields.inner("start")
        use = start.inner("toolUse") if start is not None else None
        own = None if use is None else blocks.of_bedrock(use)
        if own is not None:
            self._foreign.add(index)
            self._begin(index, own, events)
        elif use is not None:
            call = ToolCall(use.text("toolUseId"), use.text("name"))
            call.extra = {FORMAT: use.rest()} if use.rest() else None
            self._begin(index, call, events)
        elif start is not None and start.rest():
            self._begin(index, Foreign(FORMAT, start.rest()), events)

    def _delta(self, fields: Fields, events: list[Event]) -> None:
        index = fields.whole("contentBlockIndex") or 0
        delta = fields.inner("delta")
        if delta is None:
            return
        place = self._places.get(index)
        if index in self._foreign:
            events.append(Other(FORMAT, {"contentBlockIndex": index, "delta": delta.rest()}))
            return
        thought = delta.inner("reasoningContent")
        use = delta.inner("toolUse")
        if thought is not None:
            sealed = blocks.seal(thought.text("redactedContent"))
            if place is None:
                place = self._begin(index, Thinking(sealed=sealed), events)
            text, signature = thought.text("text"), thought.text("signature")
            if text:
                events.append(PartDelta(0, place, text))
            if signature:
                events.append(PartSigned(0, place, blocks.seal(signature)))
        elif use is not None and place is not None:
            events.append(PartDelta(0, place, use.text("input")))
        elif delta.has("text"):
            if place is None:
                place = self._begin(index, Text(""), events)
            events.append(PartDelta(0, place, delta.text("text")))
        elif delta.rest():
            events.append(Other(FORMAT, {"contentBlockIndex": index, "delta": delta.rest()}))


class Writer:
    """The events of Bedrock's own stream, for those who speak its format."""

    def __init__(self) -> None:
        self._parts: dict[int, Part] = {}
        self._reason = ""
        self._failed = False

    def write(self, events: list[Event]) -> bytes:
        return b"".join(map(self._written, events))

    def end(self) -> bytes:
        return b""

    def _written(self, event: Event) -> bytes:
        if isinstance(event, PartDelta):
            return self._delta(event)
        if isinstance(event, PartBegin):
            return self._begin(event)
        if isinstance(event, PartSigned):
            said = {"reasoningContent": {"signature": blocks.unsealed(event.signature)}}
            if not isinstance(self._parts.get(event.part), Thinking):
                return b""
            return _event("contentBlockDelta", {"contentBlockIndex": event.part, "delta": said})
        if isinstance(event, PartEnd):
            self._parts.pop(event.part, None)
            return _event("contentBlockStop", {"contentBlockIndex": event.part})
        if isinstance(event, Begin):
            return _event("messageStart", {"role": "assistant"})
        if isinstance(event, ChoiceEnd):
            reason = self._reason or REASONS[event.finish]
            return _event("messageStop", {"stopReason": reason})
        if isinstance(event, Counted):
            return _event("metadata", {"usage": written_usage(event.usage)})
        if isinstance(event, Failed):
            return write_stream_fault(event.fault)
        if isinstance(event, Other) and event.format == FORMAT:
            self._reason = str(event.value.get("stopReason", self._reason))
        return b""

    def _begin(self, event: PartBegin) -> bytes:
        self._parts[event.part] = event.value
        if isinstance(event.value, ToolCall):
            use = {"toolUseId": event.value.id, "name": event.value.name}
            start: Block = {"toolUse": use}
            return _event("contentBlockStart", {"contentBlockIndex": event.part, "start": start})
        if isinstance(event.value, Thinking) and event.value.sealed:
            said = {"reasoningContent": {"redactedContent": blocks.unsealed(event.value.sealed)}}
            return _event("contentBlockDelta", {"contentBlockIndex": event.part, "delta": said})
        if isinstance(event.value, Text | Thinking):
            return b""
        block = blocks.write(event.value, Notes(mode="drop"), own=True)
        if block is None:
            return b""
        return _event("contentBlockStart", {"contentBlockIndex": event.part, "start": block})

    def _delta(self, event: PartDelta) -> bytes:
        part = self._parts.get(event.part)
        delta: Block = {"text": event.text}
        if isinstance(part, ToolCall):
            delta = {"toolUse": {"input": event.text}}
        elif isinstance(part, Thinking):
            delta = {"reasoningContent": {"text": event.text}}
        return _event("contentBlockDelta", {"contentBlockIndex": event.part, "delta": delta})


def _event(kind: str, value: dict[str, Any]) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json"}
    return frame({**headers, ":message-type": "event"}, encode(value))
