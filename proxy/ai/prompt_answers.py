"""What a published prompt answers, from the answer of whichever provider was asked.

JSON with the model's text, or server-sent events: ``data`` with a ``delta`` of text each, and at
the end ``done`` with the summary or ``error`` with what went wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw

from proxy.ai import cut_off
from proxy.ai.calls import account, is_stream, lost, note_error, read_whole
from proxy.ai.carrying import Carried
from proxy.ai.compiled import CompiledPrompt
from proxy.ai.errors import AnswerUnreadable, OutputInvalid, ProviderBusy, ProviderRefused
from proxy.ai.formats.registry import FORMATS
from proxy.ai.joined import Used
from proxy.ai.middle import Answer, ChoiceEnd, Counted, Event, Failed, PartDelta, Text
from proxy.ai.middle.events import PartBegin
from proxy.errors import UpstreamError
from proxy.shapes import render

if TYPE_CHECKING:
    from proxy.ai.asking import Asking
    from proxy.ai.calls import Attempt
    from proxy.ai.formats import Reader
    from proxy.exchange import Exchange

_encode = msgspec.json.Encoder().encode


async def answer(
    exchange: Exchange, asking: Asking, attempt: Attempt, prompt: CompiledPrompt
) -> None:
    """Writes it whole, or as events where a stream is asked for and the provider streams. Raises
    ProviderBusy, ProviderRefused, AnswerUnreadable and OutputInvalid before it has begun."""
    if attempt.fault is not None:
        note_error(exchange, attempt.fault.status)
        raise ProviderRefused(f"The AI provider answered with an error: {attempt.fault.message}")
    if attempt.response.status >= 400:
        _refuse(exchange, attempt)
    if asking.stream and is_stream(attempt):
        await _stream(exchange, asking, attempt, prompt)
    else:
        await _whole(exchange, asking, attempt, prompt)


def _refuse(exchange: Exchange, attempt: Attempt) -> None:
    """Raises what a client of a REST API can make sense of."""
    response = attempt.response
    note_error(exchange, response.status)
    read = FORMATS[attempt.told.format].read_fault
    fault = read(response.status, dict(response.headers), attempt.body)
    if response.status == 429:
        seconds = fault.retry_after
        wait = None if seconds is None else [(b"retry-after", b"%d" % max(1, -int(-seconds // 1)))]
        raise ProviderBusy(headers=wait)
    said = f": {fault.message}" if fault.message else "."
    raise ProviderRefused(f"The AI provider answered {response.status}{said}")


def _summary(
    exchange: Exchange, prompt: CompiledPrompt, finish_reason: str | None
) -> dict[str, Any]:
    return {
        "prompt": {"name": prompt.prompt.name, "version": prompt.prompt.version},
        "model": exchange.model,
        "usage": {
            "input_tokens": exchange.input_tokens,
            "output_tokens": exchange.output_tokens,
        },
        "finish_reason": finish_reason,
    }


async def _whole(
    exchange: Exchange, asking: Asking, attempt: Attempt, prompt: CompiledPrompt
) -> None:
    said: Answer | None = attempt.answer
    text = ""
    try:
        if said is None:  # A stream was asked for.
            said = await read_whole(exchange, asking, attempt)
        account(exchange, attempt.deployment, said.usage)
        if not said.choices:
            raise AnswerUnreadable
        choice = said.choices[0]
        text = "".join(part.text for part in choice.parts if isinstance(part, Text))
        output: str | Raw = _structured(text, choice.finish) if prompt.structured else text
    except (UpstreamError, OutputInvalid):
        if said is None or said.usage is None:
            lost(exchange, attempt.deployment, attempt.told.body, len(text.encode()))
        raise
    body = _encode({"output": output} | _summary(exchange, prompt, choice.finish))
    await exchange.respond(200, [(b"content-type", b"application/json")], body)


def _structured(text: str, finish_reason: str | None) -> Raw:
    """The model's JSON as it wrote it. Raises OutputInvalid where it is none."""
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise OutputInvalid(finish_reason) from error
    return Raw(text.encode())


async def _stream(
    exchange: Exchange, asking: Asking, attempt: Attempt, prompt: CompiledPrompt
) -> None:
    exchange.streamed = True
    reader = FORMATS[attempt.told.format].reader()
    others = asking.others
    carried = None if others is None else Carried(exchange, asking, others, attempt, reader)
    course = _Course(carried or reader, attempt.told.body)
    accounted, last = False, b""
    try:
        await exchange.start(
            200, [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
        )
        if carried is None:
            last = await exchange.pour(attempt.response, course.feed)
            last = course.feed(last) + course.end()
        else:
            last = await carried.pour(course)
        _account(exchange, attempt, carried, course)
        accounted = True
        if course.failed is not None:
            raise ProviderRefused(f"The AI provider broke off: {course.failed}")
        if course.finish is None:
            raise AnswerUnreadable
        summary = _encode(_summary(exchange, prompt, course.finish))
        last += b"event: done\ndata: " + summary + b"\n\n"
    except UpstreamError as error:
        exchange.error_code = error.code
        last += b"event: error\ndata: " + render(error, exchange)[1] + b"\n\n"
    finally:
        # The client may have left. Before the last event it is needed earlier: that tells it.
        if not accounted:
            _account(exchange, attempt, carried, course)
    await exchange.finish(last)


def _account(
    exchange: Exchange, attempt: Attempt, carried: Carried | None, course: _Course
) -> None:
    if carried is None:
        cut_off.account(exchange, attempt.deployment, course.used, whole=course.whole)
    else:
        carried.account()


class _Course:
    """A provider's stream on its way to ours: the text of the first choice, and how it ended."""

    def __init__(self, reader: Reader, prompt: bytes) -> None:
        self._reader = reader
        self._texts: set[int] = set()
        self.used = Used(prompt)
        self.finish: str | None = None
        self.failed: str | None = None

    @property
    def whole(self) -> bool:
        """As in ``proxy.ai.translate``."""
        return self.finish is not None or self.failed is not None

    def feed(self, piece: bytes) -> bytes:
        return self._pass(self._reader.feed(piece)) if piece else b""

    def end(self) -> bytes:
        return self._pass(self._reader.end())

    def _pass(self, events: list[Event]) -> bytes:
        texts = []
        for event in events:
            if isinstance(event, PartDelta):
                self.used.says(event.text)
                if event.choice == 0 and event.part in self._texts and event.text:
                    texts.append(b"data: " + _encode({"delta": event.text}) + b"\n\n")
            elif isinstance(event, PartBegin):
                if event.choice == 0 and isinstance(event.value, Text):
                    self._texts.add(event.part)
            elif isinstance(event, ChoiceEnd):
                self.finish = event.finish if event.choice == 0 else self.finish
            elif isinstance(event, Counted):
                self.used.counted(event.usage)
            elif isinstance(event, Failed):
                self.failed = event.fault.message
        return b"".join(texts)
