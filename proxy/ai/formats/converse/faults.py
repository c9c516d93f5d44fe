"""Errors of AWS: ``{"message"}``, the kind in the header ``x-amzn-errortype`` or in ``__type``."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from proxy.ai.formats.converse.frames import frame
from proxy.ai.formats.fields import encode
from proxy.ai.formats.known import settle
from proxy.ai.formats.retry import retry_after
from proxy.ai.middle import Fault

_LONGEST = 4000
STATUSES = {
    "validationException": 400,
    "accessDeniedException": 403,
    "resourceNotFoundException": 404,
    "throttlingException": 429,
    "serviceQuotaExceededException": 429,
    "modelErrorException": 424,
    "modelTimeoutException": 408,
    "modelNotReadyException": 429,
    "internalServerException": 500,
    "modelStreamErrorException": 502,
    "serviceUnavailableException": 503,
}


def read_fault(status: int, headers: Mapping[bytes, bytes], body: bytes) -> Fault:
    try:
        given = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        given = None
    kind = headers.get(b"x-amzn-errortype", b"").decode("latin-1").partition(":")[0]
    message = ""
    if type(given) is dict:
        said = given.get("message", given.get("Message"))
        message = said if type(said) is str else ""
        named = given.get("__type")
        kind = kind or (named.rpartition("#")[2] if type(named) is str else "")
    elif given is None:
        message = body.decode(errors="replace").strip()[:_LONGEST]
    fault = Fault(
        status=status,
        message=message or f"The provider answered {status}.",
        kind=kind,
        code=kind,
        retry_after=retry_after(headers),
    )
    return settle(fault)


def of_exception(name: str, payload: bytes) -> Fault:
    """An exception in the middle of a stream."""
    fault = read_fault(STATUSES.get(name, 502), {}, payload)
    fault.kind = fault.code = name
    return fault


def write_fault(fault: Fault) -> bytes:
    return encode({"message": fault.message})


def write_stream_fault(fault: Fault) -> bytes:
    name = fault.kind if fault.kind in STATUSES else "modelStreamErrorException"
    headers = {":exception-type": name, ":content-type": "application/json"}
    return frame({**headers, ":message-type": "exception"}, write_fault(fault))
