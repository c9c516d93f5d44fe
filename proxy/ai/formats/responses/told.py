"""Messages, written as items for a provider.

Source: OpenAI's API reference, "Create a model response", ``input``.
"""

from __future__ import annotations

from typing import Any

from proxy.ai.formats.responses import content, thoughts
from proxy.ai.formats.responses.names import NAME, owned
from proxy.ai.middle import (
    Foreign,
    Media,
    Message,
    Part,
    Refusal,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from proxy.ai.middle.rules import Notes


def write_input(request: Request, notes: Notes) -> dict[str, Any]:
    """``instructions`` and ``input``."""
    own_format = request.format == NAME
    messages = request.messages
    written = instructions(request)
    if written:
        messages = messages[1:]
    custom = _custom_calls(request)
    items: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "assistant":
            items += _assistant(message, notes, own_format)
        else:
            items += _others(message, notes, own_format, custom)
    return written | {"input": items}


def instructions(request: Request) -> dict[str, Any]:
    """Of a first message that is the system's and nothing but text; else nothing."""
    first = request.messages[0] if request.messages else None
    if first is None or first.role != "system" or first.extra:
        return {}
    texts = [
        part.text
        for part in first.parts
        if isinstance(part, Text) and not part.cache and not part.extra
    ]
    if len(texts) != len(first.parts) or (request.format == NAME and len(texts) != 1):
        return {}
    text = "\n\n".join(texts)
    return {"instructions": text} if text else {}


def _custom_calls(request: Request) -> set[str]:
    return {
        part.id
        for message in request.messages
        for part in message.parts
        if isinstance(part, ToolCall) and part.custom
    }


def _others(
    message: Message, notes: Notes, own_format: bool, custom: set[str]
) -> list[dict[str, Any]]:
    """Results of tools come first: they must follow the calls."""
    items: list[dict[str, Any]] = []
    said: list[Part] = []
    for part in message.parts:
        if isinstance(part, ToolResult):
            items.append(_result(part, notes, own_format, custom))
        elif _is_item(part) and isinstance(part, Foreign):
            items.append(part.value)
        else:
            said.append(part)
    if said or not message.parts:
        written = content.write(said, notes, own_format)
        items.append({"role": message.role, "content": written} | owned(message.extra))
    return items


def _is_item(part: Part) -> bool:
    return isinstance(part, Foreign) and part.format == NAME and "content" not in part.value


def _result(result: ToolResult, notes: Notes, own_format: bool, custom: set[str]) -> dict[str, Any]:
    if result.failed:
        notes.lacks("tool_result.is_error")
    if result.cache:
        notes.lacks("tool_result.cache_control")
    kind = "custom_tool_call_output" if result.call_id in custom else "function_call_output"
    output = content.write(result.parts, notes, own_format)
    item = {"type": kind, "call_id": result.call_id, "output": output}
    return item | owned(result.extra)


def _assistant(message: Message, notes: Notes, own_format: bool) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    for part in message.parts:
        if isinstance(part, Text | Refusal):
            join(items, part)
        elif isinstance(part, ToolCall):
            items.append(call(part))
        elif isinstance(part, Thinking):
            if thoughts.is_ours(part) or (own_format and thoughts.is_unsigned(part)):
                items.append(thoughts.write(part, ""))
            else:
                notes.lacks("thinking")
        elif isinstance(part, Media) and owned(part.extra).get("id"):
            items.append(image(part, ""))
        elif _is_item(part) and isinstance(part, Foreign):
            items.append(part.value)
        elif isinstance(part, Media) and part.transcript:
            notes.maps("audio", "text")
            join(items, Text(part.transcript))
        else:
            notes.lacks(
                f"assistant.{part.kind}" if isinstance(part, Media) else content.named(part)
            )
    for item in items:
        if item.get("type") == "message" and "id" not in item:
            _plain(item)
    return items


def join(items: list[dict[str, Any]], part: Text | Refusal) -> bool:
    """Puts a text into the last item if it belongs there, else (True) into a new one."""
    last = items[-1] if items else {}
    its = owned(part.extra).get("item", {}) if isinstance(part, Text) else {}
    if last.get("type") == "message" and (not its or last.get("id") == its.get("id")):
        last["content"].append(content.said(part))
        return False
    items.append({"type": "message", "role": "assistant", "content": [content.said(part)]} | its)
    return True


def _plain(item: dict[str, Any]) -> None:
    """An item without an id is the client's own record: the short form."""
    del item["type"]
    first = item["content"][0]
    short = len(item["content"]) == 1 and first.keys() == {"type", "text", "annotations"}
    if short and not first["annotations"]:
        item["content"] = first["text"]


def call(part: ToolCall) -> dict[str, Any]:
    if part.custom:
        item = {"type": "custom_tool_call", "input": part.arguments}
    else:
        item = {"type": "function_call", "arguments": part.arguments or "{}"}
    return item | {"call_id": part.id, "name": part.name} | owned(part.extra)


def image(part: Media, item_id: str) -> dict[str, Any]:
    item = {"type": "image_generation_call", "id": item_id, "status": "completed"}
    return item | {"result": part.data or part.url} | owned(part.extra)
