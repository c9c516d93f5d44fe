"""The entries of a message's ``content``.

Sources: OpenAI's API reference, chat completions, content parts; Mistral's (``document_url``,
``thinking``, ``reference``, and addresses as plain strings); OpenRouter's (``cache_control``,
``video_url``, addresses in ``file_data``); vLLM's (``audio_url``).

A ``Foreign`` part of this format is an entry of the content.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from proxy.ai.formats import data_url
from proxy.ai.formats.chat.dialects import Telling
from proxy.ai.formats.chat.names import NAME, own, owned
from proxy.ai.formats.fields import Fields
from proxy.ai.middle import Foreign, Media, Part, Refusal, Text, Thinking


def read(message: Fields) -> list[Part]:
    """Takes ``content``: a string, an array or nothing."""
    given = message.take("content")
    if given is None or given == "":
        return []
    if type(given) is str:
        return [Text(given)]
    if type(given) is not list:
        raise message.wrong("content", "a string or an array")
    parts: list[Part] = []
    for place, entry in enumerate(given):
        if type(entry) is str:
            parts.append(Text(entry))
            continue
        parts.append(read_entry(entry, message.at(entry, f"content[{place}]")))
    return parts


def read_entry(entry: dict[str, Any], fields: Fields) -> Part:
    kind = fields.text("type")
    if not kind:
        raise fields.wrong("type", "a string")
    read_as = _KINDS.get(kind)
    part = read_as(fields) if read_as else None
    if isinstance(part, Text | Media):
        part.cache = _cache(fields)
    if isinstance(part, Text | Media | Thinking):
        part.extra = own(fields.rest())
    return part if part is not None else Foreign(NAME, entry)


def _cache(fields: Fields) -> dict[str, Any] | None:
    if fields.take("prompt_cache_breakpoint") is not None:
        fields.take("cache_control")
        return {"type": "ephemeral"}
    return fields.table("cache_control")


def _text(fields: Fields) -> Part:
    return Text(fields.text("text"))


def _refusal(fields: Fields) -> Part:
    return Refusal(fields.text("refusal"))


def _address(fields: Fields, name: str) -> tuple[str, Fields | None]:
    """Of ``{"url": ...}`` or a plain string."""
    given = fields.take(name)
    if type(given) is str:
        return given, None
    if type(given) is not dict:
        raise fields.wrong(name, "an object with a url")
    inner = fields.at(given, name)
    url = inner.text("url")
    if not url:
        raise fields.wrong(f"{name}.url", "a string")
    return url, inner


def _addressed(kind: Any, name: str) -> Callable[[Fields], Part]:
    def read_media(fields: Fields) -> Part:
        url, inner = _address(fields, name)
        media = _media(kind, url)
        if inner is not None:
            media.detail = inner.text("detail")
        return media

    return read_media


def _media(kind: Any, url: str) -> Media:
    held = data_url.split(url)
    if held is None:
        return Media(kind, url=url)
    return Media(kind, held[0], data=held[1])


def _sound(fields: Fields) -> Part:
    given = fields.take("input_audio")
    if type(given) is str:
        if data_url.split(given) or given.startswith(("http://", "https://")):
            return _media("audio", given)
        return Media("audio", data=data_url.unbroken(given))
    if type(given) is not dict:
        raise fields.wrong("input_audio", "an object with data and format")
    inner = fields.at(given, "input_audio")
    media_type = data_url.sound_type(inner.text("format"))
    held = _media("audio", inner.text("data"))
    data = held.data or data_url.unbroken(held.url)
    return Media("audio", media_type or held.media_type, data=data)


def _file(fields: Fields) -> Part:
    inner = fields.inner("file")
    if inner is None:
        return Media("file", id=fields.text("file_id"))
    name, file_id, data = inner.text("filename"), inner.text("file_id"), inner.text("file_data")
    if data.startswith(("http://", "https://")):
        return Media("file", url=data, name=name)
    if data:
        media = _media("file", data)
        media.data = media.data or data_url.unbroken(media.url)
        media.url, media.name = "", name
        media.media_type = media.media_type or data_url.guessed(name, "")
        return media
    return Media("file", id=file_id, name=name)


def _document(fields: Fields) -> Part:
    url, _ = _address(fields, "document_url")
    media = _media("file", url)
    media.name = fields.text("document_name")
    return media


def _thinking(fields: Fields) -> Part:
    given = fields.take("thinking")
    if type(given) is list:
        texts = [chunk.get("text") for chunk in given if type(chunk) is dict]
        given = "".join(text for text in texts if type(text) is str)
    if type(given) is not str:
        raise fields.wrong("thinking", "a string or an array")
    fields.flag("closed")
    return Thinking(given, fields.text("signature"))


_KINDS: dict[str, Callable[[Fields], Part]] = {
    "text": _text,
    "refusal": _refusal,
    "image_url": _addressed("image", "image_url"),
    "video_url": _addressed("video", "video_url"),
    "audio_url": _addressed("audio", "audio_url"),
    "input_audio": _sound,
    "file": _file,
    "document_url": _document,
    "thinking": _thinking,
}


def write(parts: list[Part], telling: Telling) -> str | list[dict[str, Any]]:
    """A plain string where there is nothing but one text, or where only a string will do."""
    arrays = telling.dialect.arrays
    texts = [part for part in parts if isinstance(part, Text)]
    if len(texts) == len(parts) and (not arrays or len(texts) < 2):
        marked = any(text.cache or text.extra for text in texts)
        if marked and not arrays:
            telling.notes.lacks("cache_control")
        if not (marked and arrays):
            return "\n\n".join(text.text for text in texts)
    entries: list[dict[str, Any]] = []
    for part in parts:
        entry = _written(part, telling)
        if entry is not None:
            entries.append(entry)
    return entries or ""


def _written(part: Part, telling: Telling) -> dict[str, Any] | None:
    entry: dict[str, Any]
    if isinstance(part, Text):
        entry = {"type": "text", "text": part.text}
    elif isinstance(part, Media):
        entry = _media_written(part, telling)
    elif isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    elif isinstance(part, Thinking):
        entry = {"type": "thinking", "thinking": [{"type": "text", "text": part.text}]}
        return entry | owned(part.extra)
    elif isinstance(part, Foreign) and part.format == NAME:
        return part.value
    else:
        telling.notes.lacks(named(part))
        return None
    if part.cache:
        entry |= _marked(part.cache, telling)
    return entry | owned(part.extra)


def _marked(cache: dict[str, Any], telling: Telling) -> dict[str, Any]:
    if telling.dialect.cache_control:
        return {"cache_control": cache}
    telling.notes.lacks("cache_control")
    return {}


def named(part: Part) -> str:
    """What a notice calls a part that cannot be said."""
    if isinstance(part, Foreign):
        kind = part.value.get("type")
        if type(kind) is str and kind.replace("_", "").isalnum() and kind.isascii():
            return kind[:64]
        return "part"
    return {"Thinking": "thinking", "ToolCall": "tool_call", "ToolResult": "tool_result"}.get(
        type(part).__name__, "part"
    )


def _media_written(media: Media, telling: Telling) -> dict[str, Any]:
    if media.text:
        telling.notes.maps("file", "text")
        return {"type": "text", "text": media.text}
    if media.kind == "file":
        return _file_written(media, telling)
    if media.kind == "audio" and media.data:
        sound = {"data": media.data, "format": data_url.sound_format(media.media_type)}
        return {"type": "input_audio", "input_audio": sound}
    if media.id:
        telling.notes.lacks(f"{media.kind}.id", "refuse")
    otherwise = {"image": "image/jpeg", "audio": "audio/wav", "video": "video/mp4"}[media.kind]
    url = media.url or data_url.join(media.media_type or otherwise, media.data)
    address = {"url": url, "detail": media.detail} if media.detail else {"url": url}
    return {"type": f"{media.kind}_url", f"{media.kind}_url": address}


def _file_written(media: Media, telling: Telling) -> dict[str, Any]:
    if media.id:
        kept = {"file_id": media.id}
        return {"type": "file", "file": kept | ({"filename": media.name} if media.name else {})}
    if media.url and telling.dialect.document_url == "document_url":
        named_ = {"document_name": media.name} if media.name else {}
        return {"type": "document_url", "document_url": media.url} | named_
    if media.url and not telling.dialect.document_url:
        telling.notes.lacks("file.url", "refuse")
    media_type = media.media_type or data_url.guessed(media.name, "application/pdf")
    data = media.url or data_url.join(media_type, media.data)
    suffix = media_type.partition("/")[2] if media_type.startswith("application/") else "txt"
    name = media.name or ("" if media.url or telling.own else f"document.{suffix}")
    file = {"filename": name, "file_data": data} if name else {"file_data": data}
    return {"type": "file", "file": file}
