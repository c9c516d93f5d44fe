"""Calls of tools in a streamed answer, which come in pieces and may overlap.

Sources: OpenAI's API reference, "The chat completion chunk object", ``tool_calls``; the recordings
for what others make of it: no index, the same index for all, the id again in each piece, arguments
that are an object, ``function_call`` of old.
"""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.ai.errors import AnswerUnreadable
from proxy.ai.formats.chat import tools
from proxy.ai.middle import Event, PartBegin, PartDelta, PartEnd, PartSigned, ToolCall


class _Call:
    """It begins when its name is known."""

    __slots__ = ("custom", "empty", "held", "id", "name", "part")

    def __init__(self, call_id: str) -> None:
        self.id = call_id
        self.name = ""
        self.custom = False
        self.held = ""
        self.part = -1
        self.empty = True


class Calls:
    """Those of one choice."""

    __slots__ = ("_choice", "_made_id", "_open", "_recent", "seen")

    def __init__(self, choice: int, made_id: str) -> None:
        self._choice = choice
        self._made_id = made_id
        """Before the number of a call that has no id."""
        self._open: dict[int | str, _Call] = {}
        """By index, or what is told in its place."""
        self._recent: _Call | None = None
        self.seen = 0

    def continues(self, entries: Any) -> _Call | None:
        """The call to which the entries, if they are one that is usual, add arguments."""
        if type(entries) is not list or len(entries) != 1 or type(entries[0]) is not dict:
            return None
        entry, call = entries[0], self._recent
        index = entry.get("index")
        if call is None or call.part < 0 or len(entry) != 2 or type(index) is not int:
            return None
        return call if self._open.get(index) is call else None

    def read(self, entry: dict[str, Any], place: int, together: int, used: int) -> list[Event]:
        """``place`` of as many entries as came ``together``; ``used`` is the next part's number.
        Raises AnswerUnreadable."""
        index, call = self._find(entry, place, together)
        if call is None:
            given = entry.get("id")
            made = f"{self._made_id}_{self.seen}"
            call = self._open[index] = _Call(given if type(given) is str and given else made)
            self.seen += 1
        self._recent = call
        events: list[Event] = []
        if entry.get("type") == "custom" and type(entry.get("custom")) is dict:
            call.custom = True
        function = entry.get("custom" if call.custom else "function")
        if type(function) is dict:
            self._grow(call, function, used, events)
        signature = tools.signature_of(entry.get("extra_content"))
        if signature and call.part >= 0:
            events.append(PartSigned(self._choice, call.part, signature))
        return events

    def _find(
        self, entry: dict[str, Any], place: int, together: int
    ) -> tuple[int | str, _Call | None]:
        """Where the call is, or is to be put. Where there is no index, or the same for all, the id
        tells calls apart."""
        index, given = entry.get("index"), entry.get("id")
        call_id = given if type(given) is str else ""
        if type(index) is not int and type(index) is not str:
            known = [i for i, call in self._open.items() if call_id and call.id == call_id]
            if known:
                index = known[0]
            elif not call_id and together == 1 and self._recent is not None:
                return "", self._recent
            else:
                index = call_id or place
        call = self._open.get(index)
        if call is not None and call_id and call.id != call_id and call.name:
            return call_id, self._open.get(call_id)
        return index, call

    def _grow(self, call: _Call, function: dict[str, Any], used: int, events: list[Event]) -> None:
        name = function.get("name")
        if type(name) is str and name and not call.name:
            call.name = name
        text = function.get("input" if call.custom else "arguments")
        if type(text) is dict:
            text = msgspec.json.encode(text).decode()
        if text is not None and type(text) is not str:
            raise AnswerUnreadable
        if call.part < 0:
            call.held += text or ""
            if call.name:
                self._begin(call, used, events)
        elif text:
            events.append(self.more(call, text))

    def more(self, call: _Call, text: str) -> PartDelta:
        call.empty = False
        return PartDelta(self._choice, call.part, text)

    def _begin(self, call: _Call, used: int, events: list[Event]) -> None:
        call.part = used
        begun = ToolCall(call.id, call.name, "", call.custom)
        events.append(PartBegin(self._choice, call.part, begun))
        if call.held:
            events.append(self.more(call, call.held))
            call.held = ""

    def end(self, used: int) -> list[Event]:
        """All that are open. Arguments of which nothing came are an empty object."""
        events: list[Event] = []
        for call in self._open.values():
            if call.part < 0:
                self._begin(call, used, events)
                used += 1
            if call.empty and not call.custom:
                events.append(self.more(call, "{}"))
            events.append(PartEnd(self._choice, call.part))
        self._open = {}
        self._recent = None
        return events
