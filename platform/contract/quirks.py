"""What a kind of provider, or some of its models, cannot be told as OpenAI's format has it.

All names are of parameters as chat completions spell them. Rules of a provider are extended by the
first of its families that a model's name fits, and both by what an administrator declared for a
deployment, whose word is the last.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, TypeVar, cast

from msgspec import Struct
from msgspec.structs import replace

T = TypeVar("T")

Rule = Literal["drop", "refuse"]
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Values of ``reasoning_effort``, the least first."""
SEND = "send"
"""Declared for a parameter that is to be told whatever the kind of provider lacks."""


class Quirks(Struct, frozen=True, kw_only=True):
    """``lacks``: parameters that are refused or ignored, with what is done where a call sets them;
    ``lacks_thinking``: those lacking only while the model thinks. ``renames``: parameters known
    under another name, or, where that is empty, not needed. ``words``: by parameter, values that
    have another name here; where that is empty the parameter is left out, since it is so anyway.
    """

    kind: str = ""
    """The name of the preset."""
    lacks: Mapping[str, Rule] = {}
    lacks_thinking: Mapping[str, Rule] = {}
    renames: Mapping[str, str] = {}
    words: Mapping[str, Mapping[str, str]] = {}
    knows: frozenset[str] = frozenset()
    """All fields of a chat request, where others are refused; empty where they are not."""
    developer: bool = True
    """The role is known."""
    thinks: bool = True
    """The model thinks where the call does not say whether it is to."""
    efforts: tuple[str, ...] = ()
    """Values of ``reasoning_effort``; empty where all are taken."""
    off: Literal["", "thinking"] = ""
    """How thinking is turned off where the effort ``none`` is not known: a field ``thinking``."""
    outputs: tuple[str, ...] = ()
    """Types of ``response_format``; empty where all are taken."""
    choices: tuple[str, ...] = ()
    """Values of ``tool_choice``, among which an object is ``one``; empty where all are taken."""
    choices_thinking: tuple[str, ...] = ()
    """The same while the model thinks."""
    responses: Literal["", "tools", "only"] = ""
    """The model is asked by responses where the provider has them: always, or with tools while it
    thinks, which it does not take in chat completions."""
    concerns: frozenset[str] = frozenset()
    """Fields that all of this but ``knows`` is about: a request without any is not changed."""


class Family(Struct, frozen=True):
    """Models of a provider whose name begins as ``pattern`` says, without case and without what
    goes before a slash."""

    pattern: str
    quirks: Quirks


def quirks_of(
    own: Quirks, families: tuple[Family, ...], model: str, declared: Mapping[str, str]
) -> Quirks | None:
    """Of a model that its provider knows as ``model``. ``declared``: by parameter ``drop``,
    ``refuse``, ``send`` or its name here. None where there are none."""
    found = own
    name = model.rsplit("/", 1)[-1].lower().removeprefix("ft:")
    for family in families:
        if re.match(family.pattern, name):
            found = _extended(found, family.quirks)
            break
    if declared:
        found = _declared(found, declared)
    if found == Quirks(kind=found.kind):
        return None
    return replace(found, concerns=_concerns(found))


def _concerns(quirks: Quirks) -> frozenset[str]:
    names = {*quirks.lacks, *quirks.lacks_thinking, *quirks.renames, *quirks.words}
    if quirks.efforts or quirks.off or "reasoning_effort" in names:
        names |= {"reasoning_effort", "reasoning"}
    if quirks.outputs:
        names.add("response_format")
    if quirks.choices or quirks.choices_thinking:
        names.add("tool_choice")
    return frozenset(names)


def _extended(own: Quirks, more: Quirks) -> Quirks:
    return replace(
        more,
        kind=own.kind,
        lacks={**own.lacks, **more.lacks},
        lacks_thinking={**own.lacks_thinking, **more.lacks_thinking},
        renames={**own.renames, **more.renames},
        words={**own.words, **more.words},
        knows=own.knows,
        developer=own.developer,
        efforts=more.efforts or own.efforts,
        off=more.off or own.off,
        outputs=more.outputs or own.outputs,
        choices=more.choices or own.choices,
        choices_thinking=more.choices_thinking or own.choices_thinking,
    )


def _declared(own: Quirks, declared: Mapping[str, str]) -> Quirks:
    def kept(rules: Mapping[str, T]) -> dict[str, T]:
        return {name: rule for name, rule in rules.items() if name not in declared}

    rules = {name: said for name, said in declared.items() if said in ("drop", "refuse")}
    names = {n: said for n, said in declared.items() if n not in rules and said != SEND}
    sent = {name for name, said in declared.items() if said == SEND}
    return replace(
        own,
        lacks=kept(own.lacks) | cast("dict[str, Rule]", rules),
        lacks_thinking=kept(own.lacks_thinking),
        renames=kept(own.renames) | names,
        words=kept(own.words),
        knows=own.knows | sent | set(names.values()) if own.knows else own.knows,
        efforts=() if "reasoning_effort" in sent else own.efforts,
        off="" if "reasoning_effort" in sent else own.off,
        outputs=() if "response_format" in sent else own.outputs,
        choices=() if "tool_choice" in sent else own.choices,
        choices_thinking=() if "tool_choice" in sent else own.choices_thinking,
    )
