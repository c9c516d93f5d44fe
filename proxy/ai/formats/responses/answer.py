"""Whole responses, in both directions.

Source: OpenAI's API reference, "The response object".
"""

from __future__ import annotations

import secrets
import time
from typing import Any

from proxy.ai.formats.fields import Fields, answer_fields, encode, tables
from proxy.ai.formats.responses import items, signatures, thoughts, told, tools, usage
from proxy.ai.formats.responses.names import NAME, owned
from proxy.ai.formats.responses.request import settings
from proxy.ai.middle import (
    Answer,
    Choice,
    Finish,
    Foreign,
    Media,
    Part,
    Refusal,
    Request,
    Text,
    Thinking,
    ToolCall,
)
from proxy.ai.middle.rules import Notes

_REASONS: dict[str, Finish] = {
    "max_output_tokens": "length",
    "content_filter": "content_filter",
}
_INCOMPLETE: dict[Finish, str] = {reading: reason for reason, reading in _REASONS.items()}
_RUNNING = ("queued", "in_progress")


def read_answer(body: bytes) -> Answer:
    fields = answer_fields(body)
    if not fields.has("output"):
        raise fields.wrong("output", "an array")
    return read(fields)


def read(fields: Fields) -> Answer:
    """``fields`` are a response's."""
    answer = Answer(format=NAME, id=fields.text("id"), model=fields.text("model"))
    answer.created = created(fields)
    choice = Choice([])
    for place, item in enumerate(fields.items("output")):
        inner = fields.at(item, f"output[{place}]")
        choice.parts += items.read_item(item, inner, inner.text("type"))
    choice.logprobs = _logprobs(choice.parts)
    given = fields.take("usage")
    answer.usage = usage.read(given, fields.rest().get("tool_usage"))
    status, reason = fields.text("status"), _reason(fields)
    choice.finish = finish(status, reason, choice.parts)
    answer.choices = [choice]
    for known in ("object", "output_text"):
        fields.take(known)
    answer.extra = fields.rest()
    if type(given) is dict and (more := usage.rest(given)):
        answer.extra["usage"] = more
    if status and status != status_of(choice.finish):
        answer.extra["status"] = status
    if reason and reason not in _REASONS:
        answer.extra["incomplete_details"] = {"reason": reason}
    return answer


def created(fields: Fields) -> int:
    """In whole seconds."""
    given = fields.take("created_at")
    return int(given) if type(given) in (int, float) and 0 <= given < 1 << 40 else 0


def _reason(fields: Fields) -> str:
    details = fields.inner("incomplete_details")
    return details.text("reason") if details is not None else ""


def _logprobs(parts: list[Part]) -> Any:
    """Of all texts, which also keep their own."""
    found = [
        given
        for part in parts
        if isinstance(part, Text) and (given := tables(owned(part.extra).get("logprobs")))
    ]
    return [entry for given in found for entry in given] or None


def finish(status: str, reason: str, parts: list[Part]) -> Finish | None:
    """None where the response is still being made."""
    if status == "incomplete":
        return _REASONS.get(reason, "length")
    if status in ("failed", "cancelled"):
        return "error"
    if status in _RUNNING:
        return None
    return "tool_calls" if any(isinstance(part, ToolCall) for part in parts) else "stop"


def status_of(end: Finish | None) -> str:
    if end is None or end in _INCOMPLETE:
        return "incomplete"
    return "failed" if end == "error" else "completed"


def write_answer(answer: Answer, request: Request) -> bytes:
    """The first of its choices: a client of this format cannot ask for more."""
    choice = answer.choices[0] if answer.choices else Choice([], "stop")
    body = response(answer.id, answer.created, answer.model, request)
    body["output"] = _output(choice, body["id"])
    if answer.usage is not None:
        body["usage"] = usage.write(answer.usage)
    body |= ended(choice.finish)
    if answer.format == NAME:
        body |= {name: value for name, value in answer.extra.items() if name != "usage"}
        body["usage"] = _with(body["usage"], answer.extra.get("usage"))
    return encode(body)


def _with(counted: Any, more: Any) -> Any:
    if counted is None or more is None:
        return counted
    for name, value in more.items():
        held = counted.get(name)
        counted[name] = held | value if type(held) is type(value) is dict else value
    return counted


def response(answer_id: str, made: int, model: str, request: Request) -> dict[str, Any]:
    """A response without what was answered: it repeats how it was asked for."""
    body: dict[str, Any] = {
        "id": answer_id or f"resp_{secrets.token_hex(24)}",
        "object": "response",
        "created_at": made or int(time.time()),
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": model or request.model,
        "output": [],
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "usage": None,
    }
    notes = Notes()
    body |= settings(request, notes)
    body |= tools.write(request, notes)
    if request.format == NAME:
        repeated = ("previous_response_id", "truncation", "tool_choice", "max_tool_calls")
        body |= {name: request.extra[name] for name in repeated if name in request.extra}
        body |= told.instructions(request)
    body["text"].setdefault("format", {"type": "text"})
    return body


def ended(end: Finish | None) -> dict[str, Any]:
    """The fields that say how the answer ended."""
    body: dict[str, Any] = {"status": status_of(end)}
    if body["status"] == "completed":
        body["completed_at"] = int(time.time())
    elif end in _INCOMPLETE:
        body["incomplete_details"] = {"reason": _INCOMPLETE[end]}
    elif end == "error":
        body["error"] = {"code": "server_error", "message": "The model's answer broke off."}
    return body


def _output(choice: Choice, answer_id: str) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = []
    for part in choice.parts:
        if isinstance(part, ToolCall) and part.signature:
            signed = make_id(answer_id, Thinking(), len(written))
            written.append(signatures.item(part.id, part.signature, signed))
        made = make_id(answer_id, part, len(written))
        if isinstance(part, Text | Refusal):
            if told.join(written, part):
                written[-1] = {"id": made, "status": "completed"} | written[-1]
        else:
            item = output_item(part, made)
            if item is not None:
                written.append(item)
    if choice.logprobs:
        _spread(choice.logprobs, written)
    return written


def _spread(logprobs: Any, written: list[dict[str, Any]]) -> None:
    """Puts them into the first text that has none of its own."""
    for item in written:
        for entry in item.get("content") or []:
            if entry.get("type") == "output_text":
                entry.setdefault("logprobs", [logprob(one) for one in logprobs])
                return


def logprob(entry: Any) -> Any:
    """All that the SDKs require is there; chat's may say null for bytes."""
    if type(entry) is not dict:
        return entry
    top = entry.get("top_logprobs")
    return entry | {
        "bytes": entry.get("bytes") or [],
        "top_logprobs": [logprob(one) for one in top] if type(top) is list else [],
    }


_PREFIXES: dict[type[Part], str] = {
    Text: "msg",
    Refusal: "msg",
    Thinking: "rs",
    ToolCall: "fc",
    Media: "ig",
}


def make_id(answer_id: str, part: Part, place: int) -> str:
    """For an item that has none: the same for the same answer."""
    plain = "".join(c for c in answer_id if c.isascii() and c.isalnum())[-32:]
    custom = isinstance(part, ToolCall) and part.custom
    prefix = "ctc" if custom else _PREFIXES.get(type(part), "it")
    return f"{prefix}_{plain}{place:04x}"


def output_item(part: Part, made_id: str) -> dict[str, Any] | None:
    """The whole item of a part that is no text; None for what cannot be said."""
    if isinstance(part, ToolCall):
        return {"id": made_id, "status": "completed"} | told.call(part)
    if isinstance(part, Thinking):
        return thoughts.write(part, made_id)
    if isinstance(part, Media) and part.kind == "image" and part.data:
        return told.image(part, made_id)
    if isinstance(part, Foreign) and part.format == NAME:
        return part.value
    return None
