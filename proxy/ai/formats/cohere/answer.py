"""A whole answer of Cohere's.

Of the tokens those that are billed are counted, where it says them. What came from a cache may be
more than that, and is then part of what is not billed.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from proxy.ai.formats.cohere import parts
from proxy.ai.formats.cohere.parts import FORMAT, Block
from proxy.ai.formats.fields import answer_fields, encode
from proxy.ai.middle import Answer, Choice, Finish, Request, Usage
from proxy.ai.middle.rules import Notes

FINISHES: dict[str, Finish] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
}
REASONS: dict[Finish, str] = {
    "stop": "COMPLETE",
    "length": "MAX_TOKENS",
    "tool_calls": "TOOL_CALL",
    "content_filter": "ERROR_TOXIC",
    "pause": "COMPLETE",
    "error": "ERROR",
}
Tokens = Annotated[float, Meta(ge=0, le=1 << 40)]


class Units(Struct):
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    search_units: Tokens | None = None


class Counts(Struct):
    billed_units: Units | None = None
    tokens: Units | None = None
    cached_tokens: Tokens | None = None


class _Delta(Struct):
    usage: Counts | None = None


class _Counted(Struct):
    usage: Counts | None = None
    delta: _Delta | None = None


_decode = msgspec.json.Decoder(_Counted).decode


def read_usage(data: bytes) -> Usage | None:
    try:
        said = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    counts = said.usage or (said.delta.usage if said.delta is not None else None)
    return None if counts is None else usage_of(counts)


def of_untyped(value: Any) -> Usage | None:
    try:
        return usage_of(msgspec.convert(value, Counts))
    except msgspec.ValidationError:
        return None


def usage_of(counts: Counts) -> Usage | None:
    units = counts.billed_units
    if units is None or units.input_tokens is None:
        units = counts.tokens
    if units is None or units.input_tokens is None:
        return None
    cached = counts.cached_tokens
    if cached is not None and cached > units.input_tokens:
        cached = None
    return Usage(
        int(units.input_tokens),
        int(units.output_tokens or 0),
        None if cached is None else int(cached),
    )


def written_usage(usage: Usage) -> Block:
    units = {"input_tokens": usage.input_tokens or 0, "output_tokens": usage.output_tokens or 0}
    told: Block = {"billed_units": units, "tokens": units}
    if usage.cached_tokens is not None:
        told["cached_tokens"] = usage.cached_tokens
    return told


def read_answer(body: bytes) -> Answer:
    """Raises AnswerUnreadable."""
    fields = answer_fields(body)
    answer = Answer(format=FORMAT, id=fields.text("id"))
    message = fields.inner("message")
    if message is not None:
        message.take("role")
        choice = Choice(parts.read_message(message))
        reason = fields.text("finish_reason")
        choice.finish = FINISHES.get(reason, "error") if reason else None
        own = message.rest()
        if choice.finish is not None and REASONS[choice.finish] != reason:
            own["finish_reason"] = reason
        choice.extra = {FORMAT: own} if own else None
        answer.choices.append(choice)
    counted = fields.take("usage")
    answer.usage = None if counted is None else of_untyped(counted)
    answer.extra = fields.rest()
    return answer


def write_answer(answer: Answer, request: Request) -> bytes:
    choice = answer.choices[0] if answer.choices else Choice([], "stop")
    own = dict((choice.extra or {}).get(FORMAT, {}))
    reason = own.pop("finish_reason", None) or REASONS[choice.finish or "error"]
    message = parts.write_message(choice.parts, Notes(mode="drop"))
    told: Block = {
        "id": answer.id,
        "finish_reason": reason,
        "message": {"role": "assistant", **message, **own},
    }
    if answer.usage is not None:
        told["usage"] = written_usage(answer.usage)
    return encode(told | (answer.extra if answer.format == FORMAT else {}))
