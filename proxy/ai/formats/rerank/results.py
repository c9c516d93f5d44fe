"""The order that a provider answers: much the same everywhere."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from proxy.ai import usages
from proxy.ai.errors import AnswerUnreadable
from proxy.ai.middle.rerank import Ranked, RerankAnswer


class _Result(Struct):
    index: int
    relevance_score: float


class _Answer(Struct):
    """Voyage and Fireworks call the results ``data``."""

    results: list[_Result] | None = None
    data: list[_Result] | None = None
    id: str | None = None
    meta: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(_Answer).decode


def read_results(format: str, body: bytes) -> RerankAnswer:  # noqa: A002
    """Raises AnswerUnreadable."""
    try:
        answer = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AnswerUnreadable from error
    given = answer.data if answer.results is None else answer.results
    if given is None:
        raise AnswerUnreadable
    ranked = [Ranked(one.index, one.relevance_score) for one in given]
    ranked.sort(key=_score, reverse=True)
    return RerankAnswer(
        format=format,
        results=ranked,
        id=answer.id or "",
        usage=usages.read(body),
        extra=answer.meta or {},
    )


def _score(one: Ranked) -> float:
    return one.score
