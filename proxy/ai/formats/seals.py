"""Signatures of thoughts that travel through another format than that of who made them.

They are opaque, and only who made them takes them back. A client keeps them between calls in the
fields that its own format has for them, so one that is told in another format says whose it is.
All is base64, as some formats check that.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

_MARKS = {
    "responses": b64encode(b"responses").decode(),
    "converse": b64encode(b"converse.").decode(),
    "gemini": b64encode(b"gemini").decode(),
    "messages": b64encode(b"messages.").decode(),
    "chat": b64encode(b"chat..").decode(),
}
"""The names of formats whose signatures are marked; without padding, so that what follows can be
put behind. The first three are marked wherever they go, the others where they are kept by a client
of Gemini's or of responses. One that has no such mark is of whatever format it is found in."""


def marked(format: str, seal: str) -> str:  # noqa: A002
    return _MARKS[format] + b64encode(seal.encode()).decode()


def unmarked(format: str, seal: str) -> str:  # noqa: A002
    """What ``format`` itself calls the seal; empty where it is another's."""
    mark = _MARKS[format]
    if not seal.startswith(mark):
        return ""
    try:
        return b64decode(seal[len(mark) :], validate=True).decode()
    except ValueError:
        return ""


def is_marked(seal: str) -> bool:
    return any(seal.startswith(mark) for mark in _MARKS.values())


def is_others(format: str, seal: str) -> bool:  # noqa: A002
    """``format`` cannot take it back, since another one made it."""
    return any(seal.startswith(mark) for name, mark in _MARKS.items() if name != format)


def kept(seal: str, extra: dict[str, Any] | None) -> str:
    """As a client of a third format keeps it: with a mark, whoever made it. ``extra`` is that of
    the thought, by which Anthropic's are known."""
    if is_marked(seal):
        return seal
    return marked("messages" if extra is not None and "messages" in extra else "chat", seal)


def given_back(seal: str) -> tuple[str, dict[str, Any] | None]:
    """What ``kept`` was given."""
    anthropic = unmarked("messages", seal)
    return (anthropic, {"messages": {}}) if anthropic else (seal, None)
