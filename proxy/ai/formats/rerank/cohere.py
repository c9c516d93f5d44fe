"""Reranking as Cohere's clients ask for it, in versions 1 and 2.

Clients of Jina, vLLM, Together and others ask in the same words and read ``usage`` and ``model``
in the answer, so what is written has both. Source: Cohere's API reference, "Rerank".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from proxy.ai import usages
from proxy.ai.errors import AnswerUnreadable, InvalidRequest
from proxy.ai.formats.fields import encode, request_fields
from proxy.ai.formats.rerank.results import read_results
from proxy.ai.middle import Usage
from proxy.ai.middle.rerank import RerankAnswer, RerankRequest
from proxy.ai.middle.rules import Notes, Rule

NAME = "rerank"
LACKS: Mapping[str, Rule] = {}


class _Second(Struct):
    """What version 2 is asked, and below what only version 1 knows."""

    query: str
    documents: Annotated[list[str], Meta(min_length=1)]
    top_n: Annotated[int, Meta(ge=1)] | None = None
    return_documents: Any = None
    rank_fields: Any = None
    max_chunks_per_doc: Any = None


_decode = msgspec.json.Decoder(_Second).decode


def is_first(body: bytes) -> bool:
    """A request that Cohere's version 2 would not understand: of version 1, or wrong."""
    try:
        asked = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True
    older = (asked.return_documents, asked.rank_fields, asked.max_chunks_per_doc)
    return older != (None, None, None)


def read_request(body: bytes, *, model: str = "", stream: bool = False) -> RerankRequest:
    """Raises InvalidJson and InvalidRequest."""
    fields = request_fields(body)
    if not fields.has("query"):
        raise InvalidRequest("The field 'query' is missing.", "query")
    request = RerankRequest(
        format=NAME,
        model=fields.text("model"),
        query=fields.text("query"),
        documents=fields.items("documents"),
        top_n=fields.whole("top_n"),
        return_documents=fields.flag("return_documents"),
        rank_fields=fields.texts("rank_fields"),
        max_tokens_per_doc=fields.whole("max_tokens_per_doc"),
        max_chunks_per_doc=fields.whole("max_chunks_per_doc"),
        priority=fields.whole("priority"),
    )
    fields.take("stream")
    request.extra = fields.rest()
    if not request.documents:
        raise InvalidRequest("The field 'documents' must have a document.", "documents")
    for place, document in enumerate(request.documents):
        if type(document) is not str and type(document) is not dict:
            where = f"documents[{place}]"
            raise InvalidRequest(f"The field '{where}' must be a string or an object.", where)
    if request.top_n is not None and request.top_n < 1:
        raise InvalidRequest("The field 'top_n' must be 1 or more.", "top_n")
    return request


def write_request(request: RerankRequest, model: str, notes: Notes) -> bytes:
    told = {
        "model": model,
        "query": request.query,
        "documents": request.documents,
        "top_n": request.top_n,
        "return_documents": request.return_documents,
        "rank_fields": request.rank_fields or None,
        "max_tokens_per_doc": request.max_tokens_per_doc,
        "max_chunks_per_doc": request.max_chunks_per_doc,
        "priority": request.priority,
        **request.extra,
    }
    return encode({name: value for name, value in told.items() if value is not None})


def read_answer(body: bytes) -> RerankAnswer:
    """Raises AnswerUnreadable."""
    return read_results(NAME, body)


def write_answer(answer: RerankAnswer, request: RerankRequest) -> bytes:
    """Raises AnswerUnreadable where it speaks of documents that there are not."""
    results = []
    for one in answer.results[: request.top_n]:
        if not 0 <= one.index < len(request.documents):
            raise AnswerUnreadable
        told: dict[str, Any] = {"index": one.index, "relevance_score": one.score}
        if request.return_documents:
            document = request.documents[one.index]
            told["document"] = {"text": document} if isinstance(document, str) else document
        results.append(told)
    meta: dict[str, Any] = {"api_version": {"version": "2"}, **answer.extra}
    written = {"id": answer.id, "model": answer.model, "results": results, "meta": meta}
    used = answer.usage
    if used is not None:
        tokens = used.input_tokens or None
        billed = {"input_tokens": tokens, "search_units": used.searches}
        told = {name: value for name, value in billed.items() if value is not None}
        meta.setdefault("billed_units", told)
        if tokens is not None:
            written["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    return encode(written)


def read_usage(data: bytes) -> Usage | None:
    return usages.read(data)
