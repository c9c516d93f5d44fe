"""How providers differ within this format.

``Dialect`` says how a request is spelled for one of them. The default is what most understand.
Sources: each provider's API reference of chat completions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field

from proxy.ai.middle.rules import Notes, Rule


class Dialect(Struct, frozen=True, kw_only=True):
    max_tokens: str = "max_completion_tokens"
    """The field's name."""
    seed: str = "seed"
    """The field's name."""
    required: str = "required"
    """What ``tool_choice`` says where some tool must be called."""
    developer: bool = True
    """The role is known; else its messages are the system's."""
    reasoning: Literal["reasoning_effort", "reasoning", "thinking"] = "reasoning_effort"
    """``reasoning`` is an object with ``effort`` or ``max_tokens``; ``thinking`` one with ``type``
    and ``budget_tokens``."""
    thoughts: Literal["", "reasoning_content", "reasoning", "details", "content"] = "details"
    """How earlier thoughts are given back: as a text in the field named, as
    ``reasoning_details`` where they are signed or sealed, as entries of the content, or not."""
    cache: Literal["", "cache_control", "prompt_cache_breakpoint"] = "cache_control"
    """How a place in the prompt is marked up to which it may be kept."""
    document_url: Literal["", "file_data", "document_url"] = "file_data"
    """Where the address of a document is put."""
    tool_media: bool = False
    """The result of a tool may have images in it; else they follow in a user's message."""
    lacks: Mapping[str, Rule] = field(default_factory=dict)
    """What this provider cannot be told, besides the format's own ``LACKS``."""


DEFAULT = Dialect()


class Telling(Struct, frozen=True):
    """How, and with what notices, one request is told to a provider."""

    dialect: Dialect
    notes: Notes
    own: bool
    """The client speaks this format too, and may know what this provider understands."""
    former: bool
    """The client uses ``functions``, which ``tools`` replaced."""
