"""Cohere's errors: ``{"message"}`` with an id."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from proxy.ai.formats import sse
from proxy.ai.formats.fields import encode
from proxy.ai.formats.known import settle
from proxy.ai.formats.retry import retry_after
from proxy.ai.middle import Fault

_LONGEST = 4000


def read_fault(status: int, headers: Mapping[bytes, bytes], body: bytes) -> Fault:
    try:
        given = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        given = body.decode(errors="replace").strip()[:_LONGEST]
    message = given.get("message") if type(given) is dict else given
    fault = Fault(
        status=status,
        message=message if message and type(message) is str else f"The provider answered {status}.",
        retry_after=retry_after(headers),
    )
    return settle(fault)


def write_fault(fault: Fault) -> bytes:
    return encode({"message": fault.message} | ({"code": fault.code} if fault.code else {}))


def write_stream_fault(fault: Fault) -> bytes:
    """The stream ends with the reason that Cohere itself gives when it breaks off."""
    delta = {"finish_reason": "ERROR", "error": fault.message}
    return sse.event(encode({"type": "message-end", "delta": delta}), b"message-end")
