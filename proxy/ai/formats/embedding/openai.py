"""Embeddings as OpenAI, Mistral, Voyage and the compatible ask for them.

Source: OpenAI's API reference, "Embeddings"; Voyage's for ``input_type``.
"""

from __future__ import annotations

import sys
from array import array
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import msgspec
from msgspec import UNSET, Struct, UnsetType

from proxy.ai import passing, usages
from proxy.ai.errors import AnswerUnreadable, InvalidJson, InvalidRequest
from proxy.ai.middle import Usage
from proxy.ai.middle.embedding import EmbeddingAnswer, EmbeddingRequest
from proxy.ai.middle.rules import Notes, Rule

NAME = "embeddings"
LACKS: Mapping[str, Rule] = {"purpose": "drop"}


class _Request(Struct):
    model: str
    input: str | list[str | int | list[int]]
    dimensions: int | None = None
    encoding_format: str | None = None
    user: str | None = None


class _Vector(Struct):
    embedding: list[float] | str
    index: int = 0


class _Answer(Struct):
    data: list[_Vector]
    model: str = ""


_decode_request = msgspec.json.Decoder(_Request).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_fields = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


def read_request(body: bytes, *, model: str = "", stream: bool = False) -> EmbeddingRequest:
    """Raises InvalidJson and InvalidRequest."""
    try:
        asked = _decode_request(body)
        fields = _decode_fields(body)
    except msgspec.ValidationError as error:
        raise passing.invalid(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJson(str(error)) from error
    return EmbeddingRequest(
        format=NAME,
        model=asked.model,
        inputs=_inputs(asked.input),
        dimensions=asked.dimensions,
        base64=asked.encoding_format == "base64",
        user=asked.user or "",
        single=isinstance(asked.input, str),
        extra={name: value for name, value in fields.items() if name not in _KNOWN},
    )


_KNOWN = frozenset(_Request.__struct_fields__)


def _inputs(given: str | list[str | int | list[int]]) -> list[str | list[int]]:
    if isinstance(given, str):
        return [given]
    numbers = [item for item in given if isinstance(item, int)]
    if numbers:
        if len(numbers) != len(given):
            raise InvalidRequest("The field 'input' mixes texts and token numbers.", "input")
        return [numbers]
    return [item for item in given if not isinstance(item, int)]


def write_request(request: EmbeddingRequest, model: str, notes: Notes) -> bytes:
    fields: dict[str, Any] = {"model": model, "input": request.inputs, **request.extra}
    if request.dimensions is not None:
        fields["dimensions"] = request.dimensions
    if request.user:
        fields["user"] = request.user
    return _encode(fields)


def read_answer(body: bytes) -> EmbeddingAnswer:
    """Raises AnswerUnreadable."""
    try:
        answer = _decode_answer(body)
        vectors = [_floats(item.embedding) for item in sorted(answer.data, key=_index)]
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise AnswerUnreadable from error
    return EmbeddingAnswer(
        format=NAME, vectors=vectors, model=answer.model, usage=usages.read(body)
    )


def _index(item: _Vector) -> int:
    return item.index


def _floats(embedding: list[float] | str) -> list[float]:
    if not isinstance(embedding, str):
        return embedding
    numbers = array("f", b64decode(embedding))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


def _packed(vector: list[float]) -> str:
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return b64encode(numbers.tobytes()).decode()


class _Counted(Struct):
    prompt_tokens: int
    total_tokens: int


class _Written(Struct):
    id: str
    data: list[dict[str, Any]]
    model: str
    usage: _Counted | UnsetType = UNSET
    object: str = "list"


def write_answer(answer: EmbeddingAnswer, request: EmbeddingRequest) -> bytes:
    data = [
        {
            "object": "embedding",
            "index": number,
            "embedding": _packed(vector) if request.base64 else vector,
        }
        for number, vector in enumerate(answer.vectors)
    ]
    tokens = answer.usage.input_tokens if answer.usage is not None else None
    # The SDK wants a number, so what is not known is told as none. Mistral's wants an id.
    name = f"embd-{uuid4().hex}"
    return _encode(_Written(name, data, answer.model, _Counted(tokens or 0, tokens or 0)))


def read_usage(data: bytes) -> Usage | None:
    return usages.read(data)
