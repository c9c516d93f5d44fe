"""Providers that are called as OpenAI is.

Source: OpenAI's API reference. Most of the compatible ones know chat completions and
embeddings only; the responses endpoint is used where the preset is known to have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from proxy.errors import Headers

if TYPE_CHECKING:
    from proxy.ai.compiled import Destination

PATHS = {
    "chat": "/chat/completions",
    "responses": "/responses",
    "embeddings": "/embeddings",
    "images": "/images/generations",
    "image_edits": "/images/edits",
    "image_variations": "/images/variations",
    "speech": "/audio/speech",
    "transcriptions": "/audio/transcriptions",
    "translations": "/audio/translations",
    "moderations": "/moderations",
    "mistral_moderations": "/moderations",
    "jina_rerank": "/rerank",
    "voyage_rerank": "/rerank",
}
"""By format; of a format that only one operation has, by the operation."""

_WITH_RESPONSES = frozenset({"openai", "openrouter", "xai", "groq", "vllm", "huggingface"})
_COUNTS = "/responses/input_tokens"
_ONLY = {"jina": ("embeddings", "rerank"), "voyage": ("embeddings", "rerank")}
_NO_RERANK = frozenset(
    ("openai", "mistral", "groq", "deepseek", "xai", "cerebras", "perplexity", "ollama", "github")
)
_WITH_BATCHES = frozenset({"openai", "groq", "vllm", "compatible"})
_PASSED_ON = (b"accept", b"user-agent", b"openai-beta", b"idempotency-key")


def speaks(to: Destination, operation: str) -> tuple[str, ...]:
    kind = to.preset.name
    if operation == "chat":
        if kind in _WITH_RESPONSES:
            return ("chat", "responses")
        return () if kind in _ONLY else ("chat",)
    if operation not in _ONLY.get(kind, (operation,)):
        return ()
    if operation == "rerank":
        if kind in _NO_RERANK:
            return ()
        return ("voyage_rerank",) if kind == "voyage" else ("jina_rerank",)
    if operation == "batches":
        return ("batches",) if kind in _WITH_BATCHES else ()
    if operation == "count":
        return ("responses",) if kind == "openai" else ()
    if operation == "moderations" and kind == "mistral":
        return ("mistral_moderations",)
    return (operation,) if operation in PATHS else ()


def path(to: Destination, operation: str, spoken: str, model: str, *, stream: bool) -> bytes:
    return (to.base + (_COUNTS if operation == "count" else PATHS[spoken])).encode()


def headers(to: Destination, client: Mapping[bytes, bytes], path: bytes, body: bytes) -> Headers:
    sent = passed_on(client, _PASSED_ON)
    if to.credential is not None:
        sent.append((b"authorization", b"Bearer " + to.credential.encode()))
    return sent


def passed_on(client: Mapping[bytes, bytes], names: tuple[bytes, ...]) -> Headers:
    """The content type, and of the client's fields those that say nothing of who it is."""
    sent: Headers = [(b"content-type", content_type(client))]
    for name in names:
        value = client.get(name)
        if value is not None:
            sent.append((name, value))
    return sent


def content_type(client: Mapping[bytes, bytes]) -> bytes:
    """A form keeps its own, since that names its boundary; all else is JSON."""
    given = client.get(b"content-type", b"")
    return given if given.startswith(b"multipart/form-data") else b"application/json"
