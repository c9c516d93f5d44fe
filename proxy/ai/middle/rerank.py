"""A request to put documents in the order of their relevance, and the order."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from proxy.ai.errors import InvalidRequest
from proxy.ai.middle.answer import Usage
from proxy.ai.middle.rules import Notes


class RerankRequest(Struct, kw_only=True):
    """``documents``: texts, or objects of which ``rank_fields`` are looked at (``text``, where it
    does not say)."""

    format: str
    model: str
    query: str
    documents: list[str | dict[str, Any]]
    top_n: int | None = None
    return_documents: bool | None = None
    rank_fields: list[str] = field(default_factory=list)
    max_tokens_per_doc: int | None = None
    max_chunks_per_doc: int | None = None
    priority: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)


class Ranked(Struct):
    """``index``: its place among the documents of the request."""

    index: int
    score: float


class RerankAnswer(Struct, kw_only=True):
    """``results``: the most relevant first."""

    format: str
    results: list[Ranked]
    id: str = ""
    model: str = ""
    usage: Usage | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    """Cohere's ``meta``: warnings and the like."""


def texts(request: RerankRequest, notes: Notes) -> list[str]:
    """The documents for a provider that takes texts only. Raises InvalidRequest where an object
    lacks a field that is to be looked at."""
    fields = request.rank_fields or ["text"]
    told = []
    for place, document in enumerate(request.documents):
        if isinstance(document, str):
            told.append(document)
            continue
        for name in fields:
            if type(document.get(name)) is not str:
                where = f"documents[{place}].{name[:100]}"
                raise InvalidRequest(f"The field '{where}' must be a string.", where)
        if len(fields) == 1:
            told.append(document[fields[0]])
        else:
            told.append("\n".join(f"{name}: {document[name]}" for name in fields))
    if request.rank_fields:
        notes.maps("rank_fields", "texts of these fields")
    return told
