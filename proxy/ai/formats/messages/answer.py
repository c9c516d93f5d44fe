"""A whole answer, read from Anthropic and written for a client.

Source: Anthropic's API reference (Messages, stop reasons) and the types of its Python SDK, 2.14.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from proxy.ai.errors import AnswerUnreadable, InvalidJson
from proxy.ai.formats.fields import answer_fields, encode
from proxy.ai.formats.messages import usage as counts
from proxy.ai.formats.messages.blocks import content
from proxy.ai.formats.messages.names import FINISHES, JSON_TOOL, NAME, STOP_REASONS, USUAL
from proxy.ai.formats.messages.parts import of_answer
from proxy.ai.middle import Answer, Choice, Finish, Part, Refusal, Request, ToolCall, Usage


def read_answer(body: bytes) -> Answer:
    """Raises AnswerUnreadable."""
    fields = answer_fields(body)
    if not fields.has("content"):
        raise AnswerUnreadable
    given = fields.take("content")
    try:
        choice = Choice(content(fields.at({"content": given}, ""), "content"))
    except (InvalidJson, RecursionError) as error:
        raise AnswerUnreadable from error
    answer = Answer(format=NAME, choices=[choice])
    answer.id, answer.model = fields.text("id"), fields.text("model")
    reason, bound = fields.text("stop_reason"), _bound(given)
    choice.stop_sequence = fields.text("stop_sequence") or None
    choice.finish = finish(reason, bound=bound)
    usage = fields.table("usage")
    said = counts.said_in(usage)
    if said is not None:
        answer.usage = counts.total(said)
    extra = fields.rest()
    extra.pop("type", None)
    extra.pop("role", None)
    if reason and reason not in USUAL:
        extra["stop_reason"] = reason
    if usage and (own := counts.rest(usage)):
        extra["usage"] = own
    answer.extra = extra
    return answer


def _bound(blocks: list[Any]) -> bool:
    return any(isinstance(one, dict) and one.get("name") == JSON_TOOL for one in blocks)


def finish(reason: str, *, bound: bool) -> Finish | None:
    """``bound``: the model called the tool that is no tool (``names.JSON_TOOL``). A reason that is
    not known yet ends the answer all the same."""
    if not reason:
        return None
    found = FINISHES.get(reason, "stop")
    return "stop" if bound and found == "tool_calls" else found


def stop_reason(end: Finish | None, stop_sequence: str | None, parts: list[Part]) -> str | None:
    """Whoever called a tool or refused has not simply stopped, as some providers say."""
    if end is None:
        return None
    if end == "stop":
        if any(isinstance(part, ToolCall) for part in parts):
            return "tool_use"
        if any(isinstance(part, Refusal) for part in parts):
            return "refusal"
        if stop_sequence is not None:
            return "stop_sequence"
    return STOP_REASONS[end]


def message(id: str, model: str, content: list[Any], usage: dict[str, Any]) -> dict[str, Any]:  # noqa: A002
    return {
        "id": id or f"msg_{uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def write_answer(answer: Answer, request: Request) -> bytes:
    """The first of its choices: a client of this format cannot ask for more."""
    choice = answer.choices[0] if answer.choices else Choice([], "stop")
    content = [written for part in choice.parts for written in of_answer(part)]
    extra = answer.extra if answer.format == NAME else {}
    usage: Usage | None = answer.usage
    body = message(answer.id, answer.model, content, counts.told(usage, extra.get("usage")))
    body["stop_reason"] = stop_reason(choice.finish, choice.stop_sequence, choice.parts)
    body["stop_sequence"] = choice.stop_sequence
    body.update({name: value for name, value in extra.items() if name != "usage"})
    return encode(body)
