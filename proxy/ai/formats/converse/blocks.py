"""Blocks of content, read and written."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from proxy.ai.formats import data_url, seals
from proxy.ai.formats.fields import Fields, encode
from proxy.ai.middle import (
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

FORMAT = "converse"
Block = dict[str, Any]

_DOCUMENTS = {
    "pdf": "application/pdf",
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "html": "text/html",
    "txt": "text/plain",
    "md": "text/markdown",
}
_ENDINGS = {kind: ending for ending, kind in _DOCUMENTS.items()}
_KINDS = {"image": "image", "video": "video", "audio": "audio", "document": "file"}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_NO_NAME = re.compile(r"[^A-Za-z0-9 ()\[\]-]+")
_CACHED = {"type": "ephemeral"}


def read_all(fields: Fields, name: str) -> list[Part]:
    """A cache point is said of the part before it."""
    found: list[Part] = []
    for block in fields.each(name):
        point = block.table("cachePoint")
        if point is not None:
            _mark(found, point)
            continue
        found.append(read(block))
    return found


def _mark(found: list[Part], point: Block) -> None:
    last = found[-1] if found else None
    if isinstance(last, Text | Media | ToolCall | ToolResult) and last.cache is None:
        ttl = point.get("ttl")
        last.cache = dict(_CACHED) | ({"ttl": ttl} if ttl else {})
    else:
        found.append(Foreign(FORMAT, {"cachePoint": point}))


def read(block: Fields) -> Part:
    if block.has("text"):
        text = Text(block.text("text"))
        text.extra = _extra(block)
        return text
    if block.has("toolUse"):
        return _call(block)
    if block.has("toolResult"):
        return _result(block)
    if block.has("reasoningContent"):
        return _thinking(block)
    for name, kind in _KINDS.items():
        if block.has(name):
            return _media(block, name, kind)
    return Foreign(FORMAT, block.rest())


def _extra(fields: Fields) -> dict[str, Any] | None:
    rest = fields.rest()
    return {FORMAT: rest} if rest else None


def _call(block: Fields) -> Part:
    use = block.inner("toolUse")
    assert use is not None
    own = of_bedrock(use)
    if own is not None:
        return own
    given = use.take("input")
    call = ToolCall(
        use.text("toolUseId"),
        use.text("name"),
        "{}" if given is None else encode(given).decode(),
    )
    call.extra = _extra(use)
    return call


def of_bedrock(use: Fields) -> Foreign | None:
    """A call of a tool that Bedrock runs itself: the client is not to run it. Calls of the client's
    own have no type, or ``tool_use``."""
    kind = use.take("type")
    if kind is None or kind == "tool_use":
        return None
    return Foreign(FORMAT, {"toolUse": {**use.rest(), "type": kind}})


def _result(block: Fields) -> Part:
    said = block.inner("toolResult")
    assert said is not None
    if said.has("type"):
        return Foreign(FORMAT, {"toolResult": said.rest()})
    result = ToolResult(said.text("toolUseId"))
    for inner in said.each("content"):
        if inner.has("json"):
            value = inner.take("json")
            result.parts.append(Text(encode(value).decode(), extra={FORMAT: {"json": value}}))
        else:
            result.parts.append(read(inner))
    status = said.text("status")
    result.failed = status == "error"
    rest = said.rest() | ({"status": status} if status and status != "error" else {})
    result.extra = {FORMAT: rest} if rest else None
    return result


def _thinking(block: Fields) -> Thinking:
    content = block.inner("reasoningContent")
    assert content is not None
    sealed = seal(content.text("redactedContent"))
    said = content.inner("reasoningText")
    if said is None:
        return Thinking(sealed=sealed)
    return Thinking(said.text("text"), seal(said.text("signature")), sealed)


def seal(signature: str) -> str:
    """A signature as the middle form has it: with the mark of who made it."""
    return seals.marked(FORMAT, signature) if signature else ""


def is_ours(signature: str) -> bool:
    """Bedrock made it and takes it back."""
    return bool(seals.unmarked(FORMAT, signature))


def _media(block: Fields, name: str, kind: Any) -> Media:
    given = block.inner(name)
    assert given is not None
    ending = given.text("format")
    known = _DOCUMENTS.get(ending, "") if kind == "file" else f"{kind}/{ending}"
    media = Media(kind, known if ending else "", name=given.text("name"))
    source = given.inner("source")
    if source is not None:
        media.data, media.text = source.text("bytes"), source.text("text")
        place = source.table("s3Location")
        if place is not None:
            media.url = str(place.get("uri", ""))
            others = {key: value for key, value in place.items() if key != "uri"}
            media.extra = {FORMAT: {"s3Location": others}} if others else None
        elif source.rest():
            media.extra = {FORMAT: {"source": source.rest()}}
    rest = given.rest()
    if rest:
        media.extra = {FORMAT: (media.extra or {}).get(FORMAT, {}) | rest}
    return media


# Written


def write_all(parts: list[Part], notes: Notes, *, own: bool) -> list[Block]:
    """``own``: the request was read from this format, so signatures are Bedrock's."""
    found: list[Block] = []
    for part in parts:
        block = write(part, notes, own=own)
        if block is None:
            continue
        found.append(block)
        cache = getattr(part, "cache", None)
        if cache is not None:
            found.append({"cachePoint": point(cache)})
    return found


def point(cache: dict[str, Any]) -> Block:
    ttl = cache.get("ttl")
    return {"type": "default"} | ({"ttl": ttl} if ttl else {})


def write(part: Part, notes: Notes, *, own: bool) -> Block | None:
    """None for what cannot be said; ``notes`` are told. Raises ParameterUnsupported."""
    if isinstance(part, Text):
        return {"text": part.text, **_own(part)} if part.text or own else None
    if isinstance(part, ToolCall):
        use = {"toolUseId": part.id, "name": part.name, "input": _input(part)}
        return {"toolUse": use | _own(part)}
    if isinstance(part, ToolResult):
        return _written_result(part, notes, own=own)
    if isinstance(part, Media):
        return _written_media(part, notes)
    if isinstance(part, Thinking):
        return _written_thinking(part, notes, own=own)
    if isinstance(part, Refusal):
        return {"text": part.text}
    if part.format == FORMAT:
        return part.value
    notes.lacks(f"{part.format} content")
    return None


def _own(part: Any) -> dict[str, Any]:
    found: dict[str, Any] = (part.extra or {}).get(FORMAT, {})
    return found


def _input(part: ToolCall) -> Any:
    if part.custom:
        return {"input": part.arguments}
    try:
        return msgspec.json.decode(part.arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        return {"input": part.arguments}


def _written_result(part: ToolResult, notes: Notes, *, own: bool) -> Block:
    content: list[Block] = []
    for inner in part.parts:
        value = _own(inner).get("json") if isinstance(inner, Text) else None
        block = {"json": value} if value is not None else write(inner, notes, own=True)
        if block is not None:
            content.append(block)
    extra = dict(_own(part))
    if part.failed:
        extra["status"] = "error"
    return {"toolResult": {"toolUseId": part.call_id, "content": content, **extra}}


def _written_thinking(part: Thinking, notes: Notes, *, own: bool) -> Block | None:
    made = part.sealed or part.signature
    if made and not own and not is_ours(made):
        # Of another provider's: Bedrock would refuse what it did not sign.
        notes.lacks("messages.thinking")
        return None
    if part.sealed:
        return {"reasoningContent": {"redactedContent": unsealed(part.sealed)}}
    said = {"text": part.text}
    if part.signature:
        said["signature"] = unsealed(part.signature)
    return {"reasoningContent": {"reasoningText": said}}


def unsealed(signature: str) -> str:
    """As Bedrock calls it. Another's stays as it is, for a client to keep."""
    return seals.unmarked(FORMAT, signature) or signature


def _written_media(part: Media, notes: Notes) -> Block | None:
    extra = dict(_own(part))
    source: Block = extra.pop("source", {})
    place = extra.pop("s3Location", {})
    if part.text:
        source = {"text": part.text}
    elif part.data:
        source = {"bytes": part.data}
    elif part.url.startswith("s3://"):
        source = {"s3Location": {"uri": part.url, **place}}
    elif not source:
        notes.lacks(f"{part.kind} by address", "refuse")
        return None
    told: Block = {"source": source, **extra}
    ending = _ending(part)
    if ending:
        told["format"] = ending
    if part.kind == "file":
        told["name"] = _NO_NAME.sub("-", part.name) or "document"
    return {_NAMES[part.kind]: told}


def _ending(part: Media) -> str:
    kind = part.media_type.partition(";")[0].lower()
    if not kind:
        kind = data_url.guessed(part.name, "text/plain" if part.text else "")
    if part.kind == "file":
        return _ENDINGS.get(kind, "txt" if kind.startswith("text/") else "pdf" if kind else "")
    ending = kind.partition("/")[2]
    return {"jpg": "jpeg", "x-matroska": "mkv", "quicktime": "mov"}.get(ending, ending)
