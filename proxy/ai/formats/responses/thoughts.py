"""Reasoning items.

Source: OpenAI's API reference, "The response object", reasoning items: summaries, content (which
open models fill) and ``encrypted_content``, by which the model knows its thoughts again.

In the middle form the encrypted content is the signature of the thought: it comes at the end of an
item, and whoever keeps the thought gives it back. It is marked as this format's, together with the
item's id. The other way round, a signature of another provider's goes into the encrypted content
of an item for the client to keep, marked too.
"""

from __future__ import annotations

from typing import Any

from proxy.ai.formats import seals
from proxy.ai.formats.fields import Fields
from proxy.ai.formats.responses.names import ELSEWHERE, NAME, own, owned
from proxy.ai.middle import Foreign, Part, Thinking

BETWEEN = "\n\n"
"""Between the parts of a summary."""

_SIGNED = ELSEWHERE + "signed:"
_SEALED = ELSEWHERE + "sealed:"


def read(given: dict[str, Any], item: Fields) -> Part:
    """``item`` are the fields of ``given``. An item that says nothing stays as it is."""
    rest: dict[str, Any] = {}
    texts, content = _texts(item, "summary"), _texts(item, "content")
    if len(texts) > 1:
        rest["summary"] = given["summary"]
    if content:
        rest["content"] = given["content"] if texts or len(content) > 1 else None
    thought = Thinking(BETWEEN.join(texts or content), id=item.text("id"))
    seal(thought, item.text("encrypted_content"))
    if not (thought.text or thought.signature or thought.sealed):
        return Foreign(NAME, given)
    if item.rest().get("status") == "completed":
        item.take("status")
    item.take("type")
    thought.extra = (thought.extra or {}) | (own(rest | item.rest()) or {}) or None
    return thought


def _texts(item: Fields, name: str) -> list[str]:
    return [entry.text("text") for entry in item.each(name)]


def seal(thought: Thinking, encrypted: str) -> None:
    """Gives the thought what an item's encrypted content says."""
    if encrypted.startswith(_SIGNED):
        thought.signature, thought.extra = seals.given_back(encrypted.removeprefix(_SIGNED))
    elif encrypted.startswith(_SEALED):
        thought.sealed, thought.extra = seals.given_back(encrypted.removeprefix(_SEALED))
    elif encrypted:
        thought.signature = seals.marked(NAME, f"{thought.id}:{encrypted}")


def encrypted(thought: Thinking) -> tuple[str, str]:
    """The item's id and its encrypted content, as far as they are known."""
    ours = seals.unmarked(NAME, thought.signature)
    if ours:
        item_id, _, content = ours.partition(":")
        return item_id or thought.id, content
    if thought.signature:
        return thought.id, _SIGNED + seals.kept(thought.signature, thought.extra)
    if thought.sealed:
        return thought.id, _SEALED + seals.kept(thought.sealed, thought.extra)
    return thought.id, ""


def is_ours(thought: Thinking) -> bool:
    """A provider of this format made it and takes it back."""
    return bool(seals.unmarked(NAME, thought.signature))


def is_unsigned(thought: Thinking) -> bool:
    """Nobody said whose it is."""
    return not (thought.signature or thought.sealed)


def write(thought: Thinking, item_id: str) -> dict[str, Any]:
    """``item_id`` is for a thought that has none of this format's."""
    known, content = encrypted(thought)
    item: dict[str, Any] = {"type": "reasoning", "id": known or item_id, "summary": []}
    more = dict(owned(thought.extra))
    if is_content(thought):
        more["content"] = [{"type": "reasoning_text", "text": thought.text}]
    elif thought.text:
        item["summary"] = [{"type": "summary_text", "text": thought.text}]
    if content:
        item["encrypted_content"] = content
    return item | more


def is_content(thought: Thinking) -> bool:
    """The text is the item's content, and no summary of it."""
    return owned(thought.extra).get("content", ...) is None
