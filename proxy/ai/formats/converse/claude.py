"""Anthropic's models behind Converse: how they think and sample.

Converse hands on what it does not know itself, in Anthropic's words and under Anthropic's rules: a
budget must fit into ``max_tokens``, and who thinks neither samples otherwise nor is made to call
tools, and wants back its signed thoughts before the calls that followed.

Source: Amazon Bedrock's user guide, "Anthropic Claude models", thinking; Anthropic's own.
"""

from __future__ import annotations

from typing import Any

from proxy.ai.formats.converse.blocks import is_ours
from proxy.ai.formats.messages import reasoning
from proxy.ai.formats.messages.models import model as model_of
from proxy.ai.formats.messages.told import tell_sampling
from proxy.ai.middle import Request
from proxy.ai.middle.rules import Notes

_CHOICES = {"required": "any", "one": "tool"}


def is_claude(model: str) -> bool:
    """Its name is in Bedrock's; addresses of inference profiles of one's own hide it."""
    return "claude" in model


def tell(
    request: Request, name: str, notes: Notes
) -> tuple[dict[str, float | int], dict[str, Any]]:
    """``inferenceConfig`` without its stops, and ``additionalModelRequestFields``."""
    model = model_of(name)
    body: dict[str, Any] = {"max_tokens": request.max_tokens or model.max_tokens}
    if request.tool_choice is not None:
        body["tool_choice"] = {"type": _CHOICES.get(request.tool_choice.kind, "auto")}
    reasoning.tell(request, model, body, notes, is_ours)
    if body.get("thinking") == {"type": "disabled"}:
        del body["thinking"]  # That is what holds where nothing is said.
    tell_sampling(request, model, body, notes)
    config: dict[str, float | int] = {}
    if request.max_tokens is not None:
        config["maxTokens"] = request.max_tokens
    elif "thinking" in body:
        config["maxTokens"] = model.max_tokens
        notes.maps("max_tokens", str(model.max_tokens))
    for said, known_as in (("temperature", "temperature"), ("top_p", "topP")):
        if said in body:
            config[known_as] = body[said]
    more: dict[str, Any] = {}
    for said in ("top_k", "thinking", "output_config"):
        if said in body:
            more[said] = body[said]
    return config, more
