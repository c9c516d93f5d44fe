"""The events by which a part that grows is told: for each kind of text its own names.

Source: OpenAI's API reference, "Streaming events".
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from proxy.ai.formats.responses.thoughts import is_content
from proxy.ai.middle import Part, Refusal, Text, Thinking, ToolCall


class Spelling(Struct, frozen=True):
    grows: str
    """What its events are called: ``.delta`` and ``.done`` follow."""
    told_in: str
    """The field of the last of them that has the whole text."""
    within: str = ""
    """What its place in the item is called, in events of its beginning and end; empty for what
    fills the item."""
    index: str = ""
    """The field with its number there."""
    more: bytes = b""
    """Further fields of each piece, as JSON."""

    def begun(self, text: str) -> dict[str, Any]:
        """The entry within the item, where it is no text of an answer."""
        return {"type": "reasoning_text" if self is CONTENT else "summary_text", "text": text}


TEXT = Spelling(
    "response.output_text", "text", "response.content_part", "content_index", b',"logprobs":[]'
)
REFUSAL = Spelling("response.refusal", "refusal", "response.content_part", "content_index")
SUMMARY = Spelling(
    "response.reasoning_summary_text", "text", "response.reasoning_summary_part", "summary_index"
)
CONTENT = Spelling("response.reasoning_text", "text", "response.content_part", "content_index")
ARGUMENTS = Spelling("response.function_call_arguments", "arguments")
INPUT = Spelling("response.custom_tool_call_input", "input")


def of(part: Part) -> Spelling:
    if isinstance(part, Text):
        return TEXT
    if isinstance(part, Refusal):
        return REFUSAL
    if isinstance(part, Thinking):
        return CONTENT if is_content(part) else SUMMARY
    return INPUT if isinstance(part, ToolCall) and part.custom else ARGUMENTS
