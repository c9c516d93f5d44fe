"""Errors in the shape of OpenAI, read from whatever came and written for clients of its formats.

Sources: OpenAI's API reference ("Errors": ``{"error": {"message", "type", "param", "code"}}``);
OpenRouter puts headers of the provider behind it into ``error.metadata.headers``. Mistral answers
``{"message", "type", "code"}`` without an envelope, or ``{"detail": [...]}``; Ollama and Hugging
Face ``{"error": "sentence"}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from proxy.ai.formats import sse
from proxy.ai.formats.fields import encode
from proxy.ai.formats.known import settle
from proxy.ai.formats.retry import retry_after
from proxy.ai.middle import Fault

_LONGEST = 4000
"""Characters of a body that is passed on as the message because nothing in it could be read."""

_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
}


def read_fault(status: int, headers: Mapping[bytes, bytes], body: bytes) -> Fault:
    try:
        given = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        given = body.decode(errors="replace").strip()[:_LONGEST]
    if type(given) is list and given:
        given = given[0]
    fault = of_error(given.get("error", given) if type(given) is dict else given, status)
    if type(given) is dict and not fault.message:
        fault.message = _sentence(given.get("detail")) or _sentence(given.get("message"))
    fault.message = fault.message or f"The provider answered {status}."
    hint = retry_after(headers)
    fault.retry_after = fault.retry_after if hint is None else hint
    return settle(fault)


def of_error(error: Any, status: int = 0) -> Fault:
    """``error`` is what stands in an envelope of that name. With no ``status`` of an answer, as
    within a stream, the one that the error itself names is taken, else 502."""
    if type(error) is not dict:
        return Fault(status=status or 502, message=_sentence(error))
    code = error.get("code")
    fault = Fault(
        status=status or _status(error.get("status_code")) or _status(code) or 502,
        message=_sentence(error.get("message")) or _sentence(error.get("detail")),
        kind=_word(error.get("type")) or _word(error.get("status")),
        code=_word(code),
        param=_word(error.get("param")),
    )
    metadata = error.get("metadata")
    if type(metadata) is dict:
        raw = _sentence(metadata.get("raw"))
        if raw and raw not in fault.message:
            fault.message = f"{fault.message}: {raw[:_LONGEST]}" if fault.message else raw
        fault.retry_after = _hidden_hint(metadata)
    return fault


def _status(value: Any) -> int:
    """Of HTTP, as a number or its digits; 0 where it is no error's."""
    if type(value) is str and value.isascii() and value.isdigit() and len(value) == 3:
        value = int(value)
    return value if type(value) is int and 400 <= value <= 599 else 0


def _word(value: Any) -> str:
    return value if type(value) is str else str(value) if type(value) is int else ""


def _sentence(value: Any) -> str:
    if type(value) is str:
        return value
    return "" if value is None else encode(value).decode()[:_LONGEST]


def _hidden_hint(metadata: dict[str, Any]) -> float | None:
    headers = metadata.get("headers")
    if type(headers) is not dict:
        return None
    lowered = {str(k).lower().encode(): str(v).encode() for k, v in headers.items()}
    return retry_after(lowered)


def envelope(fault: Fault) -> dict[str, Any]:
    kind = fault.kind or _KINDS.get(fault.status, "api_error")
    error = {"message": fault.message, "type": kind}
    return {"error": error | {"param": fault.param or None, "code": fault.code or None}}


def write_fault(fault: Fault) -> bytes:
    return encode(envelope(fault))


def write_stream_fault(fault: Fault) -> bytes:
    """The SDKs raise at an event with an ``error``; no ``[DONE]`` follows."""
    return sse.event(encode(envelope(fault)))
