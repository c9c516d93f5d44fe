"""The body of an error, in the shape that whoever called can read.

Paths of APIs in front of AI models belong to a provider's own format, and so do their errors:
OpenAI's, Anthropic's, Google's or Cohere's. All others get ``application/problem+json`` (RFC 9457).
The stable ``code`` is in each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from proxy.errors import GatewayError, Headers

if TYPE_CHECKING:
    from proxy.exchange import Exchange

_encode = msgspec.json.Encoder().encode


def render(error: GatewayError, exchange: Exchange | None) -> tuple[Headers, bytes]:
    """Headers and body in the shape that clients of this kind of API expect.

    The request id header is added by the exchange; without one the request was not understood.
    """
    if exchange is None:
        return shaped(error, "", ai=False)
    ai = exchange.api is not None and exchange.api.kind == "ai"
    return shaped(error, exchange.id, ai=ai, path=exchange.raw_path)


def shaped(
    error: GatewayError, request_id: str, *, ai: bool, path: bytes = b""
) -> tuple[Headers, bytes]:
    """As ``render``, where the kind of the API is known otherwise."""
    body = _ai_shape(path)(error, request_id) if ai else _problem(error, request_id)
    kind = b"application/json" if ai else b"application/problem+json"
    return [(b"content-type", kind), (b"cache-control", b"no-store"), *error.headers], body


def _problem(error: GatewayError, request_id: str) -> bytes:
    return _encode(
        {
            "type": f"urn:hubpo:error:{error.code}",
            "title": error.title,
            "status": error.status,
            "detail": error.detail,
            "code": error.code,
            "request_id": request_id,
        }
    )


def _ai_shape(path: bytes) -> Callable[[GatewayError, str], bytes]:
    if path.startswith(b"/v1/messages"):
        return _anthropic
    if path.startswith(b"/v1beta/") or b":" in path:
        return _google
    if path.endswith(b"/rerank"):
        return _cohere
    return _openai


_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def _openai(error: GatewayError, request_id: str) -> bytes:
    fallback = "invalid_request_error" if error.status < 500 else "server_error"
    kind = _OPENAI_TYPES.get(error.status, fallback)
    return _encode(
        {
            "error": {
                "message": error.detail,
                "type": kind,
                "code": error.code,
                "param": error.param,
            }
        }
    )


_ANTHROPIC_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def _anthropic(error: GatewayError, request_id: str) -> bytes:
    fallback = "invalid_request_error" if error.status < 500 else "api_error"
    kind = _ANTHROPIC_TYPES.get(error.status, fallback)
    return _encode(
        {
            "type": "error",
            "error": {"type": kind, "message": error.detail, "code": error.code},
            "request_id": request_id,
        }
    )


_GOOGLE_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def _google(error: GatewayError, request_id: str) -> bytes:
    fallback = "INVALID_ARGUMENT" if error.status < 500 else "INTERNAL"
    details = [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": error.code.upper(),
            "domain": "hubpo",
            "metadata": {"code": error.code, "request_id": request_id},
        }
    ]
    return _encode(
        {
            "error": {
                "code": error.status,
                "message": error.detail,
                "status": _GOOGLE_STATUSES.get(error.status, fallback),
                "details": details,
            }
        }
    )


def _cohere(error: GatewayError, request_id: str) -> bytes:
    return _encode({"id": request_id, "message": error.detail, "code": error.code})
