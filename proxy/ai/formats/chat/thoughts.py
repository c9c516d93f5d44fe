"""What a model thought, in the fields that providers have for it beside ``content``.

Sources: DeepSeek, vLLM and Z.ai (``reasoning_content``); Groq, Cerebras, newer vLLM and OpenRouter
(``reasoning``); OpenRouter and Snowflake (``reasoning_details``, which also hold signatures and
what is sealed). The plain text repeats that of the details where a provider sends both.

OpenRouter hands on what makers of models signed, and says whose it is (``format``). What is not
Anthropic's carries that and its id with it, so that it is nobody else's and comes back whole.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote

from proxy.ai.formats.chat.dialects import Telling
from proxy.ai.formats.chat.names import NAME, own, owned
from proxy.ai.formats.fields import Fields
from proxy.ai.formats.seals import is_others, marked, unmarked
from proxy.ai.middle import Part, Thinking

_DETAIL = "detail:"
"""Begins a seal that has a format and an id in it."""


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
    format_ = detail.rest().get("format")
    if type(format_) is str and not format_.startswith("anthropic"):
        thought.signature = _closed(thought.signature, format_, thought.id)
        thought.sealed = _closed(thought.sealed, format_, thought.id)
    detail.take("index")
    if detail.rest().get("type") == _kind(thought):
        detail.take("type")
    thought.extra = own(detail.rest())
    return thought


def _closed(seal: str, format: str, thought_id: str) -> str:  # noqa: A002
    if not seal:
        return ""
    return marked(NAME, f"{_DETAIL}{quote(format, safe='')}:{quote(thought_id, safe='')}:{seal}")


def _opened(seal: str) -> tuple[str, dict[str, Any]]:
    """The seal itself, and the fields of its detail that it had in it."""
    ours = unmarked(NAME, seal)
    if not ours.startswith(_DETAIL):
        return seal, {}
    format_, _, rest = ours.removeprefix(_DETAIL).partition(":")
    thought_id, _, own_seal = rest.partition(":")
    fields = {"format": unquote(format_), "id": unquote(thought_id)}
    return own_seal, {name: value for name, value in fields.items() if value}


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
    ours = unmarked(NAME, seal)
    if ours:
        return seal if ours.startswith(_DETAIL) else ours
    return "" if is_others(NAME, seal) else seal


def details(thoughts: list[Thinking]) -> list[dict[str, Any]]:
    """In OpenRouter's shape."""
    return [detail(thought, place) for place, thought in enumerate(thoughts)]


def detail(thought: Thinking, place: int) -> dict[str, Any]:
    written: dict[str, Any] = {"type": _kind(thought)} | owned(thought.extra)
    signature, said = _opened(thought.signature)
    sealed, more = _opened(thought.sealed)
    if sealed:
        written["data"] = sealed
    if thought.text or not sealed:
        written["text" if written["type"] == "reasoning.text" else "summary"] = thought.text
    if signature:
        written["signature"] = signature
    if thought.id:
        written["id"] = thought.id
    return written | said | more | {"index": place}
