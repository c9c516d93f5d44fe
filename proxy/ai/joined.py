"""The events of one answer that two deployments gave, one after the other.

The first broke off in the middle of its text, the second was asked to go on where it ends. What the
second says of a new answer (its begin, its thoughts, what only its format knows) is left out, its
text goes into the part that the first began, and its usage is added to the first one's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec.structs import replace

from proxy.ai.estimate import about
from proxy.ai.middle import (
    Begin,
    ChoiceEnd,
    Citation,
    Counted,
    Event,
    Failed,
    Fault,
    Other,
    PartBegin,
    PartCited,
    PartDelta,
    PartEnd,
    PartSigned,
    Text,
    Thinking,
    Usage,
)
from proxy.ai.middle.events import added, merged

if TYPE_CHECKING:
    from proxy.ai.formats import Reader


class Used:
    """What one deployment took, where it may have broken off before it said so."""

    __slots__ = ("_prompt", "_unreported", "usage")

    def __init__(self, prompt: bytes) -> None:
        """``prompt``: what it was sent."""
        self._prompt = prompt
        self._unreported: list[str] = []
        self.usage: Usage | None = None
        """As far as it was reported."""

    def says(self, text: str) -> None:
        self._unreported.append(text)

    def counted(self, usage: Usage) -> None:
        self.usage = merged(self.usage, usage)
        if usage.output_tokens is not None:
            self._unreported.clear()

    def total(self, *, whole: bool) -> Usage:
        """``whole``: it came to its end, so that what it reported is all there was. Estimated is
        what was not reported, and the text that came after the last report."""
        reported = self.usage or Usage()
        came_in, came_out = reported.input_tokens, reported.output_tokens
        if came_in is None:
            came_in = about(self._prompt)
        if came_out is None or not whole:
            came_out = (came_out or 0) + about("".join(self._unreported).encode())
        return replace(reported, input_tokens=came_in, output_tokens=came_out)


class Joined:
    """A reader of two streams. ``fault``: what the provider said in place of going on; it is not
    among the events before ``give_up``."""

    def __init__(self, reader: Reader, prompt: bytes) -> None:
        self._reader = reader
        self._left: list[Event] = []
        self._begun = False
        self._open: dict[int, type] = {}
        self._text: list[str] = []
        self._parts = 0
        """The number of the next part."""
        self._thought = False
        self._stuck = False
        """Something began that nobody else can carry on."""
        self._places: dict[int, int] = {}
        """By the number that the second gives a part: its number in the answer."""
        self._end = ""
        """White space with which the first one's text ends; the second may say it again."""
        self.first: Usage | None = None
        """What the first took, once the second goes on."""
        self.used = Used(prompt)
        self.ended = False
        self.fault: Fault | None = None

    def feed(self, data: bytes) -> list[Event]:
        return self._taken() + self._read(self._reader.feed(data))

    def close(self) -> None:
        """The stream is over."""
        self._left += self._read(self._reader.end())

    def end(self) -> list[Event]:
        return self._taken()

    def give_up(self) -> None:
        """Nobody goes on: the fault is among the events now."""
        if self.fault is not None:
            self._left.append(Failed(self.fault))

    @property
    def text(self) -> str | None:
        """What was answered so far; None where nobody can go on there."""
        text = "".join(self._text)
        thinks = Thinking in self._open.values() or (self._thought and not text)
        if self._stuck or self.ended or thinks or len(self._open) > 1 or self.first is not None:
            return None
        return text

    def go_on(self, reader: Reader, prompt: bytes) -> None:
        """``reader`` of the second, who was sent ``prompt``."""
        text = self.text or ""
        self._end = text[len(text.rstrip()) :]
        self._reader, self.fault = reader, None
        self.first, self.used = self.used.total(whole=False), Used(prompt)

    @property
    def cut_off(self) -> bool:
        """It has not come to its end, and nobody said why."""
        return not self.ended and self.fault is None

    @property
    def total(self) -> Usage | None:
        """Of both. Of one alone what it reported, with an estimate where it was cut off."""
        if self.first is None:
            return self.used.total(whole=False) if self.cut_off else self.used.usage
        return added(self.first, self.used.total(whole=self.ended))

    def _taken(self) -> list[Event]:
        left, self._left = self._left, []
        return left

    def _read(self, events: list[Event]) -> list[Event]:
        found: list[Event] = []
        for event in events:
            if self.fault is not None:
                break
            if isinstance(event, Failed):
                self.fault = event.fault
            elif self.first is None:
                self._note(event)
                found.append(event)
            else:
                found.extend(self._second(event))
        return found

    def _note(self, event: Event) -> None:
        """What must be known of the first one's answer should it break off."""
        if isinstance(event, PartDelta):
            self.used.says(event.text)
            if self._open.get(event.part) is Text:
                self._text.append(event.text)
        elif isinstance(event, PartBegin):
            kind = type(event.value)
            self._open[event.part] = kind
            self._parts = max(self._parts, event.part + 1)
            self._thought = self._thought or kind is Thinking
            self._stuck = self._stuck or kind not in (Text, Thinking) or event.choice != 0
            if isinstance(event.value, Text) and event.value.text:
                self.used.says(event.value.text)
                self._text.append(event.value.text)
        elif isinstance(event, PartEnd):
            self._open.pop(event.part, None)
        elif isinstance(event, Counted):
            self.used.counted(event.usage)
        elif isinstance(event, ChoiceEnd):
            self.ended = True
        elif isinstance(event, Begin):
            self._begun = True

    def _second(self, event: Event) -> Iterator[Event]:
        if isinstance(event, Counted):
            self.used.counted(event.usage)
            yield Counted(self.total or Usage())
        elif isinstance(event, Begin):
            if not self._begun:
                self._begun = True
                yield event
        elif isinstance(event, Other | Failed) or event.choice != 0:
            return
        elif isinstance(event, ChoiceEnd):
            yield from self._closed()
            self.ended = True
            if self.used.usage is None:
                yield Counted(self.total or Usage())
            yield event
        else:
            yield from self._of_part(event)

    def _closed(self) -> Iterator[Event]:
        """The end of the part that the first left open."""
        for part in self._open:
            yield PartEnd(0, part)
        self._open.clear()

    def _of_part(
        self, event: PartBegin | PartDelta | PartSigned | PartCited | PartEnd
    ) -> Iterator[Event]:
        if isinstance(event, PartBegin):
            yield from self._part_begun(event)
            return
        if isinstance(event, PartDelta):
            self.used.says(event.text)
        place = self._places.get(event.part)
        if place is None:
            return
        if isinstance(event, PartDelta):
            text = self._new_of(event.text)
            if text or not event.text:
                yield replace(event, part=place, text=text)
        elif isinstance(event, PartCited) and place in self._open:
            yield PartCited(0, place, self._moved(event.citation))
        else:
            if isinstance(event, PartEnd):
                self._open.pop(place, None)
            yield replace(event, part=place)

    def _part_begun(self, event: PartBegin) -> Iterator[Event]:
        value = event.value
        if isinstance(value, Thinking):
            return
        if isinstance(value, Text) and self._open:
            self._places[event.part] = next(iter(self._open))
            if value.text:
                yield from self._of_part(PartDelta(0, event.part, value.text))
            return
        yield from self._closed()
        self._places[event.part] = self._parts
        yield replace(event, part=self._parts)
        self._parts += 1

    def _new_of(self, text: str) -> str:
        """Without the white space that was there already."""
        while self._end and text:
            if text[0] != self._end[0]:
                self._end = ""
            else:
                text, self._end = text[1:], self._end[1:]
        return text

    def _moved(self, citation: Citation) -> Citation:
        before = len("".join(self._text))
        if citation.start is None or citation.end is None:
            return citation
        return replace(citation, start=citation.start + before, end=citation.end + before)
