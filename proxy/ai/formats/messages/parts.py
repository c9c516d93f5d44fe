"""Parts written as content blocks: of a request for Anthropic, and of an answer for a client."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import msgspec

from proxy.ai.formats.messages.names import ELSEWHERE, NAME, own
from proxy.ai.formats.messages.usage import joined
from proxy.ai.formats.seals import is_others
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

Block = dict[str, Any]

_NO_ID = re.compile(r"[^a-zA-Z0-9_-]")
_BEGINNINGS = {
    "iVBOR": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
    "JVBERi": "application/pdf",
}
_decode = msgspec.json.Decoder().decode


def arguments(call: ToolCall) -> dict[str, Any]:
    """The input of a called tool, which here is always an object."""
    if call.custom:
        return {"input": call.arguments}
    if not call.arguments:
        return {}
    try:
        given = _decode(call.arguments)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        given = call.arguments
    return given if isinstance(given, dict) else {"input": given}


def citation(one: Citation) -> dict[str, Any]:
    if one.format == NAME and one.raw is not None:
        return one.raw
    found: dict[str, Any] = {"cited_text": one.quote}
    if one.url:
        found.update(
            type="web_search_result_location",
            url=one.url,
            title=one.title or None,
            encrypted_index="",
        )
    else:
        found.update(
            type="char_location",
            document_index=0,
            document_title=one.title or None,
            start_char_index=0,
            end_char_index=0,
        )
    return found


def mark_of(part: Thinking) -> str:
    """For a client: what goes before the signature of a thought."""
    return "" if part.extra and NAME in part.extra else ELSEWHERE


def thoughts(part: Thinking, mark: str = "") -> list[Block]:
    """What may be read and what may not are blocks of their own here."""
    blocks: list[Block] = []
    if part.sealed:
        blocks.append({"type": "redacted_thinking", "data": mark + part.sealed})
    if part.text or part.signature or not part.sealed:
        signature = mark + part.signature
        blocks.append({"type": "thinking", "thinking": part.text, "signature": signature})
    joined(blocks[-1], own(part.extra))
    return blocks


def as_text(media: Media) -> str:
    """What a model made that this format has no answer for: a link, for the client to follow."""
    if media.transcript or media.text:
        return media.transcript or media.text
    where = media.url or f"data:{media.media_type};base64,{media.data}"
    mark = "!" if media.kind == "image" else ""
    return f"{mark}[{media.name or media.kind}]({where})"


def of_answer(part: Part) -> list[Block]:
    """For a client. What only another format can say is left out."""
    match part:
        case Text():
            block: Block = {"type": "text", "text": part.text}
            if part.citations:
                block["citations"] = [citation(one) for one in part.citations]
        case Refusal():
            block = {"type": "text", "text": part.text}
        case ToolCall():
            block = called(part)
            block["input"] = arguments(part)
            return [block]
        case Thinking():
            return thoughts(part, mark_of(part))
        case Media():
            block = {"type": "text", "text": as_text(part)}
        case Foreign():
            return [part.value] if part.format == NAME else []
        case ToolResult():
            return []
    if isinstance(part, Text):
        joined(block, own(part.extra))
    return [block]


def called(call: ToolCall) -> Block:
    """Without its input. The signature is another provider's: a client that sends the block back
    as it came lets it be given to that provider again."""
    block: Block = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
    if call.signature:
        block["signature"] = ELSEWHERE + call.signature
    return joined(block, own(call.extra))


class Asked:
    """Parts of a request, for Anthropic. ``as_is``: the client speaks this format itself."""

    def __init__(self, notes: Notes, *, as_is: bool) -> None:
        self._notes = notes
        self._as_is = as_is
        self._nameless = {"call": 0, "result": 0}

    def content(self, parts: list[Part], role: str) -> list[Block]:
        return [block for part in parts for block in self._blocks(part, role)]

    def _blocks(self, part: Part, role: str) -> list[Block]:
        match part:
            case Text():
                blocks = self._text(part)
            case Refusal():
                blocks = [{"type": "text", "text": part.text}] if part.text else []
            case Media():
                blocks = self._media(part, role)
            case ToolCall():
                block: Block = {"type": "tool_use", "id": self._id(part.id, "call")}
                block.update(name=part.name, input=arguments(part))
                blocks = [block]
            case ToolResult():
                blocks = [self._result(part)]
            case Thinking():
                return self._thinking(part)
            case Foreign():
                return self._foreign(part)
        if isinstance(part, Refusal) or not blocks:
            return blocks
        if part.cache is not None:
            blocks[-1]["cache_control"] = part.cache
        said = own(part.extra)
        if "source" in said:
            blocks[-1].pop("source", None)
        joined(blocks[-1], said)
        return blocks

    def _text(self, part: Text) -> list[Block]:
        if not part.text and not self._as_is:
            return []  # It is refused, and nothing is lost.
        block: Block = {"type": "text", "text": part.text}
        if part.citations:
            if all(one.format == NAME for one in part.citations):
                block["citations"] = [citation(one) for one in part.citations]
            else:
                self._notes.lacks("messages.citations")
        return [block]

    def _id(self, given: str, kind: str) -> str:
        if given:
            return given if self._as_is else _NO_ID.sub("_", given)
        self._nameless[kind] += 1
        return f"call_{self._nameless[kind]}"

    def _result(self, part: ToolResult) -> Block:
        block: Block = {"type": "tool_result", "tool_use_id": self._id(part.call_id, "result")}
        inner = short(self.content(part.parts, "user"))
        if part.parts and (inner or self._as_is):
            block["content"] = inner
        if part.failed:
            block["is_error"] = True
        return block

    def _thinking(self, part: Thinking) -> list[Block]:
        """Anthropic wants to see its own signature."""
        seal = part.signature or part.sealed
        ours = not mark_of(part) if self._as_is else bool(seal)
        if ours and not is_others(NAME, seal):
            return thoughts(part)
        self._notes.lacks("messages.thinking")
        return []

    def _foreign(self, part: Foreign) -> list[Block]:
        if part.format == NAME:
            return [part.value]
        self._notes.lacks(f"messages.{part.value.get('type', part.format)}")
        return []

    def _media(self, media: Media, role: str) -> list[Block]:
        if media.detail not in ("", "auto"):
            self._notes.lacks(f"messages.{media.kind}.detail")
        if role == "assistant" and not self._as_is:
            self._notes.lacks(f"messages.assistant.{media.kind}")
            return []
        source = self._source(media)
        if source is None:
            self._notes.lacks(f"messages.{media.kind}", "refuse")
            return []
        kind = "image" if media.kind == "image" else "document"
        block: Block = {"type": kind, "source": source}
        if media.name and kind == "document":
            block["title"] = media.name
        return [block]

    def _source(self, media: Media) -> Block | None:
        """None: Anthropic has no such thing, or it lies with another provider."""
        if media.kind not in ("image", "file"):
            return None
        if media.url:
            return {"type": "url", "url": media.url}
        if media.id:
            return {"type": "file", "file_id": media.id} if self._as_is else None
        if media.text or (media.kind == "file" and not media.data):
            media_type = media.media_type if self._as_is else "text/plain"
            return {"type": "text", "media_type": media_type, "data": media.text}
        media_type = media.media_type or _guessed(media)
        if media.kind == "file" and not self._as_is and media_type != "application/pdf":
            return _as_plain(media, media_type)
        return {"type": "base64", "media_type": media_type, "data": media.data}


def _guessed(media: Media) -> str:
    for beginning, media_type in _BEGINNINGS.items():
        if media.data.startswith(beginning):
            return media_type
    return "image/png" if media.kind == "image" else ""


def _as_plain(media: Media, media_type: str) -> Block | None:
    """A file that is text, whatever it calls itself; None where it is not."""
    try:
        text = base64.b64decode(media.data, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    textual = media_type.startswith("text/") or "\0" not in text
    return {"type": "text", "media_type": "text/plain", "data": text} if textual else None


def short(blocks: list[Block]) -> str | list[Block]:
    """A single plain text is written as such, which means the same."""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"} and blocks[0]["type"] == "text":
        text: str = blocks[0]["text"]
        return text
    return blocks
