"""Why an answer ended, in the words of the providers.

Sources: the references of OpenAI's API (the five first), Mistral's (``model_length``), DeepSeek's
(``insufficient_system_resource``), Z.ai's (``sensitive``, ``network_error``), Hugging Face's
(``eos_token``, ``stop_sequence``), Together's (``eos``) and vLLM's (``abort``).
"""

from __future__ import annotations

from proxy.ai.middle import Finish, Part, ToolCall

_READ: dict[str, Finish] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",
    "model_length": "length",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "sensitive": "content_filter",
    "error": "error",
    "abort": "error",
    "network_error": "error",
    "insufficient_system_resource": "error",
}
_WRITTEN: dict[Finish, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "pause": "stop",
    "error": "stop",
}
"""The SDKs know no others."""


def read(reason: str) -> Finish:
    return _READ.get(reason, "stop")


def known(reason: str) -> bool:
    """The reason is the one that would be written for what it is read as."""
    return reason == "function_call" or _WRITTEN.get(read(reason)) == reason


def unsaid(parts: list[Part]) -> Finish:
    """Of an answer that is whole and gives no reason."""
    return "tool_calls" if any(isinstance(part, ToolCall) for part in parts) else "stop"


def write(finish: Finish | None, former: bool) -> str:
    if finish == "tool_calls" and former:
        return "function_call"
    return _WRITTEN[finish] if finish is not None else "length"
