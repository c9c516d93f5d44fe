"""Every format of AI calls, by name."""

from __future__ import annotations

from proxy.ai.formats import Format, chat, cohere, converse, gemini, messages, responses

FORMATS: dict[str, Format] = {
    "chat": chat,
    "responses": responses,
    "messages": messages,
    "gemini": gemini,
    "converse": converse,
    "cohere": cohere,
}
