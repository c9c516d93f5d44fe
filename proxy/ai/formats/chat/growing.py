"""One choice of a streamed answer: its parts as they grow.

Source: OpenAI's API reference, "The chat completion chunk object", and those of the providers named
in ``content`` and ``thoughts``.
"""

from __future__ import annotations

from typing import Any

from proxy.ai.errors import AnswerUnreadable
from proxy.ai.formats.chat import content, finish, messages, thoughts
from proxy.ai.formats.chat.growing_calls import Calls
from proxy.ai.formats.chat.names import NAME
from proxy.ai.formats.fields import Fields, tables, wrong_answer
from proxy.ai.middle import (
    ChoiceEnd,
    Event,
    Finish,
    Media,
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
)

_CHOICE = frozenset(["index", "delta", "message", "finish_reason", "logprobs", "stop_reason"])
_USUAL = frozenset(["role", "content", "refusal", "reasoning", "reasoning_content", "tool_calls"])
_DELTA = _USUAL | {"reasoning_details", "function_call", "annotations", "audio", "images"}


class Growing:
    __slots__ = ("_calls", "_more", "_open", "_out", "_place", "_texts", "_used", "ended")

    def __init__(self, place: int, made_id: str, out: list[Event]) -> None:
        """``made_id`` begins the ids of calls that have none; events go to ``out``."""
        self._place = place
        self._out = out
        self._used = 0
        """Numbers of parts given away."""
        self._open: type[Part] | None = None
        """The kind of the part that grows now, the one with the last number; no call of a tool."""
        self._texts = -1
        """The number of the last text."""
        self._calls = Calls(place, made_id)
        self._more: dict[str, Any] = {}
        self.ended = False

    def read(self, entry: dict[str, Any]) -> None:
        """An entry of ``choices``. Raises AnswerUnreadable."""
        delta = entry.get("delta")
        if delta is None:
            delta = entry.get("message", {})
        if type(delta) is not dict:
            raise AnswerUnreadable
        if self.ended:
            self._late(delta)
            return
        if delta:
            self._delta(delta, entry.get("logprobs"))
        if not entry.keys() <= _CHOICE:
            self._remark(entry)
        reason = entry.get("finish_reason")
        if reason:
            stop = entry.get("stop_reason")
            self.end(finish.read(str(reason)), stop if type(stop) is str else None)

    def close(self) -> None:
        """The provider said that all has come, and gave no reason before."""
        if not self.ended:
            self.end("tool_calls" if self._calls.seen else "stop", None)

    def end(self, reason: Finish, stop: str | None) -> None:
        self._end_parts()
        self.ended = True
        self._out.append(ChoiceEnd(self._place, reason, stop))

    def _late(self, delta: dict[str, Any]) -> None:
        """Nothing that belongs to the answer comes after its end, but remarks do."""
        more = {name: value for name, value in delta.items() if value and name != "role"}
        if more:
            self._other({"delta": more})

    def _remark(self, entry: dict[str, Any]) -> None:
        """What is not known of the choice. What is said again and again is told once."""
        more = {name: value for name, value in entry.items() if name not in _CHOICE and value}
        if more and more != self._more:
            self._more = more
            self._other(more)

    def _other(self, more: dict[str, Any]) -> None:
        """In the shape of a chunk."""
        self._out.append(Other(NAME, {"choices": [{"index": self._place} | more]}))

    def _delta(self, delta: dict[str, Any], logprobs: Any) -> None:
        said = delta.get("content")
        if len(delta) == 1 and type(said) is str and logprobs is None:
            if said:
                self._grow(Text, said)
            return
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        details = delta.get("reasoning_details")
        if details:
            self._details(details, thought)
        elif thought:
            self._grow(Thinking, thought)
        if type(said) is list:
            for part in content.read(Fields(delta, "", wrong_answer)):
                self._whole(part)
        elif said:
            self._grow(Text, said, _logprobs(logprobs))
        refusal = delta.get("refusal")
        if refusal:
            self._grow(Refusal, refusal)
        calls = delta.get("tool_calls")
        if calls:
            self._call(calls)
        if not delta.keys() <= _USUAL:
            self._rare(delta)

    def _grow(
        self,
        kind: type[Text] | type[Thinking] | type[Refusal],
        text: Any,
        logprobs: Any = None,
    ) -> None:
        if type(text) is not str:
            raise AnswerUnreadable
        if self._open is not kind:
            self._begin(kind(""))
        self._out.append(PartDelta(self._place, self._used - 1, text, logprobs))

    def _begin(self, part: Part) -> None:
        self._end_parts()
        self._out.append(PartBegin(self._place, self._used, part))
        self._open = type(part)
        if self._open is Text:
            self._texts = self._used
        self._used += 1

    def _end_parts(self) -> None:
        if self._open is not None:
            self._out.append(PartEnd(self._place, self._used - 1))
            self._open = None
        self._take(self._calls.end(self._used))

    def _take(self, events: list[Event]) -> None:
        """Events of calls, which may use numbers."""
        self._used += sum(type(event) is PartBegin for event in events)
        self._out += events

    def _whole(self, part: Part) -> None:
        """A part that comes in one piece, or a piece of a text that comes as a part."""
        if isinstance(part, Text | Thinking | Refusal):
            if part.text:
                self._grow(type(part), part.text)
            if isinstance(part, Thinking) and part.signature:
                self._sign(part.signature)
            return
        self._begin(part)
        self._end_parts()

    def _sign(self, signature: str) -> None:
        """A thought has one signature, at its end."""
        if self._open is not Thinking:
            self._begin(Thinking(""))
        self._out.append(PartSigned(self._place, self._used - 1, signature))
        self._end_parts()

    def _details(self, given: Any, plain: Any) -> None:
        """The plain text beside them says the same, unless they have none."""
        if type(given) is not list:
            raise AnswerUnreadable
        found = [thoughts.of_detail(Fields(entry, "", wrong_answer)) for entry in given]
        if plain and not any(thought and thought.text for thought in found):
            self._grow(Thinking, plain)
        for thought in found:
            if thought is None:
                continue
            if thought.sealed:
                self._begin(Thinking("", "", thought.sealed, thought.id, thought.extra))
            if thought.text:
                self._grow(Thinking, thought.text)
            if thought.signature:
                self._sign(thought.signature)
            elif thought.sealed:
                self._end_parts()

    def _call(self, entries: Any) -> None:
        call = self._calls.continues(entries)
        if call is not None:
            function = entries[0].get("function")
            text = function.get("arguments") if type(function) is dict else None
            if type(text) is str and text and len(function) == 1:
                self._out.append(self._calls.more(call, text))
                return
        if type(entries) is not list:
            raise AnswerUnreadable
        for place, entry in enumerate(entries):
            if type(entry) is not dict:
                raise AnswerUnreadable
            if self._open is not None:
                self._end_parts()
            self._take(self._calls.read(entry, place, len(entries), self._used))

    def _rare(self, delta: dict[str, Any]) -> None:
        former = delta.get("function_call")
        if type(former) is dict and (former.get("name") or former.get("arguments")):
            self._call([{"index": "function_call", "function": former}])
        fields = Fields(delta, "", wrong_answer)
        if delta.get("annotations"):
            self._annotations(fields)
        if delta.get("audio"):
            self._audio(fields)
        for place, image in enumerate(fields.items("images")):
            self._whole(content.read_entry(image, fields.at(image, f"images[{place}]")))
        more = {
            name: value for name, value in delta.items() if value is not None and name not in _DELTA
        }
        if more:
            self._other({"delta": more})

    def _annotations(self, fields: Fields) -> None:
        cited, others = messages.citations(fields)
        if cited and self._texts < 0:
            self._begin(Text(""))
        self._out += [PartCited(self._place, self._texts, citation) for citation in cited]
        if others:
            self._other({"delta": {"annotations": others}})

    def _audio(self, delta: Fields) -> None:
        fields = delta.inner("audio")
        if fields is None:
            return
        sound = Media("audio", data=fields.text("data"), transcript=fields.text("transcript"))
        if sound.data or sound.transcript:
            self._whole(sound)
        more = {name: value for name, value in fields.rest().items() if value}
        if more:
            self._other({"delta": {"audio": more}})


def _logprobs(given: Any) -> Any:
    return tables(given.get("content")) if type(given) is dict else None
