"""Texts whose content is to be judged, and the judgement."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from proxy.ai.middle.answer import Usage


class ModerationRequest(Struct, kw_only=True):
    format: str
    model: str
    inputs: list[str]
    images: bool = False
    """There were pictures too, which are not kept here."""
    extra: dict[str, Any] = field(default_factory=dict)


class Judgement(Struct):
    """``scores``: 0 to 1. Both by the names of OpenAI's categories, and the provider's own where
    OpenAI has no such category."""

    categories: dict[str, bool]
    scores: dict[str, float]


class ModerationAnswer(Struct, kw_only=True):
    """``results``: one for each input, in order."""

    format: str
    results: list[Judgement]
    id: str = ""
    model: str = ""
    usage: Usage | None = None
    extra: dict[str, Any] = field(default_factory=dict)
