"""Every format of AI calls, by name."""

from __future__ import annotations

from proxy.ai.formats import Format, chat, cohere, converse, gemini, messages

FORMATS: dict[str, Format] = {
    "chat": chat,
    "messages": messages,
    "gemini": gemini,
    "converse": converse,
    "cohere": cohere,
}
