"""What the modules of this format share: its name, and what it has in an ``extra``."""

from __future__ import annotations

from typing import Any

NAME = "responses"

ELSEWHERE = "hubpo:elsewhere:"
"""Before an encrypted content that is none of this format's: a client keeps it for whoever made it,
and OpenAI, which refuses it, is not shown it. Each request is searched for it, which is the quicker
the longer it is."""


def own(rest: dict[str, Any]) -> dict[str, Any] | None:
    """What is left over, as an ``extra``."""
    return {NAME: rest} if rest else None


def owned(extra: dict[str, Any] | None) -> dict[str, Any]:
    """What this format has in an ``extra``."""
    return extra.get(NAME, {}) if extra else {}
