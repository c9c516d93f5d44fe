"""Errors in Anthropic's shape.

Source: Anthropic's API reference, errors (kinds, 529, ``details.error_code``).
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from proxy.ai.formats.known import settle
from proxy.ai.formats.retry import retry_after
from proxy.ai.formats.sse import event
from proxy.ai.middle import Fault

_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    500: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_SHOWN = 1000
"""Characters of an error that is not JSON."""

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def read_fault(status: int, headers: Mapping[bytes, bytes], body: bytes) -> Fault:
    try:
        value = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = body.decode("utf-8", "replace").strip()[:_SHOWN]
    fault = fault_in(value, status)
    fault.retry_after = retry_after(headers)
    return settle(fault)


def fault_in(value: Any, status: int = 0) -> Fault:
    """Of an error's body, or of an error in a stream, which has no status of its own."""
    error = value.get("error", value) if isinstance(value, dict) else value
    if isinstance(error, str):
        error = {"message": error}
    elif not isinstance(error, dict):
        error = {}
    kind = _word(error, "type")
    details = error.get("details")
    status = status or _STATUSES.get(kind, 500)
    message = _word(error, "message") or _word(error, "detail") or _phrase(status)
    code = _word(details if isinstance(details, dict) else {}, "error_code")
    return Fault(status=status, message=message, kind=kind, code=code or _word(error, "code"))


def _word(of: Mapping[str, Any], name: str) -> str:
    value = of.get(name)
    return value if isinstance(value, str) else ""


def _phrase(status: int) -> str:
    if status == 529:
        return "Overloaded"
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"


def _told(fault: Fault) -> bytes:
    kind = fault.kind
    if kind not in _STATUSES:
        kind = _KINDS.get(
            fault.status, "invalid_request_error" if 400 <= fault.status < 500 else "api_error"
        )
    error: dict[str, Any] = {"type": kind, "message": fault.message}
    if fault.code:
        error["details"] = {"error_code": fault.code}
    return _encode({"type": "error", "error": error})


def write_fault(fault: Fault) -> bytes:
    return _told(fault)


def write_stream_fault(fault: Fault) -> bytes:
    return event(_told(fault), b"error")
