"""The formats of embeddings, by name."""

from __future__ import annotations

from proxy.ai.formats import Simple
from proxy.ai.formats.embedding import cohere, gemini, openai

EMBEDDINGS: dict[str, Simple] = {
    openai.NAME: openai,
    cohere.NAME: cohere,
    gemini.MANY.NAME: gemini.MANY,
    gemini.ONE.NAME: gemini.ONE,
}

FAMILY = {
    openai.NAME: "chat",
    cohere.NAME: "cohere",
    gemini.MANY.NAME: "gemini",
    gemini.ONE.NAME: "gemini",
}
"""Whose errors they have."""
