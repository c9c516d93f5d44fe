"""Azure OpenAI. Two kinds of addresses: ``https://NAME.openai.azure.com/openai/v1``, which is
called as OpenAI is, and ``https://NAME.openai.azure.com`` with an API version, where the path names
the deployment.

Source: Azure OpenAI's REST API reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

from proxy.ai.providers import openai
from proxy.errors import Headers

if TYPE_CHECKING:
    from proxy.ai.compiled import Destination


def speaks(to: Destination, operation: str) -> tuple[str, ...]:
    if operation == "chat":
        return ("chat", "responses") if _is_v1(to) else ("chat",)
    return (operation,) if operation in openai.PATHS and operation != "moderations" else ()


def path(to: Destination, operation: str, spoken: str, model: str, *, stream: bool) -> bytes:
    if _is_v1(to):
        return (to.base + openai.PATHS[spoken]).encode()
    base = to.base if to.base.endswith("/openai") else f"{to.base}/openai"
    version = quote(to.settings.get("api_version") or "2024-10-21", safe="")
    where = f"{base}/deployments/{quote(model, safe='')}{openai.PATHS[spoken]}"
    return f"{where}?api-version={version}".encode()


def _is_v1(to: Destination) -> bool:
    return to.base.endswith("/openai/v1")


def headers(to: Destination, client: Mapping[bytes, bytes], path: bytes, body: bytes) -> Headers:
    sent = openai.passed_on(client, (b"accept", b"user-agent"))
    if to.credential is not None:
        sent.append((b"api-key", to.credential.encode()))
    return sent
