"""The formats of moderation, by name."""

from __future__ import annotations

from proxy.ai.formats import Simple
from proxy.ai.formats.moderation import mistral, openai

MODERATIONS: dict[str, Simple] = {openai.NAME: openai, mistral.NAME: mistral}

FAMILY = {openai.NAME: "chat", mistral.NAME: "chat"}
"""Whose errors they have."""
