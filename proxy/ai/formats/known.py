"""Errors that providers say each in their own words, and that clients and the gateway tell by code.

Sources: OpenAI's codes, which the compatible share; Anthropic's ("prompt is too long: 210000 tokens
> 200000 maximum"), Google's ("The input token count (1200000) exceeds the maximum number of tokens
allowed"), Bedrock's, Cohere's, Mistral's and vLLM's sentences; recorded answers to models that are
not there.
"""

from __future__ import annotations

import re

from proxy.ai.middle import Fault

TOO_LONG = "context_length_exceeded"
GONE = "model_not_found"
SEALED_ELSEWHERE = "invalid_encrypted_content"
"""OpenAI's, for thoughts that another account sealed."""
KEPT_ELSEWHERE = "kept_elsewhere"
"""The gateway's own, for a conversation or a prompt that this account does not keep."""
_BAD = (400, 422)
_NOT_FOUND = 404

_too_long = re.compile(
    r"(?:prompt|input) is too long|input token count[^.]{0,40}exceeds"
    r"|maximum context length|exceeds? (?:the )?(?:model's )?context (?:limit|length|window)"
    r"|too many tokens: total number of tokens in the prompt",
    re.IGNORECASE,
).search
_gone = re.compile(r"\b(?:model|deployment|endpoint)", re.IGNORECASE).search
_kept = re.compile(
    r"\b(?:conversation|prompt)\b.{0,200}\bnot found", re.IGNORECASE | re.DOTALL
).search


def settle(fault: Fault) -> Fault:
    """With the common code where the provider gave none but its number or its kind."""
    if fault.status in _BAD and fault.code != TOO_LONG:
        plain = fault.code in ("", fault.kind) or fault.code.isdigit()
        if plain and _too_long(fault.message):
            fault.code = TOO_LONG
    return fault


def elsewhere(fault: Fault) -> str:
    """The code of an error that another deployment of the model need not have; empty for others."""
    if fault.status in _BAD and fault.code in (TOO_LONG, GONE, SEALED_ELSEWHERE):
        return fault.code
    if fault.status != _NOT_FOUND:
        return ""
    if fault.code != GONE and _kept(fault.message):
        return KEPT_ELSEWHERE
    return GONE if fault.code == GONE or _gone(fault.message) else ""
