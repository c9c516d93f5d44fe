"""The formats of reranking, by name."""

from __future__ import annotations

from proxy.ai.formats import Simple
from proxy.ai.formats.rerank import cohere
from proxy.ai.formats.rerank.texts import BEDROCK, JINA, SECOND, VOYAGE

RERANKS: dict[str, Simple] = {
    cohere.NAME: cohere,
    SECOND.NAME: SECOND,
    JINA.NAME: JINA,
    VOYAGE.NAME: VOYAGE,
    BEDROCK.NAME: BEDROCK,
}

FAMILY = {
    cohere.NAME: "cohere",
    SECOND.NAME: "cohere",
    JINA.NAME: "chat",
    VOYAGE.NAME: "chat",
    BEDROCK.NAME: "converse",
}
"""Whose errors they have."""

OWN = {SECOND.NAME: cohere.NAME, JINA.NAME: cohere.NAME, VOYAGE.NAME: cohere.NAME}
"""Clients of Jina and the like ask in Cohere's format: what only these say goes on to them."""
