"""Tokens as Gemini counts them.

``promptTokenCount`` holds what came from a cache; thoughts are beside ``candidatesTokenCount`` and
not in it, and so is what tools of Google's own read (``toolUsePromptTokenCount``).
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from proxy.ai.middle import Usage

Tokens = Annotated[int, Meta(ge=0, le=1 << 40)]


class Detail(Struct, rename="camel"):
    modality: str = ""
    token_count: Tokens = 0


class Counts(Struct, rename="camel"):
    prompt_token_count: Tokens | None = None
    candidates_token_count: Tokens | None = None
    thoughts_token_count: Tokens | None = None
    tool_use_prompt_token_count: Tokens | None = None
    cached_content_token_count: Tokens | None = None
    total_token_count: Tokens | None = None
    prompt_tokens_details: list[Detail] = []
    cache_tokens_details: list[Detail] = []
    candidates_tokens_details: list[Detail] = []


class _Answer(Struct, rename="camel"):
    usage_metadata: Counts | None = None


_decode = msgspec.json.Decoder(_Answer).decode


def read_usage(data: bytes) -> Usage | None:
    try:
        counts = _decode(data).usage_metadata
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if counts is None else usage_of(counts)


def of_untyped(value: Any) -> Usage | None:
    try:
        return usage_of(msgspec.convert(value, Counts))
    except msgspec.ValidationError:
        return None


def usage_of(counts: Counts) -> Usage | None:
    if counts.prompt_token_count is None and counts.total_token_count is None:
        return None
    asked, wrote = counts.prompt_token_count, counts.candidates_token_count
    thought = counts.thoughts_token_count
    usage = Usage(
        input_tokens=(asked or 0) + (counts.tool_use_prompt_token_count or 0),
        output_tokens=(wrote or 0) + (thought or 0),
        cached_tokens=counts.cached_content_token_count,
        reasoning_tokens=thought,
    )
    usage.input_audio_tokens = _of(counts.prompt_tokens_details, "AUDIO")
    usage.cached_audio_tokens = _of(counts.cache_tokens_details, "AUDIO")
    usage.output_audio_tokens = _of(counts.candidates_tokens_details, "AUDIO")
    usage.input_image_tokens = _of(counts.prompt_tokens_details, "IMAGE")
    usage.output_image_tokens = _of(counts.candidates_tokens_details, "IMAGE")
    return usage


def _of(details: list[Detail], modality: str) -> int | None:
    total: int | None = None
    for detail in details:
        if detail.modality == modality:
            total = (total or 0) + detail.token_count
    return total


def written(usage: Usage) -> dict[str, Any]:
    """``usageMetadata``."""
    asked, wrote = usage.input_tokens or 0, usage.output_tokens or 0
    thought = usage.reasoning_tokens
    if thought is not None:
        thought = min(thought, wrote)  # It is a part of them.
    told: dict[str, Any] = {
        "promptTokenCount": asked,
        "candidatesTokenCount": wrote - (thought or 0),
        "totalTokenCount": asked + wrote,
    }
    if thought is not None:
        told["thoughtsTokenCount"] = thought
    if usage.cached_tokens is not None:
        told["cachedContentTokenCount"] = usage.cached_tokens
    for name, parts in (
        ("promptTokensDetails", (usage.input_audio_tokens, usage.input_image_tokens)),
        ("cacheTokensDetails", (usage.cached_audio_tokens, None)),
        ("candidatesTokensDetails", (usage.output_audio_tokens, usage.output_image_tokens)),
    ):
        details = [
            {"modality": modality, "tokenCount": count}
            for modality, count in zip(("AUDIO", "IMAGE"), parts, strict=True)
            if count is not None
        ]
        if details:
            told[name] = details
    return told
