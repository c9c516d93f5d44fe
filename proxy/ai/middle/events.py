"""A streamed answer: events in the order in which they come.

``Begin`` is the first. A part is begun, grows and ends; parts of one choice are numbered from 0 and
may overlap only as tool calls do. A choice ends with its reason. ``Counted`` may come at any time
and more than once; fields of a later one replace those of an earlier that are set. Nothing follows
``Failed``.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.structs import astuple, replace

from proxy.ai.middle.answer import Answer, Choice, Fault, Finish, Usage
from proxy.ai.middle.parts import Citation, Part, Refusal, Text, Thinking, ToolCall


class Begin(Struct):
    id: str = ""
    model: str = ""
    created: int = 0


class PartBegin(Struct):
    """``value`` is the part with what is known of it so far: a tool call's id and name, say."""

    choice: int
    part: int
    value: Part


class PartDelta(Struct):
    """More of a part's text: of what it says, of a tool call's arguments, of what is thought."""

    choice: int
    part: int
    text: str
    logprobs: Any = None
    """Of this piece, as in ``Choice.logprobs``."""


class PartSigned(Struct):
    """The signature of a thought or a tool call, whole."""

    choice: int
    part: int
    signature: str


class PartCited(Struct):
    """A source of a text, where it becomes known only after the text began."""

    choice: int
    part: int
    citation: Citation


class PartEnd(Struct):
    choice: int
    part: int


class ChoiceEnd(Struct):
    choice: int
    finish: Finish
    stop_sequence: str | None = None


class Counted(Struct):
    usage: Usage


class Failed(Struct):
    fault: Fault


class Other(Struct):
    """What only ``format`` can say."""

    format: str
    value: dict[str, Any]


Event = (
    Begin
    | PartBegin
    | PartDelta
    | PartSigned
    | PartCited
    | PartEnd
    | ChoiceEnd
    | Counted
    | Failed
    | Other
)


def signed(one: Event, events: list[Event]) -> Event:
    """``one`` of these events that came together. A call whose signature is among them has it from
    the beginning, for formats that have no later place."""
    if isinstance(one, PartBegin) and isinstance(one.value, ToolCall):
        for later in events:
            its = (one.choice, one.part)
            if isinstance(later, PartSigned) and (later.choice, later.part) == its:
                return replace(one, value=replace(one.value, signature=later.signature))
    return one


def unfold(answer: Answer) -> list[Event]:
    """A whole answer as the events of a stream."""
    events: list[Event] = [Begin(answer.id, answer.model, answer.created)]
    for number, choice in enumerate(answer.choices):
        for place, part in enumerate(choice.parts):
            events += _part_events(number, place, part)
        if choice.finish is not None:
            events.append(ChoiceEnd(number, choice.finish, choice.stop_sequence))
    if answer.usage is not None:
        events.append(Counted(answer.usage))
    return events


def _part_events(choice: int, place: int, part: Part) -> list[Event]:
    events: list[Event] = []
    if isinstance(part, Text):
        begun_text = Text("", part.citations, extra=part.extra)
        events = [PartBegin(choice, place, begun_text), PartDelta(choice, place, part.text)]
    elif isinstance(part, Refusal):
        events = [PartBegin(choice, place, Refusal("")), PartDelta(choice, place, part.text)]
    elif isinstance(part, ToolCall):
        begun = ToolCall(part.id, part.name, "", part.custom, extra=part.extra)
        events = [PartBegin(choice, place, begun), PartDelta(choice, place, part.arguments)]
        if part.signature:
            events.append(PartSigned(choice, place, part.signature))
    elif isinstance(part, Thinking):
        begun_thinking = Thinking("", "", part.sealed, part.id, part.extra)
        events = [PartBegin(choice, place, begun_thinking), PartDelta(choice, place, part.text)]
        if part.signature:
            events.append(PartSigned(choice, place, part.signature))
    else:
        events = [PartBegin(choice, place, part)]
    return [*events, PartEnd(choice, place)]


class Fold:
    """Puts a stream's events together again: ``answer`` is what has come so far."""

    def __init__(self, format: str) -> None:  # noqa: A002
        self.answer = Answer(format=format)
        self.fault: Fault | None = None
        self._parts: dict[tuple[int, int], Part] = {}

    def add(self, event: Event) -> None:
        if isinstance(event, PartDelta):
            self._grow(event)
        elif isinstance(event, PartBegin):
            choice = self._choice(event.choice)
            part = self._parts[event.choice, event.part] = replace(event.value)
            choice.parts.append(part)
        elif isinstance(event, PartSigned):
            signed = self._parts[event.choice, event.part]
            if isinstance(signed, Thinking | ToolCall):
                signed.signature += event.signature
        elif isinstance(event, PartCited):
            cited = self._parts[event.choice, event.part]
            if isinstance(cited, Text):
                cited.citations = [*cited.citations, event.citation]
        elif isinstance(event, ChoiceEnd):
            choice = self._choice(event.choice)
            choice.finish, choice.stop_sequence = event.finish, event.stop_sequence
        elif isinstance(event, Counted):
            self.answer.usage = merged(self.answer.usage, event.usage)
        elif isinstance(event, Begin):
            answer = self.answer
            answer.id, answer.model, answer.created = event.id, event.model, event.created
        elif isinstance(event, Failed):
            self.fault = event.fault

    def _choice(self, number: int) -> Choice:
        while len(self.answer.choices) <= number:
            self.answer.choices.append(Choice([]))
        return self.answer.choices[number]

    def _grow(self, event: PartDelta) -> None:
        part = self._parts[event.choice, event.part]
        if isinstance(part, ToolCall):
            part.arguments += event.text
        elif isinstance(part, Text | Thinking | Refusal):
            part.text += event.text
        if event.logprobs:
            choice = self._choice(event.choice)
            choice.logprobs = (choice.logprobs or []) + event.logprobs


def added(one: Usage, other: Usage) -> Usage:
    """What two answers took together."""
    values = {}
    for name in Usage.__struct_fields__:
        both = [value for value in (getattr(one, name), getattr(other, name)) if value is not None]
        values[name] = sum(both) if both else None
    return Usage(**values)


def merged(before: Usage | None, now: Usage) -> Usage:
    """The later report, with what only the earlier one says."""
    if before is None:
        return now
    both = zip(astuple(before), astuple(now), strict=True)
    return Usage(*[early if late is None else late for early, late in both])
