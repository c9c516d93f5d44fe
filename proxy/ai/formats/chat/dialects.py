"""How providers differ within this format.

``Dialect`` says how a request is spelled for one of them; names of fields and parameters that are
lacking are in ``contract.presets``. Sources: each provider's API reference of chat completions,
November 2026.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from proxy.ai.middle.rules import Notes


class Dialect(Struct, frozen=True, kw_only=True):
    developer: bool = False
    """The role is known; else its messages are the system's."""
    arrays: bool = True
    """The content of a message may be an array of texts; else they are joined."""
    reasoning: Literal["reasoning_effort", "reasoning", "thinking"] = "reasoning_effort"
    """``reasoning`` is an object with ``effort`` or ``max_tokens``; ``thinking`` one with ``type``,
    beside ``reasoning_effort``."""
    thoughts: Literal["", "reasoning_content", "reasoning", "details", "content"] = (
        "reasoning_content"
    )
    """How earlier thoughts are given back: as a text in the field named, also as
    ``reasoning_details`` where they are signed or sealed, as entries of the content, or not."""
    cache_control: bool = False
    """Places in the prompt can be marked up to which it may be kept."""
    document_url: Literal["", "file_data", "document_url"] = ""
    """Where the address of a document is put."""
    top_k: bool = True
    """The parameter is known. It is none of OpenAI's."""
    tool_media: bool = False
    """The result of a tool may have images in it; else they follow in a user's message."""
    call_signatures: bool = False
    """Signatures of calls are given back (``extra_content``): Google's own endpoint of this format
    wants them, for which there is no preset."""


OWN = Dialect(
    developer=True,
    thoughts="details",
    cache_control=True,
    document_url="file_data",
    tool_media=True,
    call_signatures=True,
)
"""All that this format has: what a client that speaks it is answered in, or has said itself."""

_OPENAI = Dialect(developer=True, thoughts="", top_k=False)
_MISTRAL = Dialect(thoughts="content", document_url="document_url", top_k=False)
_FAST = Dialect(developer=True, thoughts="reasoning", top_k=False)
_REASONING = Dialect(thoughts="reasoning")
_ROUTER = Dialect(
    developer=True,
    reasoning="reasoning",
    thoughts="details",
    cache_control=True,
    document_url="file_data",
)

DIALECTS: dict[str, Dialect] = {
    "openai": _OPENAI,
    "azure": _OPENAI,
    "github": _OPENAI,
    "mistral": _MISTRAL,
    "groq": _FAST,
    "cerebras": _FAST,
    "together": _REASONING,
    "ollama": _REASONING,
    "vllm": _REASONING,
    "perplexity": Dialect(thoughts=""),
    "deepseek": Dialect(arrays=False, reasoning="thinking", top_k=False),
    "xai": Dialect(top_k=False),
    "zai": Dialect(reasoning="thinking", top_k=False),
    "openrouter": _ROUTER,
    "snowflake": _ROUTER,
    "compatible": Dialect(call_signatures=True),
}
"""By the name of a preset of providers; all others speak as ``Dialect()`` does."""


class Telling(Struct, frozen=True):
    """How, and with what notices, one request is told to a provider."""

    dialect: Dialect
    notes: Notes
    own: bool
    """The client speaks this format too, and may know what this provider understands."""
    former: bool
    """The client uses ``functions``, which ``tools`` replaced."""
