"""Embeddings of Gemini: one content (``embedContent``) or many (``batchEmbedContents``).

Source: the Gemini API's REST reference, "Embeddings".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from proxy.ai import passing
from proxy.ai.errors import AnswerUnreadable, InvalidJson
from proxy.ai.formats.gemini.usage import Tokens
from proxy.ai.middle import Usage
from proxy.ai.middle.embedding import EmbeddingAnswer, EmbeddingRequest, Purpose
from proxy.ai.middle.rules import Notes, Rule

_PURPOSES: dict[str, Purpose] = {
    "RETRIEVAL_QUERY": "query",
    "QUESTION_ANSWERING": "query",
    "RETRIEVAL_DOCUMENT": "document",
    "SEMANTIC_SIMILARITY": "similarity",
    "CLASSIFICATION": "classification",
    "CLUSTERING": "clustering",
}
_TASKS = {
    "query": "RETRIEVAL_QUERY",
    "document": "RETRIEVAL_DOCUMENT",
    "similarity": "SEMANTIC_SIMILARITY",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}


class _Part(Struct):
    text: str


class _Content(Struct):
    parts: list[_Part]


class _One(Struct, rename="camel"):
    content: _Content
    task_type: str | None = None
    output_dimensionality: int | None = None
    title: str | None = None


class _Many(Struct):
    requests: list[_One]


class _Values(Struct):
    values: list[float]


class _Counts(Struct, rename="camel"):
    prompt_token_count: Tokens | None = None


class _Answer(Struct, rename="camel"):
    embeddings: list[_Values] = []
    embedding: _Values | None = None
    usage_metadata: Any = None


_decode_one = msgspec.json.Decoder(_One).decode
_decode_many = msgspec.json.Decoder(_Many).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode
_encode = msgspec.json.Encoder().encode


class GeminiEmbedding:
    """``many``: the batch; else its answer is one vector."""

    LACKS: Mapping[str, Rule] = {"user": "drop"}

    def __init__(self, name: str, *, many: bool) -> None:
        self.NAME = name
        self._many = many

    def read_request(
        self, body: bytes, *, model: str = "", stream: bool = False
    ) -> EmbeddingRequest:
        """Raises InvalidJson and InvalidRequest."""
        try:
            asked = _decode_many(body).requests if self._many else [_decode_one(body)]
        except msgspec.ValidationError as error:
            raise passing.invalid(str(error)) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidJson(str(error)) from error
        first = asked[0] if asked else None
        return EmbeddingRequest(
            format=self.NAME,
            model=model,
            inputs=["".join(part.text for part in one.content.parts) for one in asked],
            dimensions=first.output_dimensionality if first else None,
            purpose=_PURPOSES.get(first.task_type or "", "") if first else "",
            single=not self._many,
        )

    def write_request(self, request: EmbeddingRequest, model: str, notes: Notes) -> bytes:
        requests = []
        for text in request.inputs:
            if not isinstance(text, str):
                notes.lacks("input", "refuse")
                continue
            one: dict[str, Any] = {"content": {"parts": [{"text": text}]}}
            if self._many:
                one["model"] = f"models/{model.removeprefix('models/')}"
            if request.purpose:
                one["taskType"] = _TASKS[request.purpose]
            if request.dimensions is not None:
                one["outputDimensionality"] = request.dimensions
            requests.append(one)
        return _encode({"requests": requests} if self._many else requests[0])

    def read_answer(self, body: bytes) -> EmbeddingAnswer:
        """Raises AnswerUnreadable."""
        try:
            answer = _decode_answer(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise AnswerUnreadable from error
        vectors = [item.values for item in answer.embeddings]
        if answer.embedding is not None:
            vectors.append(answer.embedding.values)
        return EmbeddingAnswer(format=self.NAME, vectors=vectors, usage=_usage(answer))

    def write_answer(self, answer: EmbeddingAnswer, request: EmbeddingRequest) -> bytes:
        if self._many:
            fields: dict[str, Any] = {"embeddings": [{"values": v} for v in answer.vectors]}
        else:
            fields = {"embedding": {"values": answer.vectors[0] if answer.vectors else []}}
        tokens = answer.usage.input_tokens if answer.usage is not None else None
        if tokens is not None:
            fields["usageMetadata"] = {"promptTokenCount": tokens, "totalTokenCount": tokens}
        return _encode(fields)

    def read_usage(self, data: bytes) -> Usage | None:
        try:
            return _usage(_decode_answer(data))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None


def _usage(answer: _Answer) -> Usage | None:
    try:
        tokens = msgspec.convert(answer.usage_metadata, _Counts).prompt_token_count
    except msgspec.ValidationError:
        return None
    return None if tokens is None else Usage(tokens, 0)


MANY = GeminiEmbedding("gemini_embeddings", many=True)
ONE = GeminiEmbedding("gemini_embedding", many=False)
