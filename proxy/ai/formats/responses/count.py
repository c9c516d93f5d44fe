"""Counting the tokens of a prompt: ``POST /v1/responses/input_tokens``.

The request is one for a response without what steers the answer; the answer is a number.

Source: OpenAI's API reference, and the types of its Python SDK, 3.52.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from proxy.ai.errors import AnswerUnreadable
from proxy.ai.formats.fields import decode, encode
from proxy.ai.formats.responses.request import read_request, write_request
from proxy.ai.middle import Request
from proxy.ai.middle.rules import Notes

_COUNTED = (
    "model",
    "input",
    "instructions",
    "conversation",
    "previous_response_id",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning",
    "text",
    "truncation",
    "personality",
)


class Counted(Struct):
    input_tokens: Annotated[int, Meta(ge=0, le=1 << 40)]
    object: str = "response.input_tokens"


_decode = msgspec.json.Decoder(Counted).decode


def read_count(body: bytes, model: str = "") -> Request:
    """Raises InvalidJson and InvalidRequest."""
    return read_request(body, model=model)


def write_count(request: Request, model: str, notes: Notes) -> bytes:
    """For a provider that counts. Raises ParameterUnsupported and InvalidJson."""
    body: dict[str, Any] = decode(write_request(request, model, notes))
    return encode({name: value for name, value in body.items() if name in _COUNTED})


def read_counted(body: bytes) -> int:
    """The provider's number. Raises AnswerUnreadable."""
    try:
        return _decode(body).input_tokens
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AnswerUnreadable from error


def write_counted(tokens: int) -> bytes:
    """The number for the client, whoever has counted."""
    return encode(Counted(tokens))
