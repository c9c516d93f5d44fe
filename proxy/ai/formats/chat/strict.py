"""Providers that refuse in messages whatever they do not know.

Clients send back what they were answered, and that may have been another provider's answer: one
with thoughts in fields of its own, with ``refusal`` and ``annotations``, with ids of calls in its
own manner. Here it is brought into what the strict ones take. Where the role ``developer`` is not
known, its messages are the system's.

Sources: Mistral's API reference, chat completions, messages (ids of nine letters and digits);
Groq's "OpenAI compatibility" (no ``name``) and reference; Cerebras' reference.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Raw, Struct

from contract.quirks import Quirks
from proxy.ai.formats.fields import encode
from proxy.ai.middle.rules import Notes

_SHORT = re.compile(r"[A-Za-z0-9]{9}")
_CALL = frozenset(("id", "type", "function", "index"))


class Strict(Struct, frozen=True):
    """Fields of a message by its role, besides ``role`` and ``content``. ``short_ids``: of calls,
    nine letters and digits."""

    assistant: frozenset[str]
    tool: frozenset[str] = frozenset(("tool_call_id",))
    others: frozenset[str] = frozenset()
    short_ids: bool = False


_REASONING = frozenset(("tool_calls", "reasoning"))

STRICT: dict[str, Strict] = {
    "mistral": Strict(
        frozenset(("tool_calls", "prefix")),
        frozenset(("tool_call_id", "name")),
        short_ids=True,
    ),
    "groq": Strict(_REASONING),
    "cerebras": Strict(
        _REASONING | {"name"}, frozenset(("tool_call_id", "name")), frozenset(("name",))
    ),
}
"""By the name of a preset of providers."""


def fit(fields: dict[str, Raw], quirks: Quirks, notes: Notes) -> bool:
    """Brings ``messages`` into what the provider takes, and says whether it changed any. What are
    no messages is left as it is: the provider says so."""
    strict = STRICT.get(quirks.kind)
    if "messages" not in fields:
        return False
    demotes = not quirks.developer and b'"developer"' in bytes(fields["messages"])
    if strict is None and not demotes:
        return False
    try:
        messages = msgspec.json.decode(fields["messages"])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    if type(messages) is not list or not all(type(one) is dict for one in messages):
        return False
    changed = False
    for message in messages:
        if demotes and message.get("role") == "developer":
            message["role"] = "system"
            notes.maps("messages.developer", "system")
            changed = True
        changed |= strict is not None and _fit(message, strict, notes)
    if changed:
        fields["messages"] = Raw(encode(messages))
    return changed


def _fit(message: dict[str, Any], strict: Strict, notes: Notes) -> bool:
    role = message.get("role")
    known = {"assistant": strict.assistant, "tool": strict.tool}.get(str(role), strict.others)
    changed = False
    for name in [name for name in message if name not in ("role", "content", *known)]:
        value = message.pop(name)
        changed = True
        if value and name == "reasoning_content" and "reasoning" in known:
            message.setdefault("reasoning", value)
        elif value and name != "reasoning_details":
            notes.lacks(f"messages.{name}")
        elif value and not message.get("reasoning"):
            notes.lacks("messages.reasoning_details")
    calls = message.get("tool_calls")
    for call in calls if type(calls) is list else []:
        if type(call) is dict:
            changed |= _fit_call(call, strict, notes)
    if strict.short_ids and type(message.get("tool_call_id")) is str:
        short = _short(message["tool_call_id"])
        changed |= short != message["tool_call_id"]
        message["tool_call_id"] = short
    return changed


def _fit_call(call: dict[str, Any], strict: Strict, notes: Notes) -> bool:
    unknown = [name for name in call if name not in _CALL and call.get("type") != "custom"]
    for name in unknown:
        del call[name]
        notes.lacks(f"tool_calls.{name}")
    given = call.get("id")
    if not strict.short_ids or type(given) is not str:
        return bool(unknown)
    call["id"] = _short(given)
    return bool(unknown) or call["id"] != given


def _short(given: str) -> str:
    """The same for the same, so that a result is of the call that it answers."""
    return given if _SHORT.fullmatch(given) else sha256(given.encode()).hexdigest()[:9]
