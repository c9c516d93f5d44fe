"""Reranking by providers that are told texts: Cohere itself, Jina, vLLM, Together and others,
Voyage, and Bedrock's models.

Sources: the API references of Cohere, Jina, Together and Voyage; vLLM's documentation, "Rerank
API"; AWS's, "Amazon Rerank" and "Cohere Rerank" among the parameters of InvokeModel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.ai import usages
from proxy.ai.formats.fields import encode
from proxy.ai.formats.rerank import cohere
from proxy.ai.formats.rerank.results import read_results
from proxy.ai.middle import Usage
from proxy.ai.middle.rerank import RerankAnswer, RerankRequest, texts
from proxy.ai.middle.rules import Notes, Rule


class _Texts:
    """No client speaks these: they are written and their answers read."""

    NAME: str
    LACKS: Mapping[str, Rule] = {
        "max_tokens_per_doc": "drop",
        "max_chunks_per_doc": "drop",
        "priority": "drop",
    }

    def read_request(self, body: bytes, *, model: str = "", stream: bool = False) -> RerankRequest:
        return cohere.read_request(body, model=model, stream=stream)

    def read_answer(self, body: bytes) -> RerankAnswer:
        """Raises AnswerUnreadable."""
        return read_results(self.NAME, body)

    def write_answer(self, answer: RerankAnswer, request: RerankRequest) -> bytes:
        return cohere.write_answer(answer, request)

    def read_usage(self, data: bytes) -> Usage | None:
        return usages.read(data)


class Listed(_Texts):
    """``most``: what the provider calls ``top_n``. Documents are put into the answer here, so they
    need not come back."""

    def __init__(self, name: str, most: str) -> None:
        self.NAME = name
        self._most = most

    def write_request(self, request: RerankRequest, model: str, notes: Notes) -> bytes:
        told: dict[str, Any] = {
            "model": model,
            "query": request.query,
            "documents": texts(request, notes),
            "return_documents": False,
        }
        if request.top_n is not None:
            told[self._most] = request.top_n
        return encode(told | request.extra)


class Second(_Texts):
    """Version 2 of Cohere's API, for clients of both: it takes no objects, and gives no documents
    back."""

    NAME = "cohere_rerank"
    LACKS: Mapping[str, Rule] = {"max_chunks_per_doc": "drop"}

    def write_request(self, request: RerankRequest, model: str, notes: Notes) -> bytes:
        told: dict[str, Any] = {
            "model": model,
            "query": request.query,
            "documents": texts(request, notes),
        }
        for name in ("top_n", "max_tokens_per_doc", "priority"):
            value = getattr(request, name)
            if value is not None:
                told[name] = value
        return encode(told | request.extra)


class Bedrock(_Texts):
    NAME = "bedrock_rerank"
    LACKS: Mapping[str, Rule] = {"max_chunks_per_doc": "drop", "priority": "drop"}

    def write_request(self, request: RerankRequest, model: str, notes: Notes) -> bytes:
        told: dict[str, Any] = {"query": request.query, "documents": texts(request, notes)}
        if request.top_n is not None:
            # More than there are documents is refused there.
            told["top_n"] = min(request.top_n, len(request.documents))
        if "cohere." in model:
            told["api_version"] = 2
            if request.max_tokens_per_doc is not None:
                told["max_tokens_per_doc"] = request.max_tokens_per_doc
        elif request.max_tokens_per_doc is not None:
            notes.lacks("max_tokens_per_doc")
        return encode(told | request.extra)


JINA = Listed("jina_rerank", "top_n")
VOYAGE = Listed("voyage_rerank", "top_k")
SECOND = Second()
BEDROCK = Bedrock()
