"""Moderation as OpenAI's clients ask for it. Source: OpenAI's API reference, "Moderations"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.ai import usages
from proxy.ai.errors import AnswerUnreadable, InvalidRequest
from proxy.ai.formats.fields import Fields, answer_fields, encode, request_fields
from proxy.ai.middle import Usage
from proxy.ai.middle.moderation import Judgement, ModerationAnswer, ModerationRequest
from proxy.ai.middle.rules import Notes, Rule

NAME = "moderations"
LACKS: Mapping[str, Rule] = {}
_MOST = 1 << 40
"""What is larger is no score."""
CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)


def read_request(body: bytes, *, model: str = "", stream: bool = False) -> ModerationRequest:
    """Parts of one message are one input. Raises InvalidJson and InvalidRequest."""
    fields = request_fields(body)
    request = ModerationRequest(format=NAME, model=fields.text("model"), inputs=[])
    given = fields.take("input")
    if type(given) is str:
        request.inputs = [given]
    elif type(given) is list and given and all(type(one) is str for one in given):
        request.inputs = given
    elif type(given) is list and given and all(type(one) is dict for one in given):
        parts = [fields.at(one, f"input[{place}]") for place, one in enumerate(given)]
        texts = [part.text("text") for part in parts if part.has("text")]
        request.images = len(texts) < len(parts)
        request.inputs = ["\n".join(texts)]
    else:
        text = "The field 'input' must be a string, an array of strings, or one of parts."
        raise InvalidRequest(text, "input")
    fields.take("stream")
    request.extra = fields.rest()
    return request


def write_request(request: ModerationRequest, model: str, notes: Notes) -> bytes:
    """Raises ParameterUnsupported: pictures are only passed on."""
    if request.images:
        notes.lacks("input", "refuse", only="texts")
    return encode({"model": model, "input": request.inputs, **request.extra})


def read_answer(body: bytes) -> ModerationAnswer:
    """Raises AnswerUnreadable."""
    fields = answer_fields(body)
    results = [Judgement(*read_judgement(one)) for one in fields.each("results")]
    if not results:
        raise AnswerUnreadable
    return ModerationAnswer(
        format=NAME, results=results, id=fields.text("id"), usage=usages.read(body)
    )


def read_judgement(fields: Fields) -> tuple[dict[str, bool], dict[str, float]]:
    """By the provider's own names. Raises AnswerUnreadable."""
    categories = {
        name: value
        for name, value in (fields.table("categories") or {}).items()
        if type(value) is bool
    }
    scores = {
        name: float(value)
        for name, value in (fields.table("category_scores") or {}).items()
        if type(value) is float or (type(value) is int and abs(value) < _MOST)
    }
    if not categories:
        raise AnswerUnreadable
    return categories, scores


def write_answer(answer: ModerationAnswer, request: ModerationRequest) -> bytes:
    """Every category of OpenAI's is there. Those that nobody judged are not flagged, and apply to
    no type of input. Raises AnswerUnreadable where inputs were left out."""
    if len(answer.results) != len(request.inputs):
        raise AnswerUnreadable
    results = []
    for one in answer.results:
        none: dict[str, Any] = dict.fromkeys(CATEGORIES, False)
        unscored: dict[str, Any] = dict.fromkeys(CATEGORIES, 0.0)
        results.append(
            {
                "flagged": any(one.categories.values()),
                "categories": none | one.categories,
                "category_scores": unscored | one.scores,
                "category_applied_input_types": {
                    name: ["text"] if name in one.categories else [] for name in CATEGORIES
                },
            }
        )
    written: dict[str, Any] = {"id": answer.id, "model": answer.model, "results": results}
    if answer.usage is not None:
        tokens = answer.usage.input_tokens or 0
        written["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    return encode(written)


def read_usage(data: bytes) -> Usage | None:
    return usages.read(data)
