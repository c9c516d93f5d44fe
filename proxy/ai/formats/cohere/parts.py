"""Content of messages, read and written."""

from __future__ import annotations

from typing import Any

from proxy.ai.formats import data_url
from proxy.ai.formats.fields import Fields, encode
from proxy.ai.middle import (
    Citation,
    Foreign,
    Media,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from proxy.ai.middle.rules import Notes

FORMAT = "cohere"
PLAN = {FORMAT: {"tool_plan": True}}
"""Of what the model says before it calls tools."""
Block = dict[str, Any]


def read_message(message: Fields) -> list[Part]:
    """Of an assistant's message, in a request or an answer."""
    found: list[Part] = []
    plan = message.text("tool_plan")
    if plan:
        found.append(Thinking(plan, extra=PLAN))
    found += read_content(message)
    cite(found, message.items("citations"))
    found += [call(one) for one in message.each("tool_calls")]
    return found


def read_content(message: Fields) -> list[Part]:
    content = message.take("content")
    if type(content) is str:
        return [Text(content)]
    if content is None:
        return []
    if type(content) is not list:
        raise message.wrong("content", "a string or an array")
    return [_part(message.at(value, f"content[{place}]")) for place, value in enumerate(content)]


def _part(block: Fields) -> Part:
    kind = block.text("type")
    if kind == "text":
        return Text(block.text("text"))
    if kind == "thinking":
        return Thinking(block.text("thinking"))
    if kind == "image_url":
        image = block.inner("image_url")
        if image is not None:
            url, detail = image.text("url"), image.text("detail")
            split = data_url.split(url)
            if split is not None:
                return Media("image", split[0], data=split[1], detail=detail)
            return Media("image", url=url, detail=detail)
    return Foreign(FORMAT, {"type": kind, **block.rest()})


def cite(found: list[Part], given: list[Any]) -> None:
    texts = [part for part in found if isinstance(part, Text)]
    for raw in given:
        if texts and type(raw) is dict:
            texts[-1].citations.append(citation(raw))


def citation(raw: Block) -> Citation:
    start, end, quote = raw.get("start"), raw.get("end"), raw.get("text")
    return Citation(
        quote=quote if type(quote) is str else "",
        start=start if type(start) is int else None,
        end=end if type(end) is int else None,
        format=FORMAT,
        raw=raw,
    )


def call(fields: Fields) -> ToolCall:
    function = fields.inner("function")
    made = ToolCall(fields.text("id"), function.text("name") if function is not None else "")
    if function is not None:
        made.arguments = function.text("arguments")
    return made


def write_message(parts: list[Part], notes: Notes) -> Block:
    """An assistant's message, but for its role."""
    told: Block = {}
    content: list[Block] = []
    calls: list[Block] = []
    citations: list[Block] = []
    for part in parts:
        if isinstance(part, ToolCall):
            function = {"name": part.name, "arguments": part.arguments or "{}"}
            calls.append({"id": part.id, "type": "function", "function": function})
        elif isinstance(part, Thinking) and part.extra == PLAN:
            told["tool_plan"] = part.text
        else:
            block = write_part(part, notes)
            if block is not None:
                content.append(block)
            if isinstance(part, Text):
                own = [one.raw for one in part.citations if one.format == FORMAT]
                citations += [raw for raw in own if raw is not None]
    if content:
        told["content"] = content
    if calls:
        told["tool_calls"] = calls
    if citations:
        told["citations"] = citations
    return told


def write_part(part: Part, notes: Notes) -> Block | None:
    """None for what cannot be said; ``notes`` are told."""
    if isinstance(part, Text | Refusal):
        return {"type": "text", "text": part.text}
    if isinstance(part, Thinking):
        if part.sealed or not part.text:
            notes.lacks("reasoning")
            return None
        return {"type": "thinking", "thinking": part.text}
    if isinstance(part, Media):
        return _written_media(part, notes)
    if isinstance(part, Foreign) and part.format == FORMAT:
        return part.value
    notes.lacks("content of another provider's")
    return None


def _written_media(part: Media, notes: Notes) -> Block | None:
    if part.text:
        notes.maps("file", "text")
        return {"type": "text", "text": part.text}
    if part.kind != "image" or not (part.url or part.data):
        notes.lacks(part.kind, "refuse")
        return None
    address = part.url or data_url.join(part.media_type or "image/png", part.data)
    return {
        "type": "image_url",
        "image_url": {"url": address} | ({"detail": part.detail} if part.detail else {}),
    }


def write_result(part: ToolResult, notes: Notes) -> Block:
    content = [write_part(inner, notes) for inner in part.parts]
    told = [block for block in content if block is not None]
    own = (part.extra or {}).get(FORMAT)
    body: Any = own["content"] if own else told
    if not own and len(told) == 1 and told[0].get("type") == "text":
        body = told[0]["text"]
    return {"role": "tool", "tool_call_id": part.call_id, "content": body}


def read_result(message: Fields) -> ToolResult:
    """Results are texts or documents; a document is told to others as its JSON."""
    call_id, content = message.text("tool_call_id"), message.take("content")
    if type(content) is str:
        return ToolResult(call_id, [Text(content)])
    parts: list[Part] = []
    for place, value in enumerate(content if type(content) is list else []):
        block = message.at(value, f"content[{place}]")
        document = block.table("document")
        if document is not None:
            data = document.get("data")
            parts.append(Text(data if type(data) is str else encode(document).decode()))
        else:
            parts.append(_part(block))
    return ToolResult(call_id, parts, extra={FORMAT: {"content": content}})
