"""Streamed answers, read.

Sources: OpenAI's API reference, "The chat completion chunk object"; the recordings for what others
make of it: Azure's first chunk has no choices and no id, Groq's ids change, Mistral's content may
be an array, OpenRouter repeats the finish and sends errors beside choices, Snowflake gives no
reason at the end, Gemini's parallel calls share an index.
"""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.ai.errors import AnswerUnreadable
from proxy.ai.formats import openai_faults as faults
from proxy.ai.formats import sse
from proxy.ai.formats.chat import answer, content, finish, messages, thoughts, tools, usage
from proxy.ai.formats.chat.names import NAME
from proxy.ai.formats.fields import Fields, wrong_answer
from proxy.ai.middle import (
    Begin,
    ChoiceEnd,
    Counted,
    Event,
    Failed,
    Fault,
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
    ToolCall,
)

_decode = msgspec.json.Decoder().decode

_CHUNK = frozenset(
    [
        "id",
        "object",
        "created",
        "model",
        "choices",
        "usage",
        "error",
        "x_groq",
        "obfuscation",
        "p",
        "system_fingerprint",
    ]
)
"""Fields of a chunk that are understood, or padding, or the same for all chunks."""
_CHOICE = frozenset(["index", "delta", "finish_reason", "logprobs", "stop_reason"])
_DELTA = frozenset(
    [
        "role",
        "content",
        "refusal",
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        "tool_calls",
        "function_call",
        "annotations",
        "audio",
        "images",
    ]
)


class _Call:
    """A call of a tool that comes in pieces: it begins when its name is known."""

    __slots__ = ("empty", "held", "id", "name", "part")

    def __init__(self, call_id: str) -> None:
        self.id = call_id
        self.name = ""
        self.held = ""
        self.part = -1
        self.empty = True


class _Choice:
    """What is open of one choice."""

    __slots__ = ("calls", "ended", "open", "place", "recent", "seen_calls", "texts", "used")

    def __init__(self, place: int) -> None:
        self.place = place
        self.used = 0
        """Numbers of parts given away."""
        self.open: type[Part] | None = None
        """The kind of the part that grows now, the one with the last number."""
        self.texts = -1
        """The number of the last text."""
        self.calls: dict[Any, _Call] = {}
        """By index, those that are open."""
        self.recent: _Call | None = None
        self.seen_calls = 0
        self.ended = False


class Reader:
    def __init__(self) -> None:
        self._events = sse.Events()
        self._begun = False
        self._over = False
        self._id = ""
        self._held: list[Event] = []
        self._choices: dict[int, _Choice] = {}
        self._more: dict[str, Any] = {}
        self._usage: Any = None

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
            if self._over:
                break
            if data == b"[DONE]":
                self._close(events)
                break
            try:
                self._chunk(_decode(data), events)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, AnswerUnreadable):
                return events + self._fail("The provider's answer cannot be read.")
        return events

    def _fail(self, sentence: str) -> list[Event]:
        if self._over:
            return []
        self._over = True
        return [Failed(Fault(status=502, message=sentence, code="provider_answer_unreadable"))]

    def _close(self, events: list[Event]) -> None:
        """The provider said that all has come; some give no reason before."""
        for choice in self._choices.values():
            if not choice.ended:
                self._end_choice(choice, "tool_calls" if choice.seen_calls else "stop", events)
        self._over = True

    def _chunk(self, chunk: Any, events: list[Event]) -> None:
        if type(chunk) is not dict:
            raise AnswerUnreadable
        choices = chunk.get("choices")
        if not self._begun:
            self._begin(chunk, bool(choices), events)
        if type(choices) is list:
            for entry in choices:
                self._choice(entry, events)
        elif choices is not None:
            raise AnswerUnreadable
        if not chunk.keys() <= _CHUNK:
            self._unknown(chunk, events)
        given = chunk.get("usage")
        if given is not None or "x_groq" in chunk:
            self._count(given, chunk.get("x_groq"), events)
        error = chunk.get("error")
        if error is not None:
            self._over = True
            events.append(Failed(faults.of_error(error)))

    def _begin(self, chunk: dict[str, Any], has_choices: bool, events: list[Event]) -> None:
        fields = Fields(chunk, "", wrong_answer)
        self._id = fields.text("id")
        model = fields.text("model")
        if has_choices or self._id:
            self._begun = True
            events.append(Begin(self._id, model, answer.created(fields)))
            events += self._held

    def _unknown(self, chunk: dict[str, Any], events: list[Event]) -> None:
        """What is said again and again is told once."""
        more = {k: v for k, v in chunk.items() if k not in _CHUNK and v is not None}
        news = {k: v for k, v in more.items() if self._more.get(k) != v}
        if news:
            self._more |= news
            (events if self._begun else self._held).append(Other(NAME, news))

    def _count(self, given: Any, groq: Any, events: list[Event]) -> None:
        counted = usage.of_chunk(given, groq.get("usage") if type(groq) is dict else None)
        if counted is not None and counted != self._usage:
            self._usage = counted
            events.append(Counted(counted))

    def _choice(self, entry: Any, events: list[Event]) -> None:
        if type(entry) is not dict:
            raise AnswerUnreadable
        number = entry.get("index", 0)
        choice = self._choices.get(number) if type(number) is int else None
        if choice is None:
            choice = self._new_choice(number)
        delta = entry.get("delta")
        if delta is None:
            delta = entry.get("message", {})
        if type(delta) is not dict:
            raise AnswerUnreadable
        logprobs = entry.get("logprobs")
        if choice.ended:
            self._late(entry, delta, events)
            return
        said = delta.get("content")
        if type(said) is str and len(delta) == 1 and logprobs is None:
            if said:
                self._grow(choice, Text, said, events)
        elif delta:
            self._delta(choice, delta, _logprobs(logprobs), events)
        if not entry.keys() <= _CHOICE:
            self._unknown_of_choice(choice, entry, events)
        reason = entry.get("finish_reason")
        if reason:
            stop = entry.get("stop_reason")
            stop = stop if type(stop) is str else None
            self._end_choice(choice, finish.read(str(reason)), events, stop)

    def _new_choice(self, number: Any) -> _Choice:
        if type(number) is not int or not 0 <= number < 1024:
            raise AnswerUnreadable
        choice = self._choices[number] = _Choice(number)
        return choice

    def _late(self, entry: dict[str, Any], delta: dict[str, Any], events: list[Event]) -> None:
        """Nothing that belongs to the answer comes after its end, but remarks do."""
        more = {k: v for k, v in delta.items() if v and k != "role"}
        if more:
            events.append(_other(entry.get("index", 0), {"delta": more}))

    def _unknown_of_choice(
        self, choice: _Choice, entry: dict[str, Any], events: list[Event]
    ) -> None:
        more = {k: v for k, v in entry.items() if k not in _CHOICE and k != "message" and v}
        key = f"choices[{choice.place}]"
        if more and self._more.get(key) != more:
            self._more[key] = more
            events.append(_other(choice.place, more))

    def _delta(
        self, choice: _Choice, delta: dict[str, Any], logprobs: Any, events: list[Event]
    ) -> None:
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        details = delta.get("reasoning_details")
        if details:
            self._details(choice, details, thought, events)
        elif thought:
            self._grow(choice, Thinking, thought, events)
        said = delta.get("content")
        if said:
            if type(said) is list:
                self._entries(choice, delta, events)
            else:
                self._grow(choice, Text, said, events, logprobs)
        refusal = delta.get("refusal")
        if refusal:
            self._grow(choice, Refusal, refusal, events)
        calls = delta.get("tool_calls")
        if calls:
            self._calls(choice, calls, events)
        if not delta.keys() <= {"role", "content"}:
            self._rare(choice, delta, events)

    def _rare(self, choice: _Choice, delta: dict[str, Any], events: list[Event]) -> None:
        former = delta.get("function_call")
        if type(former) is dict and (former.get("name") or former.get("arguments")):
            self._calls(choice, [{"index": "function_call", "function": former}], events)
        if delta.get("annotations"):
            self._annotations(choice, delta, events)
        if delta.get("audio"):
            self._audio(choice, delta, events)
        fields = Fields(delta, "", wrong_answer)
        for place, image in enumerate(fields.items("images")):
            part = content.read_entry(image, fields.at(image, f"images[{place}]"))
            self._whole(choice, part, events)
        more = {k: v for k, v in delta.items() if v is not None and k not in _DELTA}
        if more:
            events.append(_other(choice.place, {"delta": more}))

    def _grow(
        self,
        choice: _Choice,
        kind: type[Text] | type[Thinking] | type[Refusal],
        text: Any,
        events: list[Event],
        logprobs: Any = None,
    ) -> None:
        if type(text) is not str:
            raise AnswerUnreadable
        if choice.open is not kind:
            self._begin_part(choice, kind(""), events)
        events.append(PartDelta(choice.place, choice.used - 1, text, logprobs))

    def _begin_part(self, choice: _Choice, part: Part, events: list[Event]) -> None:
        self._end_parts(choice, events)
        events.append(PartBegin(choice.place, choice.used, part))
        choice.open = type(part)
        if choice.open is Text:
            choice.texts = choice.used
        choice.used += 1

    def _whole(self, choice: _Choice, part: Part, events: list[Event]) -> None:
        """A part that comes in one piece."""
        if isinstance(part, Text | Thinking | Refusal):
            if part.text:
                self._grow(choice, type(part), part.text, events)
            if isinstance(part, Thinking) and part.signature:
                self._sign(choice, part.signature, events)
            return
        self._begin_part(choice, part, events)
        self._end_parts(choice, events)

    def _sign(self, choice: _Choice, signature: str, events: list[Event]) -> None:
        if choice.open is not Thinking:
            self._begin_part(choice, Thinking(""), events)
        events.append(PartSigned(choice.place, choice.used - 1, signature))
        self._end_parts(choice, events)

    def _end_parts(self, choice: _Choice, events: list[Event]) -> None:
        if choice.open is not None:
            events.append(PartEnd(choice.place, choice.used - 1))
            choice.open = None
        for call in choice.calls.values():
            self._end_call(choice, call, events)
        if choice.calls:
            choice.calls = {}
            choice.recent = None

    def _end_call(self, choice: _Choice, call: _Call, events: list[Event]) -> None:
        if call.part < 0:
            self._begin_call(choice, call, False, events)
        if call.empty:
            events.append(PartDelta(choice.place, call.part, "{}"))
        events.append(PartEnd(choice.place, call.part))

    def _end_choice(
        self, choice: _Choice, reason: Any, events: list[Event], stop: str | None = None
    ) -> None:
        self._end_parts(choice, events)
        choice.ended = True
        events.append(ChoiceEnd(choice.place, reason, stop))

    def _details(self, choice: _Choice, given: Any, plain: Any, events: list[Event]) -> None:
        """The plain text beside them says the same, unless they have none."""
        if type(given) is not list:
            raise AnswerUnreadable
        found = [thoughts.of_detail(Fields(entry, "", wrong_answer)) for entry in given]
        if plain and not any(thought and thought.text for thought in found):
            self._grow(choice, Thinking, plain, events)
        for thought in found:
            if thought is None:
                continue
            if thought.sealed:
                sealed = Thinking("", "", thought.sealed, thought.id, thought.extra)
                self._begin_part(choice, sealed, events)
                if thought.text:
                    events.append(PartDelta(choice.place, choice.used - 1, thought.text))
                self._end_parts(choice, events)
                continue
            if thought.text:
                self._grow(choice, Thinking, thought.text, events)
            if thought.signature:
                self._sign(choice, thought.signature, events)

    def _entries(self, choice: _Choice, delta: dict[str, Any], events: list[Event]) -> None:
        for part in content.read(Fields(delta, "", wrong_answer)):
            self._whole(choice, part, events)

    def _annotations(self, choice: _Choice, delta: dict[str, Any], events: list[Event]) -> None:
        cited, others = messages.citations(Fields(delta, "", wrong_answer))
        if cited and choice.texts < 0:
            self._begin_part(choice, Text(""), events)
        events += [PartCited(choice.place, choice.texts, citation) for citation in cited]
        if others:
            events.append(_other(choice.place, {"delta": {"annotations": others}}))

    def _audio(self, choice: _Choice, delta: dict[str, Any], events: list[Event]) -> None:
        fields = Fields(delta, "", wrong_answer).inner("audio")
        if fields is None:
            return
        sound = Media("audio", data=fields.text("data"), transcript=fields.text("transcript"))
        if sound.data or sound.transcript:
            self._whole(choice, sound, events)
        more = {k: v for k, v in fields.rest().items() if v}
        if more:
            events.append(_other(choice.place, {"delta": {"audio": more}}))

    def _calls(self, choice: _Choice, entries: Any, events: list[Event]) -> None:
        if type(entries) is not list:
            raise AnswerUnreadable
        for place, entry in enumerate(entries):
            if type(entry) is not dict:
                raise AnswerUnreadable
            call = self._call(choice, entry, place, len(entries), events)
            custom = entry.get("type") == "custom" and type(entry.get("custom")) is dict
            function = entry.get("custom" if custom else "function")
            if type(function) is dict:
                self._call_grows(choice, call, function, custom, events)
            if "extra_content" in entry:
                signature = tools.signature_of(entry["extra_content"])
                if signature and call.part >= 0:
                    events.append(PartSigned(choice.place, call.part, signature))

    def _call(
        self,
        choice: _Choice,
        entry: dict[str, Any],
        place: int,
        together: int,
        events: list[Event],
    ) -> _Call:
        """The open call that an entry continues, or a new one. Where there is no index, or the
        same for all, the id tells them apart."""
        index, call_id = entry.get("index"), entry.get("id")
        call_id = call_id if type(call_id) is str else ""
        if type(index) not in (int, str):
            index = next((i for i, c in choice.calls.items() if call_id and c.id == call_id), None)
            if index is None and not call_id and together == 1 and choice.recent is not None:
                return choice.recent
            if index is None:
                index = place if call_id == "" else call_id
        call = choice.calls.get(index)
        if call is not None and call_id and call.id != call_id and call.name:
            index, call = call_id, choice.calls.get(call_id)
        if call is None:
            if choice.open is not None:
                self._end_parts(choice, events)
            made = f"{answer.call_id(self._id, choice.place)}_{choice.seen_calls}"
            call = choice.calls[index] = _Call(call_id or made)
            choice.seen_calls += 1
        choice.recent = call
        return call

    def _call_grows(
        self,
        choice: _Choice,
        call: _Call,
        function: dict[str, Any],
        custom: bool,
        events: list[Event],
    ) -> None:
        name = function.get("name")
        if type(name) is str and name and not call.name:
            call.name = name
        text = function.get("input" if custom else "arguments")
        if type(text) is dict:
            text = msgspec.json.encode(text).decode()
        if text is not None and type(text) is not str:
            raise AnswerUnreadable
        if call.part < 0:
            call.held += text or ""
            if call.name:
                self._begin_call(choice, call, custom, events)
        elif text:
            call.empty = False
            events.append(PartDelta(choice.place, call.part, text))

    def _begin_call(self, choice: _Choice, call: _Call, custom: bool, events: list[Event]) -> None:
        call.part = choice.used
        choice.used += 1
        begun = ToolCall(call.id, call.name, "", custom)
        events.append(PartBegin(choice.place, call.part, begun))
        if custom:
            call.empty = False
        if call.held:
            call.empty = False
            events.append(PartDelta(choice.place, call.part, call.held))
            call.held = ""


def _logprobs(given: Any) -> Any:
    found = given.get("content") if type(given) is dict else None
    return found if type(found) is list and found else None


def _other(choice: int, more: dict[str, Any]) -> Other:
    """In the shape of a chunk."""
    return Other(NAME, {"choices": [{"index": choice} | more]})
