"""Moderation by Mistral, whose categories are others. Source: Mistral's API reference,
"Classifiers", and its documentation, "Moderation"."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.ai import usages
from proxy.ai.errors import AnswerUnreadable
from proxy.ai.formats.fields import answer_fields
from proxy.ai.formats.moderation import openai
from proxy.ai.middle import Usage
from proxy.ai.middle.moderation import Judgement, ModerationAnswer, ModerationRequest
from proxy.ai.middle.rules import Notes, Rule

NAME = "mistral_moderations"
LACKS: Mapping[str, Rule] = {}

_NAMES = {
    "hate_and_discrimination": "hate",
    "violence_and_threats": "violence",
    "dangerous_and_criminal_content": "illicit",
    "dangerous": "illicit",
    "criminal": "illicit",
    "selfharm": "self-harm",
}
"""What OpenAI calls them. Those that it does not have (health, financial, law, pii) have no other
name, and all are there under Mistral's own too, for its clients."""


def read_request(body: bytes, *, model: str = "", stream: bool = False) -> ModerationRequest:
    return openai.read_request(body, model=model, stream=stream)


def write_request(request: ModerationRequest, model: str, notes: Notes) -> bytes:
    """Raises ParameterUnsupported."""
    notes.maps("categories", "Mistral's")
    return openai.write_request(request, model, notes)


def read_answer(body: bytes) -> ModerationAnswer:
    """Of two categories that are one at OpenAI the worse counts. Raises AnswerUnreadable."""
    fields = answer_fields(body)
    results = []
    for one in fields.each("results"):
        theirs, scored = openai.read_judgement(one)
        categories, scores = dict(theirs), dict(scored)
        for name, ours in _NAMES.items():
            if name in theirs:
                categories[ours] = categories.get(ours, False) or theirs[name]
            if name in scored:
                scores[ours] = max(scores.get(ours, 0.0), scored[name])
        results.append(Judgement(categories, scores))
    if not results:
        raise AnswerUnreadable
    return ModerationAnswer(
        format=NAME, results=results, id=fields.text("id"), usage=usages.read(body)
    )


def write_answer(answer: ModerationAnswer, request: ModerationRequest) -> bytes:
    """Raises AnswerUnreadable."""
    return openai.write_answer(answer, request)


def read_usage(data: bytes) -> Usage | None:
    return usages.read(data)
