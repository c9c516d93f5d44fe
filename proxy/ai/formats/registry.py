"""Every format of AI calls, by name."""

from __future__ import annotations

from proxy.ai.formats import Format, chat

FORMATS: dict[str, Format] = {
    "chat": chat,
}
