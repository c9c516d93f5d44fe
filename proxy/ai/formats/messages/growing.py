"""How a part begins as a block of a stream, and grows in deltas."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.ai.formats.messages.names import NAME, own
from proxy.ai.formats.messages.parts import as_text, called, citation, mark_of
from proxy.ai.middle import Foreign, Media, Part, Refusal, Text, Thinking, ToolCall, ToolResult

GROWN = {
    "text": b'{"type":"text_delta","text":',
    "thinking": b'{"type":"thinking_delta","thinking":',
    "tool_use": b'{"type":"input_json_delta","partial_json":',
}
"""By the type of a block: a delta up to its text. The text and a brace follow."""

_encode = msgspec.json.Encoder().encode


def first_block(part: Part) -> dict[str, Any] | None:
    """The block without what grows; None where this format has none for the part."""
    match part:
        case Text():
            block: dict[str, Any] = {"type": "text", "text": "", **own(part.extra)}
            if part.citations:
                block["citations"] = []
        case Refusal() | Media():
            block = {"type": "text", "text": ""}
        case ToolCall():
            block = called(part)
        case Thinking():
            block = thinking(part)
        case Foreign():
            if part.format != NAME:
                return None
            block = dict(part.value)
            if block.get("input"):
                block["input"] = {}
        case ToolResult():
            return None
    return block


def thinking(part: Thinking) -> dict[str, Any]:
    return {"type": "thinking", "thinking": "", "signature": mark_of(part), **own(part.extra)}


def first_deltas(part: Part) -> list[dict[str, Any]]:
    """What the part has already when it begins."""
    match part:
        case Text() | Refusal():
            deltas = [grown(part, part.text)] if part.text else []
            if isinstance(part, Text):
                cited = [citation(one) for one in part.citations]
                deltas += [{"type": "citations_delta", "citation": one} for one in cited]
        case Media():
            deltas = [{"type": "text_delta", "text": as_text(part)}]
        case ToolCall():
            opening = '{"input":"' if part.custom else part.arguments
            deltas = [grown(part, opening)] if opening else []
        case Thinking():
            deltas = [grown(part, part.text)] if part.text else []
        case Foreign():
            given = part.value.get("input")
            written = _encode(given).decode() if given else ""
            deltas = [{"type": "input_json_delta", "partial_json": written}] if written else []
        case ToolResult():
            deltas = []
    return deltas


def grown(part: Part, text: str) -> dict[str, Any]:
    """More of the part's text, as a delta; empty where the part has none."""
    match part:
        case Text() | Refusal():
            return {"type": "text_delta", "text": text}
        case Thinking():
            return {"type": "thinking_delta", "thinking": text}
        case ToolCall():
            return {"type": "input_json_delta", "partial_json": text}
        case _:
            return {}
