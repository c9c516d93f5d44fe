"""What is asked of models, by operation: the formats between which each can be translated.

Operations that are not here (variations of pictures, batches) are only passed on, to providers of
the same format.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.ai.formats import Format, Simple
from proxy.ai.formats.counting import registry as counting
from proxy.ai.formats.embedding import registry as embedding
from proxy.ai.formats.media import registry as media
from proxy.ai.formats.moderation import registry as moderation
from proxy.ai.formats.registry import FORMATS
from proxy.ai.formats.rerank import registry as rerank

OPERATIONS: dict[str, Mapping[str, Simple]] = {
    "chat": FORMATS,
    "count": counting.COUNTS,
    "embeddings": embedding.EMBEDDINGS,
    "rerank": rerank.RERANKS,
    "images": media.IMAGES,
    "image_edits": media.EDITS,
    "speech": media.SPEECH,
    "transcriptions": media.TRANSCRIPTS,
    "translations": media.TRANSCRIPTS,
    "moderations": moderation.MODERATIONS,
}

OWN = counting.FAMILY | rerank.OWN
"""Whose own parameters a format takes, where that is another's."""

_FAMILY = counting.FAMILY | embedding.FAMILY | rerank.FAMILY | media.FAMILY | moderation.FAMILY


def family(name: str) -> Format:
    """The format whose errors it has: OpenAI's, where it has none of its own."""
    return FORMATS.get(_FAMILY.get(name, name), FORMATS["chat"])
