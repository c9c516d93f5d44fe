"""The paths of AI APIs: which operation, in which format, each of them is.

``rest`` is what follows ``/v1`` or ``/v1beta``. Sources: the API references of OpenAI, Anthropic,
Google (Gemini) and Cohere.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from msgspec import Struct


class Door(Struct, frozen=True):
    """``operation`` is what is asked of a model, ``ability`` what the model must be able to."""

    operation: str
    format: str
    ability: str
    form: bool = False
    """The request is a form with files, not JSON."""
    keeps: bool = False
    """Providers may keep answers, and requests go on from those (``proxy.ai.stored``)."""


_DOORS = {
    "/chat/completions": Door("chat", "chat", "chat"),
    "/responses": Door("chat", "responses", "chat", keeps=True),
    "/responses/input_tokens": Door("count", "responses", "chat", keeps=True),
    "/messages": Door("chat", "messages", "chat"),
    "/messages/count_tokens": Door("count", "messages", "chat"),
    "/embeddings": Door("embeddings", "embeddings", "embeddings"),
    "/images/generations": Door("images", "images", "images"),
    "/images/edits": Door("image_edits", "image_edits", "images", form=True),
    "/images/variations": Door("image_variations", "image_variations", "images", form=True),
    "/audio/speech": Door("speech", "speech", "speech"),
    "/audio/transcriptions": Door("transcriptions", "transcriptions", "transcription", form=True),
    "/audio/translations": Door("translations", "translations", "transcription", form=True),
    "/moderations": Door("moderations", "moderations", "moderation"),
    "/rerank": Door("rerank", "rerank", "rerank"),
    "/embed": Door("embeddings", "cohere_embeddings", "embeddings"),
    "/chat": Door("chat", "cohere", "chat"),
}
_GEMINI = re.compile(r"/models/(?P<model>[^:]+):(?P<verb>[A-Za-z]+)")
_VERBS = {
    "generateContent": Door("chat", "gemini", "chat"),
    "streamGenerateContent": Door("chat", "gemini", "chat"),
    "countTokens": Door("count", "gemini", "chat"),
    "embedContent": Door("embeddings", "gemini_embedding", "embeddings"),
    "batchEmbedContents": Door("embeddings", "gemini_embeddings", "embeddings"),
}


def find(rest: str) -> tuple[Door, str, bool] | None:
    """The door at a path, and of Gemini's the model and whether it streams; else "" and False."""
    door = _DOORS.get(rest)
    if door is not None:
        return door, "", False
    match = _GEMINI.fullmatch(rest)
    if match is None or match["verb"] not in _VERBS:
        return None
    return _VERBS[match["verb"]], unquote(match["model"]), match["verb"].startswith("stream")
