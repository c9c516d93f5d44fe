"""Signatures of calls of tools, which items of calls have no field for.

Each is told in a reasoning item of its own, since all clients keep those and send them back. Its
encrypted content names the call, so that the two find each other again wherever they stand.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote

from proxy.ai.formats.responses.names import ELSEWHERE
from proxy.ai.middle import Message, Part, ToolCall

_CALLED = ELSEWHERE + "called:"


def item(call_id: str, signature: str, item_id: str) -> dict[str, Any]:
    seal = f"{_CALLED}{quote(call_id, safe='')}:{signature}"
    return {"type": "reasoning", "id": item_id, "summary": [], "encrypted_content": seal}


class Signatures:
    """Those among the items of a conversation, given back to their calls. Ids may come again in
    later turns."""

    def __init__(self) -> None:
        self._waiting: dict[str, str] = {}
        """By the id of a call that has not come yet."""

    def takes(self, given: dict[str, Any], messages: list[Message]) -> bool:
        """The item is a signature. Most stand before their call, but one that a stream told late
        stands behind it, in the same turn."""
        seal = given.get("encrypted_content")
        if type(seal) is not str or not seal.startswith(_CALLED):
            return False
        quoted, _, signature = seal.removeprefix(_CALLED).partition(":")
        call_id = unquote(quoted)
        for part in messages[-1].parts if messages else []:
            if isinstance(part, ToolCall) and part.id == call_id:
                part.signature = signature
                return True
        self._waiting[call_id] = signature
        return True

    def give(self, parts: list[Part]) -> list[Part]:
        """The parts, with the signatures that waited for calls among them."""
        if self._waiting:
            for part in parts:
                if isinstance(part, ToolCall):
                    part.signature = self._waiting.pop(part.id, "")
        return parts
