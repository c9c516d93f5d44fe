"""What the modules of this format share: its name, and its words for why an answer ended."""

from __future__ import annotations

from typing import Any

from proxy.ai.middle import Finish

NAME = "messages"

JSON_TOOL = "hubpo_json"
"""Where a model cannot be told a schema of its answer, it must call this tool, whose arguments are
the answer. Readers turn the call into text, so nobody else ever sees it."""

ELSEWHERE = "hubpo:"
"""Before a signature that is none of Anthropic's: a client keeps it for whoever made it, and
Anthropic, which refuses it, is not shown it."""

FINISHES: dict[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "pause_turn": "pause",
    "compaction": "pause",
}

STOP_REASONS: dict[Finish, str | None] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "pause": "pause_turn",
    "error": None,
}

USUAL = frozenset(("end_turn", "stop_sequence", "max_tokens", "tool_use", "refusal", "pause_turn"))
"""Reasons that the middle form can say. Others are kept beside it in their own word."""


def own(extra: dict[str, Any] | None) -> dict[str, Any]:
    """What this format said of a part beyond the middle form."""
    return extra.get(NAME) or {} if extra else {}


def as_own(left: dict[str, Any]) -> dict[str, Any] | None:
    return {NAME: left} if left else None
