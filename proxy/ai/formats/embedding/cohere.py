"""Embeddings of Cohere. Source: its API reference, "Embed", version 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct, field

from proxy.ai import passing, usages
from proxy.ai.errors import AnswerUnreadable, InvalidJson
from proxy.ai.middle import Usage
from proxy.ai.middle.embedding import EmbeddingAnswer, EmbeddingRequest, Purpose
from proxy.ai.middle.rules import Notes, Rule

NAME = "cohere_embeddings"
LACKS: Mapping[str, Rule] = {"user": "drop"}

_PURPOSES: dict[str, Purpose] = {
    "search_query": "query",
    "search_document": "document",
    "classification": "classification",
    "clustering": "clustering",
}
_TYPES = {
    "query": "search_query",
    "document": "search_document",
    "similarity": "search_document",
    "classification": "classification",
    "clustering": "clustering",
}
_KNOWN = frozenset(("model", "texts", "input_type", "output_dimension", "embedding_types"))


class _Request(Struct):
    model: str
    texts: list[str]
    input_type: str | None = None
    output_dimension: int | None = None
    embedding_types: list[str] | None = None


class _Typed(Struct):
    floats: list[list[float]] = field(name="float", default_factory=list)


class _Answer(Struct):
    embeddings: _Typed | list[list[float]]
    id: str = ""


_decode_request = msgspec.json.Decoder(_Request).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_fields = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


def read_request(body: bytes, *, model: str = "", stream: bool = False) -> EmbeddingRequest:
    """Raises InvalidJson and InvalidRequest."""
    try:
        asked, fields = _decode_request(body), _decode_fields(body)
    except msgspec.ValidationError as error:
        raise passing.invalid(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJson(str(error)) from error
    return EmbeddingRequest(
        format=NAME,
        model=asked.model,
        inputs=list(asked.texts),
        dimensions=asked.output_dimension,
        purpose=_PURPOSES.get(asked.input_type or "", ""),
        extra={name: value for name, value in fields.items() if name not in _KNOWN},
    )


def write_request(request: EmbeddingRequest, model: str, notes: Notes) -> bytes:
    """Where the client does not say what the vectors are for, they are for documents."""
    if any(not isinstance(text, str) for text in request.inputs):
        notes.lacks("input", "refuse")
    kind = _TYPES.get(request.purpose)
    if kind is None:
        kind = "search_document"
        notes.maps("input_type", kind)
    fields: dict[str, Any] = {
        "model": model,
        "texts": request.inputs,
        "input_type": kind,
        "embedding_types": ["float"],
        **request.extra,
    }
    if request.dimensions is not None:
        fields["output_dimension"] = request.dimensions
    return _encode(fields)


def read_answer(body: bytes) -> EmbeddingAnswer:
    """Raises AnswerUnreadable."""
    try:
        answer = _decode_answer(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AnswerUnreadable from error
    given = answer.embeddings
    vectors = given.floats if isinstance(given, _Typed) else given
    return EmbeddingAnswer(
        format=NAME, vectors=vectors, usage=usages.read(body), extra={"id": answer.id}
    )


def write_answer(answer: EmbeddingAnswer, request: EmbeddingRequest) -> bytes:
    tokens = answer.usage.input_tokens if answer.usage is not None else None
    meta: dict[str, Any] = {"api_version": {"version": "2"}}
    if tokens is not None:
        meta["billed_units"] = {"input_tokens": tokens}
    return _encode(
        {
            "id": answer.extra.get("id", ""),
            "embeddings": {"float": answer.vectors},
            "texts": [text for text in request.inputs if isinstance(text, str)],
            "meta": meta,
            "response_type": "embeddings_by_type",
        }
    )


def read_usage(data: bytes) -> Usage | None:
    return usages.read(data)
