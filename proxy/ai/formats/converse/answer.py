"""A whole answer of Converse's, read and written.

``inputTokens`` are those that came from no cache and went to none; the middle form's are all.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from proxy.ai.formats.converse import blocks
from proxy.ai.formats.converse.blocks import FORMAT, Block
from proxy.ai.formats.fields import answer_fields, encode
from proxy.ai.formats.messages.usage import split
from proxy.ai.middle import Answer, Choice, Finish, Request, Usage
from proxy.ai.middle.rules import Notes

FINISHES: dict[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
REASONS: dict[Finish, str] = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "length": "max_tokens",
    "content_filter": "content_filtered",
    "pause": "end_turn",
    "error": "malformed_model_output",
}
Tokens = Annotated[int, Meta(ge=0, le=1 << 40)]


class Detail(Struct, rename="camel"):
    ttl: str = ""
    input_tokens: Tokens = 0


class Counts(Struct, rename="camel"):
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    cache_read_input_tokens: Tokens | None = None
    cache_write_input_tokens: Tokens | None = None
    cache_details: list[Detail] | None = None


class _Counted(Struct):
    usage: Counts | None = None


_decode = msgspec.json.Decoder(_Counted).decode


def read_usage(data: bytes) -> Usage | None:
    try:
        counts = _decode(data).usage
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if counts is None else usage_of(counts)


def usage_of(counts: Counts) -> Usage | None:
    if counts.input_tokens is None:
        return None
    read, written = counts.cache_read_input_tokens, counts.cache_write_input_tokens
    hours = [detail.input_tokens for detail in counts.cache_details or [] if detail.ttl == "1h"]
    return Usage(
        input_tokens=counts.input_tokens + (read or 0) + (written or 0),
        output_tokens=counts.output_tokens or 0,
        cached_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=sum(hours) if hours else None,
    )


def of_untyped(value: Any) -> Usage | None:
    try:
        return usage_of(msgspec.convert(value, Counts))
    except msgspec.ValidationError:
        return None


def written_usage(usage: Usage) -> Block:
    fresh, read, written = split(usage)
    asked, wrote = usage.input_tokens or 0, usage.output_tokens or 0
    told: Block = {
        "inputTokens": fresh,
        "outputTokens": wrote,
        "totalTokens": asked + wrote,
    }
    if read is not None:
        told["cacheReadInputTokens"] = read
    if written is not None:
        told["cacheWriteInputTokens"] = written
    hour = usage.cache_write_1h_tokens
    if hour is not None:
        told["cacheDetails"] = [{"ttl": "1h", "inputTokens": hour}]
    return told


def read_answer(body: bytes) -> Answer:
    """Raises AnswerUnreadable."""
    fields = answer_fields(body)
    answer = Answer(format=FORMAT)
    output = fields.inner("output")
    message = output.inner("message") if output is not None else None
    if message is not None:
        choice = Choice(blocks.read_all(message, "content"))
        reason = fields.text("stopReason")
        choice.finish = FINISHES.get(reason, "error") if reason else None
        if reason and (choice.finish is None or REASONS[choice.finish] != reason):
            choice.extra = {FORMAT: {"stopReason": reason}}
        answer.choices.append(choice)
    counted = fields.take("usage")
    answer.usage = None if counted is None else of_untyped(counted)
    answer.extra = fields.rest()
    return answer


def write_answer(answer: Answer, request: Request) -> bytes:
    choice = answer.choices[0] if answer.choices else Choice([], "stop")
    content = blocks.write_all(choice.parts, Notes(mode="drop"), own=True)
    told: Block = {"output": {"message": {"role": "assistant", "content": content}}}
    own = (choice.extra or {}).get(FORMAT, {})
    if choice.finish is not None:
        told["stopReason"] = own.get("stopReason") or REASONS[choice.finish]
    if answer.usage is not None:
        told["usage"] = written_usage(answer.usage)
    if answer.format == FORMAT:
        told |= answer.extra
    return encode(told)
