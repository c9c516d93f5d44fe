"""Content blocks, as clients and models write them, read into parts.

A block of a type that is not known, or with a source that is not, is ``Foreign`` as it came; what
is not known of one that is goes to the part's ``extra``. A thought of Anthropic's always has an
``extra`` of this format, if only an empty one. All raise what ``fields`` raises.

Source: Anthropic's API reference (Messages) and the types of its Python SDK, 2.14.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from proxy.ai.formats.fields import Fields, encode
from proxy.ai.formats.messages.names import ELSEWHERE, JSON_TOOL, NAME, as_own, own
from proxy.ai.middle import (
    Citation,
    Foreign,
    Media,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)


def content(fields: Fields, name: str) -> list[Part]:
    """A text, or a list of blocks; empty where there is none."""
    value = fields.take(name)
    if value is None:
        return []
    if isinstance(value, str):
        return [Text(value)]
    if not isinstance(value, list):
        raise fields.wrong(name, "a string or an array of content blocks")
    return [block(one, fields.at(one, f"{name}[{i}]")) for i, one in enumerate(value)]


def block(value: dict[str, Any], fields: Fields) -> Part:
    """``fields`` are those of ``value``."""
    read = _READERS.get(needed(fields, "type"))
    part = None if read is None else read(fields)
    return Foreign(NAME, value) if part is None else part


def needed(fields: Fields, name: str) -> str:
    if not fields.has(name):
        raise fields.wrong(name, "a string")
    return fields.text(name)


def _text(fields: Fields) -> Part:
    given = fields.items("citations")
    found = [citation(one, fields.at(one, f"citations[{i}]")) for i, one in enumerate(given)]
    text, cache = needed(fields, "text"), fields.table("cache_control")
    return Text(text, found, cache, as_own(fields.rest()))


def citation(value: dict[str, Any], fields: Fields) -> Citation:
    """``fields`` are those of ``value``."""
    source = fields.text("source")
    return Citation(
        url=fields.text("url") or (source if source.startswith("http") else ""),
        title=fields.text("title") or fields.text("document_title"),
        quote=fields.text("cited_text"),
        format=NAME,
        raw=value,
    )


def _image(fields: Fields) -> Part | None:
    media = _media("image", fields)
    if media is not None:
        media.cache = fields.table("cache_control")
        media.extra = as_own(fields.rest())
    return media


def _document(fields: Fields) -> Part | None:
    media = _media("file", fields)
    if media is not None:
        media.name = fields.text("title")
        media.cache = fields.table("cache_control")
        rest = fields.rest()
        media.extra = as_own(rest if media.extra is None else {**own(media.extra), **rest})
    return media


def _media(kind: Literal["image", "file"], fields: Fields) -> Media | None:
    given = fields.table("source")
    if given is None:
        raise fields.wrong("source", "an object")
    source = fields.at(given, "source")
    media = Media(kind)
    match needed(source, "type"):
        case "base64":
            media.data, media.media_type = needed(source, "data"), source.text("media_type")
        case "url":
            media.url = needed(source, "url")
        case "file":
            media.id = needed(source, "file_id")
        case "text" if kind == "file":
            media.text, media.media_type = needed(source, "data"), source.text("media_type")
        case "content" if kind == "file":
            # Pieces that can be cited; others are told its text, where it is but text.
            text = _plain(content(source, "content"))
            if text is None:
                return None
            media.text, media.media_type = text, "text/plain"
            media.extra = as_own({"source": given})
        case _:
            return None
    return None if source.rest() else media


def _search_result(fields: Fields) -> Part | None:
    """A passage that the client found: to others a document."""
    pieces = fields.items("content")
    parts = [block(one, fields.at(one, f"content[{i}]")) for i, one in enumerate(pieces)]
    text = _plain(parts)
    if not text:
        return None
    title, cache = fields.text("title"), fields.table("cache_control")
    rest = {"type": "search_result", "source": needed(fields, "source"), "content": pieces}
    rest.update(fields.rest())
    return Media("file", "text/plain", text=text, name=title, cache=cache, extra=as_own(rest))


def _plain(parts: list[Part]) -> str | None:
    texts = [part.text for part in parts if isinstance(part, Text)]
    return "\n".join(texts) if len(texts) == len(parts) else None


def _tool_use(fields: Fields) -> Part:
    given = fields.table("input")
    if given is None:
        raise fields.wrong("input", "an object")
    arguments, name = encode(given).decode(), needed(fields, "name")
    if name == JSON_TOOL:
        return Text(arguments)
    call = ToolCall(needed(fields, "id"), name, arguments)
    call.signature = fields.text("signature").removeprefix(ELSEWHERE)
    call.cache = fields.table("cache_control")
    rest = fields.rest()
    if rest.get("caller") == {"type": "direct"}:
        del rest["caller"]
    call.extra = as_own(rest)
    return call


def _tool_result(fields: Fields) -> Part:
    return ToolResult(
        call_id=needed(fields, "tool_use_id"),
        parts=content(fields, "content"),
        failed=fields.flag("is_error") is True,
        cache=fields.table("cache_control"),
        extra=as_own(fields.rest()),
    )


def _thinking(fields: Fields) -> Part:
    text, signature = needed(fields, "thinking"), fields.text("signature")
    if signature.startswith(ELSEWHERE):
        return Thinking(text, signature.removeprefix(ELSEWHERE), extra=as_own(fields.rest()))
    return Thinking(text, signature, extra={NAME: fields.rest()})


def _redacted(fields: Fields) -> Part:
    sealed = needed(fields, "data")
    if sealed.startswith(ELSEWHERE):
        return Thinking(sealed=sealed.removeprefix(ELSEWHERE), extra=as_own(fields.rest()))
    return Thinking(sealed=sealed, extra={NAME: fields.rest()})


_READERS: dict[str, Callable[[Fields], Part | None]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
}
