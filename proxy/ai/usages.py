"""Usage read from answers that are passed on, by the format of the answer.

What generates is read by its format's own module. All else speaks OpenAI's words or Cohere's:
``usage`` with ``prompt_tokens`` or ``input_tokens``, ``meta.billed_units``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from contract.usage import Measured
from proxy.ai import apart
from proxy.ai.formats.registry import FORMATS
from proxy.ai.middle import Usage

Tokens = Annotated[int, Meta(ge=0, le=1 << 40)]
"""What says otherwise is taken for no report at all."""


class _Details(Struct):
    text_tokens: Tokens | None = None
    image_tokens: Tokens | None = None
    audio_tokens: Tokens | None = None
    cached_tokens: Tokens | None = None


class _Usage(Struct):
    prompt_tokens: Tokens | None = None
    completion_tokens: Tokens | None = None
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    total_tokens: Tokens | None = None
    input_tokens_details: _Details | None = None
    input_token_details: _Details | None = None
    output_tokens_details: _Details | None = None


class _Billed(Struct):
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    search_units: Tokens | None = None


class _Meta(Struct):
    billed_units: _Billed | None = None


class _Answer(Struct):
    usage: _Usage | None = None
    meta: _Meta | None = None


_decode = msgspec.json.Decoder(_Answer).decode


def mark(format: str) -> bytes:  # noqa: A002
    """In a line of a stream without these bytes there is no usage."""
    return FORMATS[format].USAGE_MARK if format in FORMATS else b'"usage"'


def reader(format: str) -> Callable[[bytes], Usage | None]:  # noqa: A002
    """Reads the usage out of a body, or of an event's JSON. It never raises."""
    return FORMATS[format].read_usage if format in FORMATS else read


def read(body: bytes) -> Usage | None:
    try:
        answer = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if answer.usage is not None:
        return _openai(answer.usage)
    if answer.meta is not None and answer.meta.billed_units is not None:
        billed = answer.meta.billed_units
        tokens = billed.input_tokens
        if tokens is None and billed.search_units is not None:
            tokens = 0  # What is billed by the search is not billed by the token.
        usage = Usage(tokens, billed.output_tokens or 0, searches=billed.search_units)
        if billed.search_units is not None:
            usage.measured = Measured(apart.SEARCH, billed.search_units)
        return usage
    return None


def _openai(said: _Usage) -> Usage:
    """What has no output tokens has none, rather than an unknown number."""
    input_tokens = said.input_tokens if said.prompt_tokens is None else said.prompt_tokens
    if input_tokens is None:
        input_tokens = said.total_tokens
    output_tokens = said.output_tokens if said.completion_tokens is None else said.completion_tokens
    usage = Usage(input_tokens, output_tokens or 0)
    details = said.input_tokens_details or said.input_token_details
    if details is not None:
        usage.cached_tokens = details.cached_tokens
        usage.input_audio_tokens = details.audio_tokens
        usage.input_image_tokens = details.image_tokens
    if said.output_tokens_details is not None:
        usage.output_image_tokens = said.output_tokens_details.image_tokens
        usage.output_audio_tokens = said.output_tokens_details.audio_tokens
    return usage
