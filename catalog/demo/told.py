"""What the person who starts the demo is told."""

from __future__ import annotations

import json
import shlex
from typing import Any

from django.conf import settings

from catalog.demo.catalogue import CHAT_MODEL

PATHS = {"rest": "/weather/cities/berlin", "prompt": "/prompts/sentiment"}


def addresses(host: str) -> dict[str, str]:
    """Where the console and the gateway are for this host."""
    return {
        "console": settings.CONSOLE_ADDRESS.format(host=host),
        "gateway": settings.GATEWAY_ADDRESS.format(host=host),
        "host": host,
    }


def examples(gateway: str, key: str) -> list[dict[str, str]]:
    """Three calls that work as printed."""
    chat = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "Hello"}]}
    calls = (
        ("Call a REST API", PATHS["rest"], None),
        ("Ask an AI model", "/v1/chat/completions", chat),
        ("Use a prompt", PATHS["prompt"], {"text": "I love this place."}),
    )
    return [
        {"title": title, "command": _curl(gateway + path, key, body)} for title, path, body in calls
    ]


def _curl(address: str, key: str, body: Any) -> str:
    parts = ["curl", shlex.quote(address), "-H", shlex.quote(f"Authorization: Bearer {key}")]
    if body is not None:
        parts += ["-H", shlex.quote("Content-Type: application/json")]
        parts += ["-d", shlex.quote(json.dumps(body))]
    return " ".join(parts)
