"""A provider's answer in another format than the client's: read, and written anew.

Streams are translated piece by piece as they come. A client that asked for a stream gets one even
where the provider sent a whole answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.ai import cut_off
from proxy.ai.calls import account, is_stream, lost, note_error, read_whole
from proxy.ai.carrying import Carried
from proxy.ai.errors import AnswerUnreadable
from proxy.ai.formats.operations import family
from proxy.ai.formats.registry import FORMATS
from proxy.ai.joined import Used
from proxy.ai.middle import Answer, ChoiceEnd, Counted, Event, Failed, Fault, PartDelta
from proxy.ai.middle.events import unfold
from proxy.errors import GatewayError, Headers, UpstreamError

if TYPE_CHECKING:
    from proxy.ai.asking import Asking
    from proxy.ai.calls import Attempt
    from proxy.ai.formats import Format, Reader, Writer
    from proxy.exchange import Exchange

_JSON = (b"content-type", b"application/json")


async def translate(exchange: Exchange, asking: Asking, attempt: Attempt) -> None:
    """Raises UpstreamError and AnswerUnreadable before the answer has begun."""
    theirs, ours = attempt.told.format, asking.format
    response = attempt.response
    if response.status >= 400:
        await _fault(exchange, attempt, family(theirs), family(ours))
        return
    if attempt.answer is None and is_stream(attempt):
        await _stream(exchange, asking, attempt, FORMATS[theirs], FORMATS[ours])
        return
    answer = attempt.answer
    try:
        if answer is None:  # A stream was asked for.
            answer = await read_whole(exchange, asking, attempt)
    except UpstreamError:
        lost(exchange, attempt.deployment, attempt.told.body)
        raise
    if asking.keep is not None and theirs == ours:
        asking.keep.saw(answer.id)
    account(exchange, attempt.deployment, answer.usage)
    answer.model = exchange.model
    if asking.stream and ours in FORMATS:
        await _unfold(exchange, asking, answer, FORMATS[ours])
    else:
        try:
            body = asking.formats[ours].write_answer(answer, asking.request)
        except AnswerUnreadable:
            if answer.usage is None:
                lost(exchange, attempt.deployment, attempt.told.body)
            raise
        # Of sound and of plain text; all else is JSON.
        other: bytes = getattr(answer, "content_type", b"")
        await exchange.respond(200, [(b"content-type", other) if other else _JSON], body)


async def _fault(exchange: Exchange, attempt: Attempt, theirs: Format, ours: Format) -> None:
    response = attempt.response
    await say_fault(
        exchange, theirs.read_fault(response.status, dict(response.headers), attempt.body), ours
    )


async def say_fault(exchange: Exchange, fault: Fault, ours: Format) -> None:
    """What the provider said in place of an answer."""
    status = fault.status if fault.status >= 400 else 502
    note_error(exchange, status)
    headers: Headers = [_JSON]
    if fault.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, -int(-fault.retry_after // 1))))
    await exchange.respond(status, headers, ours.write_fault(fault))


async def _unfold(exchange: Exchange, asking: Asking, answer: Answer, ours: Format) -> None:
    writer = ours.writer(asking.request)
    await _begin(exchange, ours)
    await exchange.finish(writer.write(unfold(answer)) + writer.end())


async def _begin(exchange: Exchange, ours: Format) -> None:
    exchange.streamed = True
    headers = [(b"content-type", ours.STREAM_TYPE), (b"cache-control", b"no-cache")]
    await exchange.start(200, headers)


async def _stream(
    exchange: Exchange, asking: Asking, attempt: Attempt, theirs: Format, ours: Format
) -> None:
    reader = theirs.reader()
    if asking.keep is not None and theirs is ours:
        reader = asking.keep.reading(reader)
    others = asking.others
    carried = None if others is None else Carried(exchange, asking, others, attempt, reader)
    sent = attempt.told.body
    course = Course(carried or reader, ours.writer(asking.request), exchange.model, sent)
    await _begin(exchange, ours)
    try:
        if carried is None:
            last = await exchange.pour(attempt.response, course.feed)
            last = course.feed(last) + course.end()
        else:
            last = await carried.pour(course)
        if course.fault is not None:
            exchange.error_code = "provider_error"
        elif not course.ended:
            exchange.error_code = AnswerUnreadable.code
            last += ours.write_stream_fault(_as_fault(AnswerUnreadable()))
    except UpstreamError as error:
        exchange.error_code = error.code
        last = ours.write_stream_fault(_as_fault(error))
    finally:
        if carried is None:
            cut_off.account(exchange, attempt.deployment, course.used, whole=course.whole)
        else:
            carried.account()
    await exchange.finish(last)


class Course:
    """One stream on its way from a reader to a writer."""

    __slots__ = ("_model", "_reader", "_writer", "ended", "fault", "used")

    def __init__(self, reader: Reader, writer: Writer, model: str, prompt: bytes) -> None:
        self._reader = reader
        self._writer = writer
        self._model = model
        self.used = Used(prompt)
        self.fault: Fault | None = None
        self.ended = False
        """Every choice that was begun has come to its end."""

    @property
    def whole(self) -> bool:
        """Neither did the client leave, nor did the stream break off."""
        return self.ended or self.fault is not None

    def feed(self, piece: bytes) -> bytes:
        return self._pass(self._reader.feed(piece)) if piece else b""

    def end(self) -> bytes:
        """What is left, with the format's own end where the answer has come to its."""
        left = self._pass(self._reader.end())
        return left + self._writer.end() if self.ended and self.fault is None else left

    def _pass(self, events: list[Event]) -> bytes:
        if not events:
            return b""
        for event in events:
            if isinstance(event, PartDelta):
                self.used.says(event.text)
            elif isinstance(event, Counted):
                self.used.counted(event.usage)
            elif isinstance(event, ChoiceEnd):
                self.ended = True
            elif isinstance(event, Failed):
                self.fault = event.fault
        return self._writer.write(events)


def _as_fault(error: GatewayError) -> Fault:
    return Fault(status=error.status, message=error.detail, kind="server_error", code=error.code)
