"""A streamed answer, written for a client that speaks Anthropic's Messages API.

Here one block follows another: of parts that overlap, the later ones wait until the one before
them has ended. ``message_start`` waits for what comes together with the begin, as the usage is in
it; ``message_delta`` waits for the end, as many providers tell their usage last.

Source: Anthropic's API reference, streaming messages.
"""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.ai.formats.messages import usage as counts
from proxy.ai.formats.messages.answer import message, stop_reason
from proxy.ai.formats.messages.faults import write_stream_fault
from proxy.ai.formats.messages.growing import GROWN, first_block, first_deltas, grown, thinking
from proxy.ai.formats.messages.names import NAME, own
from proxy.ai.formats.messages.parts import citation, mark_of
from proxy.ai.formats.sse import event
from proxy.ai.middle import (
    Begin,
    ChoiceEnd,
    Counted,
    Event,
    Failed,
    Other,
    Part,
    PartBegin,
    PartCited,
    PartDelta,
    PartEnd,
    PartSigned,
    Request,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from proxy.ai.middle.events import merged, signed

_encode = msgspec.json.Encoder().encode
_DELTA = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":%b}\n\n'
)

_OfPart = PartBegin | PartDelta | PartSigned | PartCited | PartEnd


class Writer:
    def __init__(self, request: Request) -> None:
        self._begin: Begin | None = None
        self._started = self._failed = False
        self._usage: Usage | None = None
        self._first: dict[str, Any] = {}
        """What this format alone said of the message's begin; ``_last``: of its end."""
        self._last: dict[str, Any] = {}
        self._end: ChoiceEnd | None = None
        self._parts: list[Part] = []
        self._now: int | None = None
        """The part that is being written; ``_part`` is what it began as."""
        self._part: Part = Text("")
        self._signed = False
        self._waiting: dict[int, list[_OfPart]] = {}
        self._index = -1
        self._indexes: dict[int, int] = {}
        self._open = False
        """The block numbered ``_index`` has begun and not ended."""
        self._grown = b""
        """The beginning of a delta of the open block, up to its text."""

    def write(self, events: list[Event]) -> bytes:
        out: list[bytes] = []
        for one in events:
            if type(one) is PartDelta and self._grown and one.part == self._now and not one.choice:
                out.append(b"%b%b}}\n\n" % (self._grown, _encode(one.text)))
            elif not self._failed:
                self._write(signed(one, events), out)
        if self._begin is not None and not self._started and not self._failed:
            self._start(out)
        return b"".join(out)

    def end(self) -> bytes:
        end = self._end
        if end is None or self._failed:
            return b""
        self._end = None
        out: list[bytes] = []
        while self._now is not None:
            self._close(out)
            self._next(out)
        last = self._last
        usage = counts.told(self._usage, last.pop("usage", None))
        delta = {
            "stop_reason": stop_reason(end.finish, end.stop_sequence, self._parts),
            "stop_sequence": end.stop_sequence,
            **last.pop("delta", {}),
        }
        last = {"type": "message_delta", "delta": delta, "usage": usage, **last}
        out.append(event(_encode(last), b"message_delta"))
        out.append(event(b'{"type":"message_stop"}', b"message_stop"))
        return b"".join(out)

    def _write(self, one: Event, out: list[bytes]) -> None:
        match one:
            case Begin():
                self._begin = one
            case Counted(usage):
                self._usage = merged(self._usage, usage)
            case Other():
                if one.format == NAME:
                    self._other(one.value, out)
            case Failed(fault):
                self._failed = True
                self._grown = b""
                out.append(write_stream_fault(fault))
            case ChoiceEnd():
                if not one.choice:
                    self._end = one
            case _:
                if not one.choice:
                    self._of_part(one, out)

    def _start(self, out: list[bytes]) -> None:
        self._started = True
        begin, first = self._begin or Begin(), self._first
        usage = counts.told(self._usage, first.pop("usage", None))
        value = {**message(begin.id, begin.model, [], usage), **first}
        out.append(event(_encode({"type": "message_start", "message": value}), b"message_start"))

    def _other(self, value: dict[str, Any], out: list[bytes]) -> None:
        kind = value.get("type")
        if kind == "message_start":
            self._first = dict(value["message"])
        elif kind == "message_delta":
            self._last = {name: own for name, own in value.items() if name != "type"}
        elif str(kind).isprintable():  # It names the event, in a line of its own.
            if not self._started:
                self._start(out)
            if kind == "content_block_delta":
                index = self._indexes.get(value["index"])
                if index is None:
                    return
                value = {**value, "index": index}
            out.append(event(_encode(value), str(kind).encode()))

    def _of_part(self, one: _OfPart, out: list[bytes]) -> None:
        if not self._started:
            self._start(out)
        waits = self._waiting.get(one.part)
        if waits is not None:
            waits.append(one)
        elif isinstance(one, PartBegin):
            if self._now is None:
                self._begin_part(one, out)
            else:
                self._waiting[one.part] = [one]
        elif one.part == self._now:
            self._go_on(one, out)
            self._next(out)

    def _next(self, out: list[bytes]) -> None:
        """What has waited for the part before it."""
        while self._now is None and self._waiting:
            part = next(iter(self._waiting))
            for one in self._waiting.pop(part):
                if isinstance(one, PartBegin):
                    self._begin_part(one, out)
                else:
                    self._go_on(one, out)

    def _begin_part(self, begun: PartBegin, out: list[bytes]) -> None:
        part = begun.value
        self._now, self._part, self._signed = begun.part, part, False
        self._parts.append(part)
        if isinstance(part, Thinking) and part.sealed:
            # What cannot be read is a block for itself; should more follow, it is in another.
            data = mark_of(part) + part.sealed
            sealed = {"type": "redacted_thinking", "data": data, **own(part.extra)}
            self._begin_block(sealed, out)
            return
        block = first_block(part)
        if block is None:
            return
        self._begin_block(block, out)
        self._indexes[begun.part] = self._index
        for delta in first_deltas(part):
            out.append(_DELTA % (self._index, _encode(delta)))

    def _begin_block(self, block: dict[str, Any], out: list[bytes]) -> None:
        self._index += 1
        self._open = True
        value = {"type": "content_block_start", "index": self._index, "content_block": block}
        out.append(event(_encode(value), b"content_block_start"))
        grown = GROWN.get(block["type"])
        if grown is not None and not (isinstance(self._part, ToolCall) and self._part.custom):
            self._grown = (_DELTA % (self._index, grown)).removesuffix(b"}\n\n")

    def _end_block(self, out: list[bytes]) -> None:
        if self._open:
            self._open, self._grown = False, b""
            value = b'{"type":"content_block_stop","index":%d}' % self._index
            out.append(event(value, b"content_block_stop"))

    def _close(self, out: list[bytes]) -> None:
        if isinstance(self._part, ToolCall) and self._part.custom:
            self._delta({"type": "input_json_delta", "partial_json": '"}'}, out)
        elif isinstance(self._part, Thinking) and self._grown and not self._signed:
            self._sign(mark_of(self._part) + self._part.signature, out)
        self._end_block(out)
        self._now = None

    def _sign(self, signature: str, out: list[bytes]) -> None:
        self._signed = True
        if signature:
            self._delta({"type": "signature_delta", "signature": signature}, out)

    def _delta(self, delta: dict[str, Any], out: list[bytes]) -> None:
        part = self._part
        if isinstance(part, Thinking) and part.sealed and not self._grown:
            self._end_block(out)
            self._begin_block(thinking(part), out)
        elif not self._open:
            return
        out.append(_DELTA % (self._index, _encode(delta)))

    def _go_on(self, one: _OfPart, out: list[bytes]) -> None:
        part = self._part
        match one:
            case PartDelta(text=text):
                if isinstance(part, ToolCall) and part.custom:
                    # The text stands within a JSON string.
                    text = _encode(text).decode()[1:-1]
                if text and (delta := grown(part, text)):
                    self._delta(delta, out)
            case PartCited(citation=source):
                if isinstance(part, Text):
                    self._delta({"type": "citations_delta", "citation": citation(source)}, out)
            case PartSigned(signature=signature):
                if isinstance(part, Thinking):
                    self._sign(mark_of(part) + signature, out)
            case PartEnd():
                self._close(out)
