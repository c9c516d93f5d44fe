"""A request in OpenAI's formats is fitted to what its provider and model take: ``contract.quirks``.

Only the top level of the JSON is read. Nothing is lost in silence: what is left out, or told in
other words, is noted, unless it says what holds anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from contract.quirks import EFFORTS, Quirks, Rule
from proxy.ai.formats.chat import strict
from proxy.ai.formats.fields import decode as _decode
from proxy.ai.middle import Request
from proxy.ai.middle.rules import Notes, rule_of, says_nothing

_EMPTY = (b"null", b"[]", b'""', b"{}")
_GENERATES = ("chat", "responses")
_OFF = Raw(b'{"type":"disabled"}')

_encode = msgspec.json.Encoder().encode


def fit(
    fields: dict[str, Raw], quirks: Quirks, spoken: str, notes: Notes, *, own: bool = True
) -> bool:
    """Whether anything was changed. ``spoken`` is the format of ``fields``; ``own``: the client
    has named them itself, so that it is told of other names. Raises ParameterUnsupported."""
    changed = not quirks.concerns.isdisjoint(fields) and _fit(fields, quirks, spoken, notes, own)
    if spoken == "chat":
        if quirks.knows and not fields.keys() <= quirks.knows:
            changed |= _leave_out_unknown(fields, quirks.knows, notes)
        changed |= strict.fit(fields, quirks, notes)
    return changed


def _fit(fields: dict[str, Raw], quirks: Quirks, spoken: str, notes: Notes, own: bool) -> bool:
    chat, changed, thinks_now = spoken == "chat", False, False
    if spoken in _GENERATES:
        thinks_now = _thinks(fields, quirks, chat)
        changed = _fit_effort(fields, quirks, notes, chat)
        choices = quirks.choices or (quirks.choices_thinking if thinks_now else ())
        if choices and "tool_choice" in fields:
            changed |= _fit_choice(fields, choices, notes)
    changed |= _leave_out(fields, quirks, thinks_now, notes)
    for name, words in quirks.words.items():
        if name in fields:
            changed |= _reword(fields, name, words, notes)
    if chat and quirks.outputs and "response_format" in fields:
        changed |= _fit_output(fields, quirks.outputs, notes)
    return changed | _rename(fields, quirks, notes if own else Notes())


def thinks(request: Request, quirks: Quirks) -> bool:
    """The model does, when it is asked so."""
    reasoning = request.reasoning
    return quirks.thinks if reasoning is None else reasoning.on and reasoning.effort != "none"


def lacks_of(request: Any, quirks: Quirks | None) -> Mapping[str, Rule]:
    """What is to be taken out of a request in the middle form."""
    if quirks is None:
        return {}
    if quirks.lacks_thinking and isinstance(request, Request) and thinks(request, quirks):
        return {**quirks.lacks, **quirks.lacks_thinking}
    return quirks.lacks


def _thinks(fields: dict[str, Raw], quirks: Quirks, chat: bool) -> bool:
    effort = _effort(fields, chat)
    if effort:
        return effort != "none"
    thinking = fields.get("thinking")
    if thinking is not None and b'"disabled"' in bytes(thinking):
        return False
    return quirks.thinks


def _effort(fields: dict[str, Raw], chat: bool) -> str:
    given = fields.get("reasoning_effort" if chat else "reasoning")
    effort = None if given is None else _decode(given)
    if not chat and type(effort) is dict:
        effort = effort.get("effort")
    return effort if type(effort) is str else ""


def _fit_effort(fields: dict[str, Raw], quirks: Quirks, notes: Notes, chat: bool) -> bool:
    effort = _effort(fields, chat)
    if not effort:
        return False
    if effort == "none" and quirks.off and chat:
        del fields["reasoning_effort"]
        fields["thinking"] = _OFF
        notes.maps("reasoning_effort", "thinking.disabled")
        return True
    if not quirks.efforts or effort in quirks.efforts or effort not in EFFORTS:
        return False
    nearest = _nearest(effort, quirks.efforts)
    if chat and nearest:
        fields["reasoning_effort"] = Raw(_encode(nearest))
    elif chat:
        del fields["reasoning_effort"]
    else:
        reasoning = _decode(fields["reasoning"])
        reasoning["effort"] = nearest or None
        fields["reasoning"] = Raw(_encode(reasoning))
    if nearest:
        notes.maps("reasoning_effort", nearest)
    else:
        notes.lacks("reasoning_effort")
    return True


def _nearest(effort: str, efforts: tuple[str, ...]) -> str:
    """The least thinking where there was to be none, and some where there was to be some; of two
    that are as near the greater. Empty where there is none such."""
    some = [one for one in efforts if one != "none" and one in EFFORTS]
    if not some:
        return "default" if "default" in efforts else ""
    wanted = EFFORTS.index(effort)
    return min(some, key=lambda one: (abs(EFFORTS.index(one) - wanted), -EFFORTS.index(one)))


def _fit_choice(fields: dict[str, Raw], choices: tuple[str, ...], notes: Notes) -> bool:
    given = _decode(fields["tool_choice"])
    kind = given if type(given) is str else None if given is None else "one"
    if kind is None or kind in choices:
        return False
    notes.lacks("tool_choice", "refuse", only=" or ".join(choices))
    del fields["tool_choice"]
    return True


def _leave_out(fields: dict[str, Raw], quirks: Quirks, thinks: bool, notes: Notes) -> bool:
    changed = False
    for lacks in (quirks.lacks, quirks.lacks_thinking if thinks else {}):
        for name, rule in lacks.items():
            written = name if name in fields else "reasoning"
            if written not in fields or (written != name and name != "reasoning_effort"):
                continue
            if not _asks_nothing(name, fields[written]):
                notes.lacks(name, rule)
            del fields[written]
            changed = True
    return changed


def _asks_nothing(name: str, value: Raw) -> bool:
    return bytes(value) in _EMPTY or says_nothing(name, _decode(value))


def _reword(fields: dict[str, Raw], name: str, words: Any, notes: Notes) -> bool:
    given = _decode(fields[name])
    word = words.get(given) if type(given) is str else None
    if word is None:
        return False
    if word:
        fields[name] = Raw(_encode(word))
        notes.maps(name, word)
    else:
        del fields[name]
    return True


def _fit_output(fields: dict[str, Raw], outputs: tuple[str, ...], notes: Notes) -> bool:
    given = _decode(fields["response_format"])
    kind = given.get("type") if type(given) is dict else None
    if type(kind) is not str or kind in outputs:
        return False
    notes.lacks("response_format", "refuse", only=" or ".join(outputs))
    if kind == "json_schema" and "json_object" in outputs:
        fields["response_format"] = Raw(b'{"type":"json_object"}')
    else:
        del fields["response_format"]
    return True


def _rename(fields: dict[str, Raw], quirks: Quirks, notes: Notes) -> bool:
    """``max_completion_tokens`` is the newer name, and counts where both are there."""
    changed = False
    for name, known_as in quirks.renames.items():
        value = fields.pop(name, None)
        if value is None:
            continue
        changed = True
        if not known_as or (name == "max_tokens" and known_as in fields):
            continue
        fields[known_as] = value
        notes.maps(name, known_as)
    return changed


def _leave_out_unknown(fields: dict[str, Raw], knows: frozenset[str], notes: Notes) -> bool:
    unknown = [name for name in fields if name not in knows]
    for name in unknown:
        value = fields.pop(name)
        if not _asks_nothing(name, value):
            notes.lacks(name, rule_of(name))
    return bool(unknown)
