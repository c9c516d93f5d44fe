"""The lists of models, in the shape of whoever asks: OpenAI's, Anthropic's or Google's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from proxy.ai.errors import ModelNotFound

if TYPE_CHECKING:
    from proxy.exchange import Exchange
    from proxy.runtime import ModelRuntime

_encode = msgspec.json.Encoder().encode


async def serve(exchange: Exchange, name: str, models: Iterator[ModelRuntime]) -> None:
    """The one model of that name, still encoded, or the list of all. Raises ModelNotFound."""
    if exchange.raw_path.startswith(b"/v1beta"):
        one, all_ = _google, _google_list
    elif b"anthropic-version" in exchange.headers:
        one, all_ = _anthropic, _anthropic_list
    else:
        one, all_ = _openai, _openai_list
    if not name:
        await _answer(exchange, all_([one(model) for model in models]))
        return
    name = unquote(name)
    found = next((model for model in models if model.name == name), None)
    if found is None:
        raise ModelNotFound(name)
    await _answer(exchange, one(found))


def _openai(model: ModelRuntime) -> dict[str, Any]:
    return {
        "id": model.name,
        "object": "model",
        "created": model.model.created,
        "owned_by": "hubpo",
    }


def _openai_list(models: list[dict[str, Any]]) -> dict[str, Any]:
    return {"object": "list", "data": models}


def _anthropic(model: ModelRuntime) -> dict[str, Any]:
    created = datetime.fromtimestamp(model.model.created, UTC)
    return {
        "type": "model",
        "id": model.name,
        "display_name": model.name,
        "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _anthropic_list(models: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "data": models,
        "has_more": False,
        "first_id": models[0]["id"] if models else None,
        "last_id": models[-1]["id"] if models else None,
    }


_METHODS = {"chat": ("generateContent", "countTokens"), "embeddings": ("embedContent",)}


def _google(model: ModelRuntime) -> dict[str, Any]:
    abilities = model.model.abilities
    return {
        "name": f"models/{model.name}",
        "version": "1",
        "displayName": model.name,
        "supportedGenerationMethods": [
            method for ability in abilities for method in _METHODS.get(ability, ())
        ],
    }


def _google_list(models: list[dict[str, Any]]) -> dict[str, Any]:
    return {"models": models}


async def _answer(exchange: Exchange, value: Any) -> None:
    body = _encode(value)
    headers = [(b"content-type", b"application/json")]
    head_only = exchange.method == "HEAD"
    await exchange.respond(200, headers, b"" if head_only else body, len(body))
