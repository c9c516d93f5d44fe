"""Signatures and sealed thoughts that travel through another format.

They are opaque, and only who made them takes them back. A client keeps them between calls in the
fields that its own format has for them; so one that is told in another format says whose it is:
``responses:rs_1:...``.
"""

from __future__ import annotations

_MARKED = ("responses",)
"""Formats whose seals are marked wherever they go. What has no such mark is of whatever format it
is found in."""


def marked(format: str, seal: str) -> str:  # noqa: A002
    return f"{format}:{seal}"


def unmarked(format: str, seal: str) -> str:  # noqa: A002
    """What ``format`` itself calls the seal; empty where it is another's."""
    return seal.removeprefix(f"{format}:") if seal.startswith(f"{format}:") else ""


def marked_elsewhere(format: str, seal: str) -> bool:  # noqa: A002
    """``format`` cannot take it back, since another one made it."""
    return any(seal.startswith(f"{name}:") for name in _MARKED if name != format)
