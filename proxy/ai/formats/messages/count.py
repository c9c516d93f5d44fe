"""Counting the tokens of a prompt: ``POST /v1/messages/count_tokens``.

The request is one for an answer without what steers the answer; the answer is a number.

Source: Anthropic's API reference, count tokens.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from proxy.ai.errors import AnswerUnreadable
from proxy.ai.formats.fields import encode
from proxy.ai.formats.messages.request import read
from proxy.ai.formats.messages.told import told
from proxy.ai.formats.messages.usage import Tokens
from proxy.ai.middle import Request
from proxy.ai.middle.rules import Notes

_STEERING = (
    "max_tokens",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "metadata",
    "service_tier",
    "container",
    "inference_geo",
)


class Counted(Struct):
    input_tokens: Tokens


_decode = msgspec.json.Decoder(Counted).decode


def read_count(body: bytes, model: str = "") -> Request:
    """What a client asks. Raises InvalidJson, and InvalidRequest."""
    return read(body, model, stream=False, counting=True)


def write_count(request: Request, model: str, notes: Notes) -> bytes:
    """For a provider that counts. Raises ParameterUnsupported and InvalidJson."""
    body = told(request, model, notes)
    return encode({name: value for name, value in body.items() if name not in _STEERING})


def read_counted(body: bytes) -> int:
    """The provider's number. Raises AnswerUnreadable."""
    try:
        return _decode(body).input_tokens
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AnswerUnreadable from error


def write_counted(tokens: int) -> bytes:
    """The number for the client, whoever has counted."""
    return encode(Counted(tokens))
