"""Requests for pictures, for speech and for what is said in a recording, and what was made."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from proxy.ai.middle.answer import Usage


class Source(Struct):
    """A picture to begin with."""

    data: bytes
    media_type: str


class ImageRequest(Struct, kw_only=True):
    """Empty and None: the client did not say."""

    format: str
    model: str
    prompt: str
    sources: list[Source] = field(default_factory=list)
    mask: bool | None = None
    """Only a part of the first source is to be made anew; which, is not kept here."""
    n: int | None = None
    size: str = ""
    """Like ``1024x1536``, or ``auto``."""
    quality: str = ""
    style: str = ""
    background: str = ""
    output_format: str = ""
    """``png``, ``jpeg``, ``webp`` and so on."""
    output_compression: int | None = None
    moderation: str = ""
    response_format: str = ""
    """``url`` or ``b64_json``."""
    stream: bool | None = None
    partial_images: int | None = None
    user: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


class Picture(Struct):
    """``data``: base64. ``prompt``: what it was made from, where that is not what was asked."""

    data: str
    media_type: str
    prompt: str = ""


class ImageAnswer(Struct, kw_only=True):
    format: str
    pictures: list[Picture]
    why: str = ""
    """Why there are none, as the provider says it."""
    model: str = ""
    usage: Usage | None = None
    extra: dict[str, Any] = field(default_factory=dict)


class SpeechRequest(Struct, kw_only=True):
    format: str
    model: str
    input: str
    voice: str
    instructions: str = ""
    """How it is to be said."""
    response_format: str = ""
    """``mp3``, ``wav``, ``pcm`` and so on."""
    speed: float | None = None
    stream_format: str = ""
    """``audio``, or ``sse``."""
    extra: dict[str, Any] = field(default_factory=dict)


class SpeechAnswer(Struct, kw_only=True):
    """``media_type`` is that of ``sound``; ``content_type`` of what was written for the client."""

    format: str
    sound: bytes
    media_type: str
    why: str = ""
    model: str = ""
    usage: Usage | None = None
    content_type: bytes = b""


class TranscriptRequest(Struct, kw_only=True):
    format: str
    model: str
    sound: bytes
    media_type: str
    translate: bool = False
    """Into English."""
    language: str = ""
    prompt: str = ""
    """What the recording follows, or words that are in it."""
    response_format: str = ""
    """``json``, ``text``, ``srt``, ``verbose_json``, ``vtt`` and so on."""
    temperature: float | None = None
    stream: bool | None = None
    timestamp_granularities: list[str] = field(default_factory=list)
    include: list[str] = field(default_factory=list)
    chunking_strategy: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


class TranscriptAnswer(Struct, kw_only=True):
    format: str
    text: str
    why: str = ""
    """Why there is no text, where that is not because nobody speaks."""
    model: str = ""
    usage: Usage | None = None
    content_type: bytes = b""
