"""What a message is made of.

``extra`` of a part, a message or a tool is, by the name of a format, what that format says of it
beyond all this: for that format alone.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field


class Citation(Struct):
    """Where a passage of a text comes from. ``start`` and ``end`` count characters of the text."""

    url: str = ""
    title: str = ""
    quote: str = ""
    start: int | None = None
    end: int | None = None
    format: str = ""
    """Whose spelling ``raw`` is."""
    raw: dict[str, Any] | None = None


class Text(Struct, tag="text"):
    text: str
    citations: list[Citation] = field(default_factory=list)
    cache: dict[str, Any] | None = None
    """The prompt up to here may be kept by the provider: Anthropic's ``cache_control``."""
    extra: dict[str, Any] | None = None


class Media(Struct, tag="media"):
    """An image, a sound, a film or a document: exactly one of data, url, id and text is set."""

    kind: Literal["image", "audio", "video", "file"]
    media_type: str = ""
    """Like ``image/png``; empty where the format did not say."""
    data: str = ""
    """Base64 without line breaks."""
    url: str = ""
    id: str = ""
    """Of a file that the provider keeps."""
    text: str = ""
    """Of a document that is plain text."""
    name: str = ""
    detail: str = ""
    """``low``, ``high``, ``auto``: how closely an image is to be looked at."""
    transcript: str = ""
    """Of a sound: what is said in it."""
    cache: dict[str, Any] | None = None
    extra: dict[str, Any] | None = None


class ToolCall(Struct, tag="tool_call"):
    """The model asks for a tool of the client's. ``arguments`` is JSON text as the model wrote it,
    or any text where the tool is ``custom``."""

    id: str
    name: str
    arguments: str = ""
    custom: bool = False
    signature: str = ""
    """Opaque; a provider that gave one wants it back in the next call."""
    cache: dict[str, Any] | None = None
    extra: dict[str, Any] | None = None


class ToolResult(Struct, tag="tool_result"):
    """The client's answer to a ToolCall. It is part of a user's message."""

    call_id: str
    parts: list[Part] = field(default_factory=list)
    name: str = ""
    """Of the tool, where the format says."""
    failed: bool = False
    cache: dict[str, Any] | None = None
    extra: dict[str, Any] | None = None


class Thinking(Struct, tag="thinking"):
    """What the model thought before it answered, or its summary."""

    text: str = ""
    signature: str = ""
    """Opaque; wanted back together with the text."""
    sealed: str = ""
    """What may not be read, encrypted by the provider."""
    id: str = ""
    extra: dict[str, Any] | None = None


class Refusal(Struct, tag="refusal"):
    """The model says that it will not."""

    text: str


class Foreign(Struct, tag="foreign"):
    """What only ``format`` can say: kept as it is, and dropped, with notice, by all others."""

    format: str
    value: dict[str, Any]


Part = Text | Media | ToolCall | ToolResult | Thinking | Refusal | Foreign
