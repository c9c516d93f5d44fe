"""Errors in Google's shape: ``{"error": {"code", "message", "status", "details"}}``, alone or as
the only item of a list. How long to wait is in a ``RetryInfo`` among the details, another
provider's code in an ``ErrorInfo``.

Source: Google's API design guide, "Errors", and ``google/rpc/error_details.proto``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from proxy.ai.formats import sse
from proxy.ai.formats.fields import encode
from proxy.ai.formats.known import settle
from proxy.ai.formats.retry import retry_after
from proxy.ai.middle import Fault

_LONGEST = 4000
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s")
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    529: "UNAVAILABLE",
}
_DETAIL = "type.googleapis.com/google.rpc."
_DOMAIN = "provider"
"""Of a reason that is another provider's code."""


def read_fault(status: int, headers: Mapping[bytes, bytes], body: bytes) -> Fault:
    try:
        given = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        given = None
    if type(given) is list and given:
        given = given[0]
    error = given.get("error") if type(given) is dict else None
    if type(error) is dict:
        fault = of_error(error, status)
    else:
        text = error if type(error) is str else body.decode(errors="replace").strip()[:_LONGEST]
        fault = Fault(status=status, message=text or f"The provider answered {status}.")
    hint = retry_after(headers)
    fault.retry_after = fault.retry_after if hint is None else hint
    return settle(fault)


def of_error(error: dict[str, Any], status: int = 0) -> Fault:
    code = error.get("code")
    if not status:
        status = code if type(code) is int and 400 <= code <= 599 else 502
    message, kind = error.get("message"), error.get("status")
    details = error.get("details")
    kind = kind if type(kind) is str else ""
    return Fault(
        status=status,
        message=message if type(message) is str else f"The provider answered {status}.",
        kind=kind,
        code=_reason(details) or kind,
        retry_after=_hint(details),
    )


def _reason(details: Any) -> str:
    for detail in details if type(details) is list else []:
        if type(detail) is dict and str(detail.get("@type", "")).endswith("google.rpc.ErrorInfo"):
            reason = detail.get("reason")
            return reason if type(reason) is str else ""
    return ""


def _hint(details: Any) -> float | None:
    for detail in details if type(details) is list else []:
        if type(detail) is dict and str(detail.get("@type", "")).endswith("google.rpc.RetryInfo"):
            match = _SECONDS.fullmatch(str(detail.get("retryDelay", "")))
            if match is not None:
                return float(match[1])
    return None


def _envelope(fault: Fault) -> dict[str, Any]:
    fallback = "INVALID_ARGUMENT" if fault.status < 500 else "INTERNAL"
    kind = fault.kind if fault.kind.isupper() else _STATUSES.get(fault.status, fallback)
    error: dict[str, Any] = {"code": fault.status, "message": fault.message, "status": kind}
    details: list[dict[str, Any]] = []
    if fault.code and fault.code != kind:
        info = {"@type": f"{_DETAIL}ErrorInfo", "reason": fault.code, "domain": _DOMAIN}
        details.append(info | ({"metadata": {"param": fault.param}} if fault.param else {}))
    if fault.retry_after is not None:
        delay = f"{fault.retry_after:g}s"
        details.append({"@type": f"{_DETAIL}RetryInfo", "retryDelay": delay})
    if details:
        error["details"] = details
    return {"error": error}


def write_fault(fault: Fault) -> bytes:
    return encode(_envelope(fault))


def write_stream_fault(fault: Fault) -> bytes:
    return sse.event(encode(_envelope(fault)))
