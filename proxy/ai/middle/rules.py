"""Parameters that a provider lacks: mapped, dropped or refused, and never in silence.

Each format and each preset of a provider declares ``LACKS``: by name of a field of ``Request``,
what is done where a call sets it. What only steers the choice of words is dropped; what the client
would miss in the answer is refused. An administrator may declare for a model that all of them are
dropped, or refused. What was done goes into the response's ``X-Hubpo-Dropped`` and
``X-Hubpo-Mapped`` and into the usage record.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from proxy.ai.errors import ParameterUnsupported
from proxy.ai.middle.parts import Foreign, Part, Refusal, ToolResult
from proxy.ai.middle.request import Message, Request, Tool

Rule = Literal["drop", "refuse"]
Mode = Literal["declared", "drop", "refuse"]

NOTED = 50
"""Of each kind of note, so many are kept: they go into a header."""
_NOT_PLAIN = re.compile(r"[^ -~]")

_SAYS_NOTHING: Mapping[str, Any] = {"n": 1, "logprobs": False, "top_logprobs": 0}
"""A parameter that is set to what holds anyway."""


class Notes:
    """What became of a call's parameters on its way to one provider.

    ``model`` is its public name, and ``mode`` what the administrator declared: the rules as they
    are, or one for all.
    """

    __slots__ = ("dropped", "mapped", "mode", "model")

    def __init__(self, model: str = "", mode: Mode = "declared") -> None:
        self.model = model
        self.mode = mode
        self.dropped: list[str] = []
        self.mapped: list[str] = []

    @property
    def where(self) -> str:
        """What an error calls it."""
        return f"the model '{self.model}'" if self.model else "this model"

    def lacks(self, name: str, rule: Rule = "drop") -> None:
        """The provider cannot be told ``name``. Raises ParameterUnsupported where it is refused."""
        if (rule if self.mode == "declared" else self.mode) == "refuse":
            raise ParameterUnsupported(name, self.where)
        _add(self.dropped, name)

    def maps(self, name: str, to: str) -> None:
        """It is told something near to ``name``: ``to`` says what."""
        _add(self.mapped, f"{name}={to}")


def _add(notes: list[str], note: str) -> None:
    """Names come from clients: whatever cannot stand in a header is taken out."""
    note = _NOT_PLAIN.sub("?", note[:200])
    if note not in notes and len(notes) < NOTED:
        notes.append(note)


def apply(request: Any, lacks: Mapping[str, Rule], notes: Notes) -> None:
    """Takes out of the request what the provider lacks, and what only another format can say.

    ``request`` is of any operation: what its type has no field for is not looked at. Raises
    ParameterUnsupported.
    """
    for name, rule in lacks.items():
        value: Any = getattr(request, name, None)
        if value is None or value == [] or value == "" or value == _SAYS_NOTHING.get(name):
            continue
        notes.lacks(name, rule)
        empty: Any = [] if isinstance(value, list) else "" if isinstance(value, str) else None
        setattr(request, name, empty)


def foreign(request: Any, format: str, notes: Notes) -> None:  # noqa: A002
    """Drops what only the client's format can say, where the provider speaks another.

    What a part or a tool has of it stays there, for nobody else to look at: it is but noted, as
    the same parts may have to be told to the next provider.
    """
    if request.format == format:
        return
    _note(request.extra, notes)
    request.extra = {}
    if not isinstance(request, Request):
        return  # Only what generates has tools and messages.
    for tool in request.tools:
        _note_own(tool, notes)
    for message in request.messages:
        _note_own(message, notes)
        for part in message.parts:
            _note_own(part, notes)
            if isinstance(part, ToolResult):
                for inner in part.parts:
                    _note_own(inner, notes)


def _note(extra: Mapping[str, Any], notes: Notes) -> None:
    for name in extra:
        notes.lacks(name)


def _note_own(of: Tool | Message | Part, notes: Notes) -> None:
    if isinstance(of, Refusal | Foreign) or of.extra is None:
        return
    for said in of.extra.values():
        _note(said, notes)
