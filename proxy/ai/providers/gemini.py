"""Google's Gemini API. Source: its REST reference, ``models``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

from proxy.ai.formats.media.gemini_images import predicts
from proxy.ai.providers.openai import passed_on
from proxy.errors import Headers

if TYPE_CHECKING:
    from proxy.ai.compiled import Destination

FORMATS = {
    "chat": ("gemini",),
    "count": ("gemini",),
    "embeddings": ("gemini_embeddings", "gemini_embedding"),
    "images": ("gemini_images",),
    "image_edits": ("gemini_images",),
    "speech": ("gemini_speech",),
    "transcriptions": ("gemini_transcripts",),
    "translations": ("gemini_transcripts",),
}
VERBS = {
    "count": "countTokens",
    "gemini_embeddings": "batchEmbedContents",
    "gemini_embedding": "embedContent",
}


def speaks(to: Destination, operation: str) -> tuple[str, ...]:
    if operation == "batches":
        return ("gemini_batches",)
    return FORMATS.get(operation, ())


def path(to: Destination, operation: str, spoken: str, model: str, *, stream: bool) -> bytes:
    base = to.base if to.base.endswith(("/v1beta", "/v1")) else f"{to.base}/v1beta"
    name = quote(model.removeprefix("models/"), safe="")
    return f"{base}/models/{name}:{verb(operation, spoken, model, stream=stream)}".encode()


def verb(operation: str, spoken: str, model: str, *, stream: bool) -> str:
    """What follows the colon. A stream is one of server-sent events only where that is asked."""
    if operation == "chat":
        return "streamGenerateContent?alt=sse" if stream else "generateContent"
    if spoken == "gemini_images" and predicts(model):
        return "predict"
    return VERBS.get(operation) or VERBS.get(spoken, "generateContent")


def headers(to: Destination, client: Mapping[bytes, bytes], path: bytes, body: bytes) -> Headers:
    sent = passed_on(client, (b"accept", b"user-agent", b"x-goog-api-client"))
    if to.credential is not None:
        sent.append((b"x-goog-api-key", to.credential.encode()))
    return sent
