"""What the modules of this format share: its name, and what it has in an ``extra``."""

from __future__ import annotations

from typing import Any

NAME = "responses"


def own(rest: dict[str, Any]) -> dict[str, Any] | None:
    """What is left over, as an ``extra``."""
    return {NAME: rest} if rest else None


def owned(extra: dict[str, Any] | None) -> dict[str, Any]:
    """What this format has in an ``extra``."""
    return extra.get(NAME, {}) if extra else {}
