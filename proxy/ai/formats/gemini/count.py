"""Counting the tokens of a prompt: ``models.countTokens``.

Both APIs take ``contents``. What else belongs to a prompt (instructions, tools, a schema) Gemini's
takes as a whole request, under ``generateContentRequest``, and Vertex AI beside the contents.

Source: the REST references of both.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from proxy.ai.errors import AnswerUnreadable
from proxy.ai.formats.fields import Fields, decode, encode, wrong_request
from proxy.ai.formats.gemini.names import camelled, inner
from proxy.ai.formats.gemini.request import read
from proxy.ai.formats.gemini.told import told
from proxy.ai.middle import Request
from proxy.ai.middle.rules import Notes

_PARTS = ("contents", "systemInstruction", "tools", "generationConfig")
_WRAPPED = (b'"generateContentRequest"', b'"generate_content_request"')


class Counted(Struct, rename="camel"):
    total_tokens: Annotated[int, Meta(ge=0, le=1 << 40)]


_decode = msgspec.json.Decoder(Counted).decode


def is_wrapped(body: bytes) -> bool:
    """It may hold a whole request, which names the model once more: as the client calls it."""
    return any(mark in body for mark in _WRAPPED)


def read_count(body: bytes, model: str = "") -> Request:
    """Raises InvalidJson and InvalidRequest."""
    fields = Fields(camelled(decode(body)), "", wrong_request)
    whole = inner(fields, "generateContentRequest")
    return read(fields if whole is None else whole, model, stream=False)


def write_count(request: Request, model: str, notes: Notes) -> bytes:
    """For Gemini's API. Raises ParameterUnsupported and InvalidJson."""
    body = _told(request, model, notes)
    if body.keys() <= {"contents"}:
        return encode(body)
    name = model if model.startswith("models/") else f"models/{model}"
    return encode({"generateContentRequest": {"model": name, **body}})


def write_parts(request: Request, model: str, notes: Notes) -> bytes:
    """For Vertex AI. Raises as ``write_count``."""
    body = _told(request, model, notes)
    return encode({name: value for name, value in body.items() if name in _PARTS})


def _told(request: Request, model: str, notes: Notes) -> dict[str, Any]:
    request.max_tokens = None
    return told(request, model, notes)


def read_counted(body: bytes) -> int:
    """The provider's number. Raises AnswerUnreadable."""
    try:
        return _decode(body).total_tokens
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AnswerUnreadable from error


def write_counted(tokens: int) -> bytes:
    """The number for the client, whoever has counted."""
    return encode(Counted(tokens))
