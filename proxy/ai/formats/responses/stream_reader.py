"""Streamed responses, read.

Source: OpenAI's API reference, "Streaming events". The event that ends a response has all of it;
what was told before is not looked up there again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from proxy.ai.errors import AnswerUnreadable
from proxy.ai.formats import sse
from proxy.ai.formats.fields import Fields, wrong_answer
from proxy.ai.formats.responses import answer, faults, usage
from proxy.ai.formats.responses.growing import CONTENT_DELTA, PADDING, Growing
from proxy.ai.formats.responses.names import NAME
from proxy.ai.middle import Begin, ChoiceEnd, Counted, Event, Failed, Fault, Other

_decode = msgspec.json.Decoder().decode

_BEGUN = frozenset(
    ["object", "output", "status", "error", "incomplete_details", "usage", "completed_at"]
)
"""Fields of a response that has begun which say nothing yet."""
_BEGINNINGS = ("response.created", "response.queued", "response.in_progress")
_ENDS = ("response.completed", "response.incomplete", "response.failed")


class Reader:
    def __init__(self) -> None:
        self._events = sse.Events()
        self._out: list[Event] = []
        self._growing = Growing(self._out)
        self._begun = False
        self._over = False

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
            if self._over or data == b"[DONE]":
                break
            try:
                self._event(_decode(data))
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

    def _event(self, event: Any) -> None:
        if type(event) is not dict:
            raise AnswerUnreadable
        kind = event.get("type")
        if type(kind) is not str or kind == "error":
            self._over = True
            self._out.append(Failed(faults.of_event(event)))
            return
        if not self._begun:
            self._begin(event.get("response") if kind in _BEGINNINGS or kind in _ENDS else {})
        handle = _HANDLERS.get(kind)
        if handle is not None:
            handle(self._growing, event)
        elif kind in _ENDS:
            self._finished(kind, event.get("response"))
        elif kind not in _REPEATED:
            self._out.append(Other(NAME, {k: v for k, v in event.items() if k not in PADDING}))

    def _begin(self, response: Any) -> None:
        self._begun = True
        fields = Fields(response, "response", wrong_answer)
        self._out.append(Begin(fields.text("id"), fields.text("model"), answer.created(fields)))
        more = {name: value for name, value in fields.rest().items() if name not in _BEGUN}
        if more:
            self._out.append(Other(NAME, {"response": more}))

    def _finished(self, kind: str, response: Any) -> None:
        if type(response) is not dict:
            raise AnswerUnreadable
        counted = usage.read(response.get("usage"), response.get("tool_usage"))
        if kind != "response.failed":
            self._growing.close(response.get("output"))
        self._over = True
        if counted is not None:
            self._out.append(Counted(counted))
        if kind == "response.failed":
            self._out.append(Failed(faults.of_response(response)))
            return
        details = response.get("incomplete_details")
        reason = details.get("reason") if type(details) is dict else ""
        end = answer.finish(kind.removeprefix("response."), str(reason), [])
        if end == "stop" and self._growing.calls:
            end = "tool_calls"
        self._out.append(ChoiceEnd(0, end or "stop"))


_HANDLERS: dict[str, Callable[[Growing, dict[str, Any]], None]] = {
    "response.output_item.added": Growing.item_added,
    "response.output_item.done": Growing.item_done,
    "response.content_part.added": Growing.content_added,
    "response.content_part.done": Growing.content_done,
    "response.output_text.delta": Growing.text_delta,
    "response.output_text.done": Growing.text_done,
    "response.output_text.annotation.added": Growing.annotation,
    "response.refusal.delta": Growing.refusal_delta,
    "response.refusal.done": Growing.text_done,
    "response.reasoning_summary_text.delta": Growing.thought_delta,
    CONTENT_DELTA: Growing.thought_delta,
    "response.function_call_arguments.delta": Growing.call_delta,
    "response.custom_tool_call_input.delta": Growing.call_delta,
}
_REPEATED = frozenset(
    [
        *_BEGINNINGS,
        "response.function_call_arguments.done",
        "response.custom_tool_call_input.done",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_part.done",
        "response.reasoning_summary_text.done",
        "response.reasoning_text.done",
    ]
)
"""They say nothing that other events do not say."""
