"""Parameters that a provider lacks: mapped, dropped or refused, and never in silence.

Each format and each preset of a provider declares ``LACKS``: by name of a field of ``Request``,
what is done where a call sets it. What only steers the choice of words is dropped; what the client
would miss in the answer is refused. An administrator may declare for a model that all of them are
dropped, or refused. What was done goes into the response's ``X-Hubpo-Dropped`` and
``X-Hubpo-Mapped`` and into the usage record.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from typing import Any, Literal

from proxy.ai.errors import ParameterUnsupported
from proxy.ai.middle.parts import Foreign, Media, Part, Refusal, Text, ToolCall, ToolResult
from proxy.ai.middle.request import Message, Request, Tool

Rule = Literal["drop", "refuse"]
Mode = Literal["declared", "drop", "refuse"]

NOTED = 50
"""Of each kind of note, so many are kept: they go into a header."""
_NOT_PLAIN = re.compile(r"[^ -~]")

_SAYS_NOTHING: Mapping[str, Any] = {
    "n": 1,
    "logprobs": False,
    "top_logprobs": 0,
    "stream": False,
    "quality": "auto",
    "moderation": "auto",
    "speed": 1,
    "stream_format": "audio",
    "temperature": 1,
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "verbosity": "medium",
    "store": False,
}
"""A parameter that is set to what holds anyway."""

_WRONG_WITHOUT = frozenset(
    (
        "previous_response_id",
        "conversation",
        "prompt",
        "background",
        "cachedContent",
        "web_search_options",
        "mcp_servers",
    )
)
"""What only one format can say and all of the answer depends on: conversations and prompts that a
provider keeps, and tools that it runs. Refused by all other formats."""

_IN_PARTS = frozenset(
    (
        "generationConfig",
        "toolConfig",
        "functionCallingConfig",
        "thinkingConfig",
        "inlineData",
        "fileData",
    )
)
"""Objects of which only some fields are left: a note names these."""

_TOLD: Mapping[tuple[type, str], frozenset[str]] = {
    (ToolResult, "gemini"): frozenset(("response",)),
    (ToolResult, "converse"): frozenset(("status",)),
    (Text, "converse"): frozenset(("json",)),
    (Media, "messages"): frozenset(("source", "type", "content")),
}
"""What a part has in the words of the client's format for that format alone, while its other fields
say it to all: a result's JSON, which is a text too, and documents in pieces."""


def says_nothing(name: str, value: Any) -> bool:
    """The parameter is empty, or set to what holds anyway where it is lacking."""
    return value is None or value in ([], "", {}) or value == _SAYS_NOTHING.get(name)


def rule_of(name: str) -> Rule:
    """For a parameter that is not known."""
    return "refuse" if name in _WRONG_WITHOUT else "drop"


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

    def lacks(self, name: str, rule: Rule = "drop", *, only: str = "") -> None:
        """The provider cannot be told ``name``, or ``only`` with other values. Raises
        ParameterUnsupported where it is refused."""
        if (rule if self.mode == "declared" else self.mode) == "refuse":
            raise ParameterUnsupported(name, self.where, only)
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
        if says_nothing(name, value):
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
    generates = isinstance(request, Request)
    for name, value in request.extra.items():
        _note(name, value, notes, "refuse" if generates and name in _WRONG_WITHOUT else "drop")
    request.extra = {}
    if not isinstance(request, Request):
        return  # Only what generates has tools and messages.
    for tool in request.tools:
        _note_own(tool, notes)
    for message in request.messages:
        _note_own(message, notes)
        for part in _all_parts(message):
            _note_own(part, notes)
            if isinstance(part, Foreign) and part.value.get("type") == "item_reference":
                notes.lacks("item_reference", "refuse")


def _all_parts(message: Message) -> Iterator[Part]:
    """Those in results of tools too."""
    for part in message.parts:
        yield part
        if isinstance(part, ToolResult):
            yield from part.parts


def texts_only(message: Message, notes: Notes) -> list[Text]:
    """Of a system message, for a provider that wants nothing else there."""
    texts = [part for part in message.parts if isinstance(part, Text)]
    for part in message.parts:
        if not isinstance(part, Text):
            notes.lacks(f"messages.system.{part.kind if isinstance(part, Media) else 'part'}")
    return texts


def unsaid(request: Request, lacks: Container[str], notes: Notes) -> None:
    """Notes which of these the request says, for a provider that has no place for them: ``name`` of
    a message, ``cache_control`` of anything, ``call_cache`` (that of a tool call), ``detail`` of
    an image, ``file_name``, ``citations`` of a text, ``is_error`` of a result, and ``strict`` of a
    tool."""
    for tool in request.tools:
        if tool.strict and "strict" in lacks:
            notes.lacks("tools.strict")
        if tool.cache and "cache_control" in lacks:
            notes.lacks("tools.cache_control")
    for message in request.messages:
        if message.name and "name" in lacks:
            notes.lacks("messages.name")
        for part in _all_parts(message):
            _unsaid_of(part, lacks, notes)


def _unsaid_of(part: Part, lacks: Container[str], notes: Notes) -> None:
    if isinstance(part, Text):
        if part.citations and "citations" in lacks:
            notes.lacks("messages.citations")
    elif isinstance(part, Media):
        if part.detail not in ("", "auto") and "detail" in lacks:
            notes.lacks(f"messages.{part.kind}.detail")
        if part.name and "file_name" in lacks:
            notes.lacks("messages.file.name")
    elif isinstance(part, ToolResult):
        if part.failed and "is_error" in lacks:
            notes.lacks("tool_result.is_error")
    elif isinstance(part, ToolCall):
        if part.cache and "call_cache" in lacks:
            notes.lacks("tool_call.cache_control")
    else:
        return
    if part.cache and "cache_control" in lacks:
        notes.lacks("cache_control")


def _note(name: str, value: Any, notes: Notes, rule: Rule = "drop") -> None:
    """What is false or empty asks for nothing, so that it is not refused."""
    if name in _IN_PARTS and isinstance(value, dict):
        for inner in value:
            notes.lacks(f"{name}.{inner}")
    else:
        notes.lacks(name, rule if value else "drop")


def _note_own(of: Tool | Message | Part, notes: Notes) -> None:
    if isinstance(of, Refusal | Foreign) or of.extra is None:
        return
    for format, said in of.extra.items():  # noqa: A001
        told = _TOLD.get((type(of), format), frozenset())
        if said.get("type") == "search_result":
            notes.maps("search_result", "document")
            told -= {"source"}  # Where it was found is told to nobody else.
        elif "source" in said and "source" in told:
            notes.maps("document.source", "text")
        for name, value in said.items():
            if name not in told:
                _note(name, value, notes)
