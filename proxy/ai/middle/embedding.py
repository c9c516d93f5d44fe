"""A request for embeddings, and the vectors."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field

from proxy.ai.middle.answer import Usage

Purpose = Literal["", "query", "document", "similarity", "classification", "clustering"]


class EmbeddingRequest(Struct, kw_only=True):
    """``inputs``: texts, or token numbers of the model's own vocabulary."""

    format: str
    model: str
    inputs: list[str | list[int]]
    dimensions: int | None = None
    base64: bool = False
    """The client wants the vectors as base64 of little-endian 32-bit floats."""
    purpose: Purpose = ""
    """What the vectors are for, where the provider makes a difference."""
    user: str = ""
    single: bool = False
    """Asked for one text and not for a list of one."""
    extra: dict[str, Any] = field(default_factory=dict)


class EmbeddingAnswer(Struct, kw_only=True):
    """``vectors``: one for each input, in order."""

    format: str
    vectors: list[list[float]]
    model: str = ""
    usage: Usage | None = None
    extra: dict[str, Any] = field(default_factory=dict)
