"""Streamed answers, read.

Sources: OpenAI's API reference, "The chat completion chunk object"; the recordings for what others
make of it: Azure's first chunk has no choices and no id, Groq's ids change, OpenRouter repeats the
finish and sends errors beside choices, Snowflake gives no reason at the end.
"""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.ai.errors import AnswerUnreadable
from proxy.ai.formats import openai_faults as faults
from proxy.ai.formats import sse
from proxy.ai.formats.chat import answer, usage
from proxy.ai.formats.chat.growing import Growing
from proxy.ai.formats.chat.names import NAME
from proxy.ai.formats.fields import Fields, wrong_answer
from proxy.ai.middle import Begin, Counted, Event, Failed, Fault, Other, Usage

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
    ]
)
"""Fields of a chunk that are understood, or padding."""
_CHOICES = 1024
"""More than any provider gives."""


class Reader:
    def __init__(self) -> None:
        self._events = sse.Events()
        self._out: list[Event] = []
        self._begun = False
        self._over = False
        self._id = ""
        self._held: list[Event] = []
        """What was said before the answer began."""
        self._choices: dict[int, Growing] = {}
        self._more: dict[str, Any] = {}
        self._usage: Usage | None = None

    def feed(self, data: bytes) -> list[Event]:
        try:
            found = self._events.feed(data)
        except sse.TooLong:
            self._fail("An event of the provider's answer is too long.")
            return self._taken()
        return self._read(found)

    def end(self) -> list[Event]:
        return self._read(self._events.end())

    def _read(self, found: list[tuple[bytes, bytes]]) -> list[Event]:
        for _, data in found:
            if self._over:
                break
            if data == b"[DONE]":
                self._over = True
                for choice in self._choices.values():
                    choice.close()
                break
            try:
                self._chunk(_decode(data))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, AnswerUnreadable):
                self._fail("The provider's answer cannot be read.")
        return self._taken()

    def _taken(self) -> list[Event]:
        events = self._out[:]
        self._out.clear()
        return events

    def _fail(self, sentence: str) -> None:
        if not self._over:
            self._over = True
            fault = Fault(status=502, message=sentence, code="provider_answer_unreadable")
            self._out.append(Failed(fault))

    def _chunk(self, chunk: Any) -> None:
        if type(chunk) is not dict:
            raise AnswerUnreadable
        choices = chunk.get("choices")
        if not self._begun:
            self._begin(chunk)
        if type(choices) is list:
            for entry in choices:
                if type(entry) is not dict:
                    raise AnswerUnreadable
                number = entry.get("index", 0)
                choice = self._choices.get(number) if type(number) is int else None
                (choice or self._new(number)).read(entry)
        elif choices is not None:
            raise AnswerUnreadable
        for name, value in chunk.items():
            if name not in _CHUNK and value is not None and self._more.get(name) != value:
                self._news(name, value)
        counted = chunk.get("usage")
        if counted is not None or "x_groq" in chunk:
            self._count(counted, chunk.get("x_groq"))
        error = chunk.get("error")
        if error is not None:
            self._over = True
            self._out.append(Failed(faults.of_error(error)))

    def _begin(self, chunk: dict[str, Any]) -> None:
        fields = Fields(chunk, "", wrong_answer)
        self._id, model = fields.text("id"), fields.text("model")
        if self._id or chunk.get("choices") or chunk.get("usage"):
            self._begun = True
            self._out.append(Begin(self._id, model, answer.created(fields)))
            self._out += self._held

    def _new(self, number: Any) -> Growing:
        if type(number) is not int or not 0 <= number < _CHOICES:
            raise AnswerUnreadable
        made_id = answer.call_id(self._id, number)
        choice = self._choices[number] = Growing(number, made_id, self._out)
        return choice

    def _news(self, name: str, value: Any) -> None:
        """A field that is not known. What is said again and again is told once."""
        self._more[name] = value
        (self._out if self._begun else self._held).append(Other(NAME, {name: value}))

    def _count(self, given: Any, groq: Any) -> None:
        counted = usage.of_chunk(given, groq.get("usage") if type(groq) is dict else None)
        if counted is not None and counted != self._usage:
            self._usage = counted
            self._out.append(Counted(counted))
