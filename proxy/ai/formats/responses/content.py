"""The entries of an item's ``content`` and of a tool's ``output``.

Source: OpenAI's API reference, "Create a model response", ``input``. A ``Foreign`` part of this
format within a message is ``{"content": ENTRY}`` for an entry that is not known, and an item of
the conversation for all else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from proxy.ai.formats import data_url
from proxy.ai.formats.fields import Fields
from proxy.ai.formats.responses.names import NAME, own, owned
from proxy.ai.middle import Citation, Foreign, Media, Part, Refusal, Text
from proxy.ai.middle.rules import Notes


def read(item: Fields, name: str = "content") -> list[Part]:
    """Takes the field: a string, an array or nothing."""
    given = item.take(name)
    if given is None:
        return []
    if type(given) is str:
        return [Text(given)]
    if type(given) is not list:
        raise item.wrong(name, "a string or an array")
    return [_entry(entry, item.at(entry, f"{name}[{place}]")) for place, entry in enumerate(given)]


def _entry(entry: dict[str, Any], fields: Fields) -> Part:
    kind = fields.text("type")
    if not kind:
        raise fields.wrong("type", "a string")
    read_as = _KINDS.get(kind)
    part = read_as(fields) if read_as else None
    if part is None:
        return Foreign(NAME, {"content": entry})
    if isinstance(part, Text | Media):
        if fields.take("prompt_cache_breakpoint") is not None:
            part.cache = {"type": "ephemeral"}
        part.extra = own(fields.rest())
    return part


def _text(fields: Fields) -> Part:
    text = Text(fields.text("text"))
    for place, given in enumerate(fields.items("annotations")):
        text.citations.append(citation(given, fields.at(given, f"annotations[{place}]")))
    return text


def citation(given: dict[str, Any], fields: Fields) -> Citation:
    """``fields`` are those of ``given``, which is kept where it is not an address that is cited."""
    if fields.text("type") != "url_citation":
        title = fields.text("filename")
        return Citation(title=title, format=NAME, raw=given)
    cited = Citation(
        fields.text("url"),
        fields.text("title"),
        start=fields.whole("start_index"),
        end=fields.whole("end_index"),
    )
    if fields.rest():
        cited.format, cited.raw = NAME, given
    return cited


def annotation(citation: Citation) -> dict[str, Any] | None:
    """None for what cannot be said: a source without an address."""
    if citation.format == NAME and citation.raw is not None:
        return citation.raw
    if not citation.url:
        return None
    return {
        "type": "url_citation",
        "url": citation.url,
        "title": citation.title,
        "start_index": citation.start or 0,
        "end_index": citation.end or 0,
    }


def _refusal(fields: Fields) -> Part:
    return Refusal(fields.text("refusal"))


def _image(fields: Fields) -> Part:
    url = fields.text("image_url")
    held = data_url.split(url)
    media = Media("image", url=url) if held is None else Media("image", held[0], data=held[1])
    media.id = fields.text("file_id")
    media.detail = fields.text("detail")
    return media


def _file(fields: Fields) -> Part:
    name, data = fields.text("filename"), fields.text("file_data")
    media = Media("file", id=fields.text("file_id"), url=fields.text("file_url"), name=name)
    if data:
        held = data_url.split(data)
        media.media_type, media.data = held or (
            data_url.guessed(name, ""),
            data_url.unbroken(data),
        )
    return media


def _sound(fields: Fields) -> Part | None:
    inner = fields.inner("input_audio")
    if inner is None:
        return None
    media_type = data_url.sound_type(inner.text("format"))
    return Media("audio", media_type, data=data_url.unbroken(inner.text("data")))


_KINDS: dict[str, Callable[[Fields], Part | None]] = {
    "input_text": _text,
    "output_text": _text,
    "text": _text,
    "refusal": _refusal,
    "input_image": _image,
    "input_file": _file,
    "input_audio": _sound,
}


def write(parts: list[Part], notes: Notes, own_format: bool) -> str | list[dict[str, Any]]:
    """What a user, a system or a tool says. A plain string where there is but one text."""
    if len(parts) == 1 and isinstance(parts[0], Text):
        text = parts[0]
        if not (text.cache or text.extra):
            return text.text
    entries = [_written(part, notes, own_format) for part in parts]
    return [entry for entry in entries if entry is not None] or ""


def _written(part: Part, notes: Notes, own_format: bool) -> dict[str, Any] | None:
    entry: dict[str, Any]
    if isinstance(part, Text):
        entry = {"type": "input_text", "text": part.text}
    elif isinstance(part, Media):
        entry = _media_written(part, notes, own_format)
    elif isinstance(part, Foreign) and part.format == NAME and "content" in part.value:
        inner: dict[str, Any] = part.value["content"]
        return inner
    else:
        notes.lacks(named(part))
        return None
    if part.cache and own_format:
        entry["prompt_cache_breakpoint"] = {"mode": "explicit"}
    elif part.cache:
        notes.lacks("cache_control")
    return entry | owned(part.extra)


def named(part: Part) -> str:
    """What a notice calls a part that cannot be said."""
    if isinstance(part, Foreign):
        kind = part.value.get("type")
        plain = type(kind) is str and kind.isascii() and kind.replace("_", "").isalnum()
        return kind[:64] if plain and kind else "part"
    return {"Thinking": "thinking", "ToolCall": "tool_call", "Refusal": "refusal"}.get(
        type(part).__name__, "part"
    )


def _media_written(media: Media, notes: Notes, own_format: bool) -> dict[str, Any]:
    if media.text:
        notes.maps("file", "text")
        return {"type": "input_text", "text": media.text}
    if media.kind == "image":
        return _image_written(media)
    if media.kind == "audio" and media.data:
        sound = {"data": media.data, "format": data_url.sound_format(media.media_type)}
        return {"type": "input_audio", "input_audio": sound}
    if media.kind != "file":
        notes.lacks(media.kind, "refuse")
    return _file_written(media, own_format)


def _image_written(media: Media) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "input_image"}
    if media.id:
        entry["file_id"] = media.id
    else:
        entry["image_url"] = media.url or data_url.join(
            media.media_type or "image/jpeg", media.data
        )
    return entry | ({"detail": media.detail} if media.detail else {})


def _file_written(media: Media, own_format: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "input_file"}
    if media.id:
        entry["file_id"] = media.id
    elif media.url:
        entry["file_url"] = media.url
    else:
        media_type = media.media_type or data_url.guessed(media.name, "application/pdf")
        entry["file_data"] = data_url.join(media_type, media.data)
        if not media.name and not own_format:
            entry["filename"] = "document.pdf" if media_type.endswith("pdf") else "document.txt"
    return entry | ({"filename": media.name} if media.name else {})


def said(part: Text | Refusal) -> dict[str, Any]:
    """As a model says it."""
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    cited = [entry for c in part.citations if (entry := annotation(c)) is not None]
    more = {k: v for k, v in owned(part.extra).items() if k != "item"}
    return {"type": "output_text", "text": part.text, "annotations": cited} | more
