"""What a model thought, in the fields that providers have for it beside ``content``.

Sources: DeepSeek, vLLM and Z.ai (``reasoning_content``); Groq, Cerebras, newer vLLM and OpenRouter
(``reasoning``); OpenRouter and Snowflake (``reasoning_details``, which also hold signatures and
what is sealed). The plain text repeats that of the details where a provider sends both.
"""

from __future__ import annotations

from typing import Any

from proxy.ai.formats.chat.dialects import Telling
from proxy.ai.formats.chat.names import NAME, own, owned
from proxy.ai.formats.fields import Fields
from proxy.ai.formats.seals import is_others, unmarked
from proxy.ai.middle import Part, Thinking


def read(message: Fields) -> list[Part]:
    """Takes the fields named above."""
    plain = message.text("reasoning_content")
    plain = message.text("reasoning") or plain
    thoughts: list[Part] = []
    for detail in message.each("reasoning_details"):
        thought = of_detail(detail)
        if thought is not None:
            thoughts.append(thought)
    if plain and not any(isinstance(part, Thinking) and part.text for part in thoughts):
        thoughts.insert(0, Thinking(plain))
    return thoughts


def of_detail(detail: Fields) -> Thinking | None:
    """None where it says nothing."""
    thought = Thinking(
        text=detail.text("text") or detail.text("summary"),
        signature=detail.text("signature"),
        sealed=detail.text("data"),
        id=detail.text("id"),
    )
    if not (thought.text or thought.signature or thought.sealed):
        return None
    detail.take("index")
    if detail.rest().get("type") == _kind(thought):
        detail.take("type")
    thought.extra = own(detail.rest())
    return thought


def _kind(thought: Thinking) -> str:
    return "reasoning.encrypted" if thought.sealed else "reasoning.text"


def write(parts: list[Part], telling: Telling) -> dict[str, Any]:
    """The fields of a message for its thoughts, those that ``content`` cannot hold."""
    thoughts = [part for part in parts if isinstance(part, Thinking)]
    if not telling.own:
        thoughts = [_own_words(thought) for thought in thoughts]
    if not thoughts or telling.dialect.thoughts == "content":
        return {}
    text = "".join(thought.text for thought in thoughts)
    written: dict[str, Any] = {}
    if telling.dialect.thoughts == "details":
        if text:
            written["reasoning_content"] = text
        if any(t.signature or t.sealed or t.id or t.extra for t in thoughts):
            written["reasoning_details"] = details(thoughts)
    elif telling.dialect.thoughts and text:
        written[telling.dialect.thoughts] = text
    if not written:
        telling.notes.lacks("thinking")
    return written


def _own_words(thought: Thinking) -> Thinking:
    """Without what only a provider of another format takes back."""
    signature, sealed = _own_seal(thought.signature), _own_seal(thought.sealed)
    if (signature, sealed) == (thought.signature, thought.sealed):
        return thought
    return Thinking(thought.text, signature, sealed)


def _own_seal(seal: str) -> str:
    return unmarked(NAME, seal) or ("" if is_others(NAME, seal) else seal)


def details(thoughts: list[Thinking]) -> list[dict[str, Any]]:
    """In OpenRouter's shape."""
    return [detail(thought, place) for place, thought in enumerate(thoughts)]


def detail(thought: Thinking, place: int) -> dict[str, Any]:
    written: dict[str, Any] = {"type": _kind(thought)} | owned(thought.extra)
    if thought.sealed:
        written["data"] = thought.sealed
    if thought.text or not thought.sealed:
        written["text" if written["type"] == "reasoning.text" else "summary"] = thought.text
    if thought.signature:
        written["signature"] = thought.signature
    if thought.id:
        written["id"] = thought.id
    return written | {"index": place}
