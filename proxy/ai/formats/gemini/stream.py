"""A streamed answer of Gemini's: each event is an answer that holds what is new."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.ai.errors import AnswerUnreadable, InvalidJson
from proxy.ai.formats import sse
from proxy.ai.formats.fields import Fields, decode, encode, wrong_answer
from proxy.ai.formats.gemini import parts, usage
from proxy.ai.formats.gemini.answer import read_choice
from proxy.ai.formats.gemini.faults import of_error, write_stream_fault
from proxy.ai.formats.gemini.names import FORMAT, REASONS, camelled, each
from proxy.ai.middle import (
    Begin,
    ChoiceEnd,
    Counted,
    Event,
    Failed,
    Fault,
    Finish,
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
    Usage,
)
from proxy.ai.middle.events import merged
from proxy.ai.middle.rules import Notes


class _Part(msgspec.Struct, forbid_unknown_fields=True):
    text: str
    thought: bool = False


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    parts: list[_Part]
    role: str = ""


class _Candidate(msgspec.Struct, forbid_unknown_fields=True):
    content: _Content
    index: int = 0


class _Piece(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """An event that only says more text."""

    candidates: list[_Candidate]
    usage_metadata: usage.Counts | None = None
    model_version: str = ""
    response_id: str = ""


_decode_piece = msgspec.json.Decoder(_Piece).decode


class Reader:
    def __init__(self) -> None:
        self._events = sse.Events()
        self._begun = False
        self._failed = False
        self._open: dict[int, tuple[int, type]] = {}
        """By choice, the part that grows: its number, and Text or Thinking."""
        self._count: dict[int, int] = {}
        self._called: set[int] = set()

    def feed(self, data: bytes) -> list[Event]:
        if self._failed:
            return []
        try:
            found = self._events.feed(data)
        except sse.TooLong:
            return self._fail("An event of the stream is too long.")
        return self._all(found)

    def end(self) -> list[Event]:
        return [] if self._failed else self._all(self._events.end())

    def _all(self, found: list[tuple[bytes, bytes]]) -> list[Event]:
        events: list[Event] = []
        for _, data in found:
            try:
                self._take(data, events)
            except (AnswerUnreadable, InvalidJson):
                return events + self._fail("The stream holds something that is no answer.")
            if self._failed:
                break
        return events

    def _fail(self, message: str) -> list[Event]:
        self._failed = True
        return [Failed(Fault(status=502, message=message))]

    def _quick(self, data: bytes, events: list[Event]) -> bool:
        """Takes what most events are: more text of one candidate. False for anything else."""
        try:
            said = _decode_piece(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        if len(said.candidates) != 1 or not said.candidates[0].content.parts:
            return False
        candidate = said.candidates[0]
        if not self._begun:
            self._begun = True
            events.append(Begin(said.response_id, said.model_version))
        for part in candidate.content.parts:
            made = Thinking(part.text) if part.thought else Text(part.text)
            self._grow(made, candidate.index, events, None)
        reported = None if said.usage_metadata is None else usage.usage_of(said.usage_metadata)
        if reported is not None:
            events.append(Counted(reported))
        return True

    def _take(self, data: bytes, events: list[Event]) -> None:
        if self._quick(data, events):
            return
        fields = Fields(camelled(decode(data)), "", wrong_answer)
        error = fields.table("error")
        if error is not None:
            self._failed = True
            events.append(Failed(of_error(error)))
            return
        if not self._begun:
            self._begun = True
            events.append(Begin(fields.text("responseId"), fields.text("modelVersion")))
        counted = fields.take("usageMetadata")
        blocked = fields.table("promptFeedback")
        candidates = each(fields, "candidates")
        for number, candidate in enumerate(candidates):
            place = candidate.whole("index") or 0
            self._choice(candidate, place if len(candidates) > 1 or place else number, events)
        if blocked and blocked.get("blockReason") and not candidates:
            events.append(ChoiceEnd(0, "content_filter"))
        reported = None if counted is None else usage.of_untyped(counted)
        if reported is not None:
            events.append(Counted(reported))

    def _choice(self, candidate: Fields, number: int, events: list[Event]) -> None:
        choice = read_choice(candidate, number)
        for part in choice.parts:
            self._part(part, number, events, choice.logprobs)
        own = (choice.extra or {}).get(FORMAT)
        if own:
            events.append(Other(FORMAT, {"candidate": number, **own}))
        if choice.finish is not None:
            self._close(number, events)
            finish: Finish = choice.finish
            if finish == "stop" and number in self._called:
                finish = "tool_calls"
            events.append(ChoiceEnd(number, finish))

    def _part(self, part: Part, number: int, events: list[Event], logprobs: Any) -> None:
        if isinstance(part, Text | Thinking):
            self._grow(part, number, events, logprobs)
            return
        self._close(number, events)
        place = self._next(number)
        if isinstance(part, ToolCall):
            self._called.add(number)
            events.append(PartBegin(number, place, ToolCall(self._id(part, place), part.name)))
            events.append(PartDelta(number, place, part.arguments))
            if part.signature:
                events.append(PartSigned(number, place, part.signature))
        else:
            events.append(PartBegin(number, place, part))
        events.append(PartEnd(number, place))

    def _id(self, part: ToolCall, place: int) -> str:
        """Ids that were made count within one event only, so the part's place is added."""
        return f"{part.id}-{place}" if part.id.startswith("made-") else part.id

    def _grow(self, part: Text | Thinking, number: int, events: list[Event], logprobs: Any) -> None:
        kind = type(part)
        if isinstance(part, Text) and not part.text:
            # Only a signature, which belongs to what was said before.
            own = (part.extra or {}).get(FORMAT)
            if own:
                events.append(Other(FORMAT, {"candidate": number, **own}))
            return
        open_ = self._open.get(number)
        if open_ is None or open_[1] is not kind:
            self._close(number, events)
            place = self._next(number)
            open_ = self._open[number] = place, kind
            begun: Part = Text("", extra=part.extra) if isinstance(part, Text) else Thinking()
            events.append(PartBegin(number, place, begun))
        if part.text:
            events.append(PartDelta(number, open_[0], part.text, logprobs))
        if isinstance(part, Thinking) and part.signature:
            events.append(PartSigned(number, open_[0], part.signature))
        if isinstance(part, Text):
            events += [PartCited(number, open_[0], one) for one in part.citations]

    def _next(self, number: int) -> int:
        place = self._count.get(number, 0)
        self._count[number] = place + 1
        return place

    def _close(self, number: int, events: list[Event]) -> None:
        open_ = self._open.pop(number, None)
        if open_ is not None:
            events.append(PartEnd(number, open_[0]))


class Writer:
    """Tool calls are told whole, since Gemini has no pieces of them; how it ends, and the usage,
    with the last event."""

    def __init__(self) -> None:
        self._begin = Begin()
        self._parts: dict[tuple[int, int], Part] = {}
        self._usage: Usage | None = None
        self._ends: dict[int, str] = {}
        self._own: dict[int, dict[str, Any]] = {}
        self._failed = False

    def write(self, events: list[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if isinstance(event, PartDelta):
                self._delta(event, out)
            elif isinstance(event, PartBegin):
                self._parts[event.choice, event.part] = msgspec.structs.replace(event.value)
            elif isinstance(event, PartSigned):
                part = self._parts.get((event.choice, event.part))
                if isinstance(part, ToolCall | Thinking):
                    part.signature = event.signature
            elif isinstance(event, PartEnd):
                self._end_part(event, out)
            elif isinstance(event, ChoiceEnd):
                self._ends[event.choice] = REASONS[event.finish]
            elif isinstance(event, Counted):
                self._usage = merged(self._usage, event.usage)
            elif isinstance(event, Begin):
                self._begin = event
            elif isinstance(event, Failed):
                self._failed = True
                out.append(write_stream_fault(event.fault))
            elif isinstance(event, Other) and event.format == FORMAT:
                self._other(dict(event.value), out)
        return b"".join(out)

    def _other(self, own: dict[str, Any], out: list[bytes]) -> None:
        choice = own.pop("candidate", 0)
        signature = own.pop("thoughtSignature", None)
        if signature is not None:
            out.append(self._chunk(choice, [{"text": "", "thoughtSignature": signature}]))
        self._own.setdefault(choice, {}).update(own)

    def _delta(self, event: PartDelta, out: list[bytes]) -> None:
        part = self._parts.get((event.choice, event.part))
        if isinstance(part, ToolCall):
            part.arguments += event.text
        elif event.text and isinstance(part, Thinking):
            out.append(self._chunk(event.choice, [{"text": event.text, "thought": True}]))
        elif event.text:
            out.append(self._chunk(event.choice, [{"text": event.text}]))

    def _end_part(self, event: PartEnd, out: list[bytes]) -> None:
        part = self._parts.pop((event.choice, event.part), None)
        if isinstance(part, Text) or part is None:
            return
        if isinstance(part, Thinking):
            told = parts.sealed(part)
            if part.signature:
                told.append({"text": "", "thought": True, "thoughtSignature": parts.kept(part)})
            if told:
                out.append(self._chunk(event.choice, told))
            return
        written = parts.write(part, Notes(mode="drop"), {})
        if written is not None:
            out.append(self._chunk(event.choice, [written]))

    def _chunk(self, choice: int, told: list[dict[str, Any]], **more: Any) -> bytes:
        candidate = {"content": {"role": "model", "parts": told}, "index": choice, **more}
        return self._event([candidate])

    def _event(self, candidates: list[dict[str, Any]]) -> bytes:
        answer: dict[str, Any] = {"candidates": candidates}
        if self._usage is not None:
            answer["usageMetadata"] = usage.written(self._usage)
        answer["modelVersion"] = self._begin.model
        answer["responseId"] = self._begin.id
        return sse.event(encode(answer))

    def end(self) -> bytes:
        if self._failed:
            return b""
        return self._event(
            [
                {
                    "content": {"role": "model", "parts": [{"text": ""}]},
                    "finishReason": reason,
                    "index": choice,
                    **self._own.get(choice, {}),
                }
                for choice, reason in self._ends.items()
            ]
        )
