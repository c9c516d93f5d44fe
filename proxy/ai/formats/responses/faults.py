"""Errors: of an answer in OpenAI's usual shape, in a stream as an event.

Source: OpenAI's API reference, streaming events, ``error``. Its SDK raises where the event also has
an ``error`` within, as those of OpenAI itself have.
"""

from __future__ import annotations

from typing import Any

from proxy.ai.formats import sse
from proxy.ai.formats.fields import encode
from proxy.ai.formats.openai_faults import envelope, of_error
from proxy.ai.middle import Fault


def write_stream_fault(fault: Fault) -> bytes:
    return stream_fault(fault, 0)


def stream_fault(fault: Fault, number: int) -> bytes:
    """``number`` is the event's in its stream."""
    error = envelope(fault)["error"]
    event = {
        "type": "error",
        "code": error["code"] or error["type"],
        "message": error["message"],
        "param": error["param"],
        "sequence_number": number,
        "error": error,
    }
    return sse.event(encode(event), b"error")


def of_event(event: dict[str, Any]) -> Fault:
    """Of an ``error`` event, whose fields are its own or in ``error``."""
    inner = event.get("error")
    fault = of_error(inner if type(inner) is dict else {**event, "type": None})
    fault.message = fault.message or "The provider says that the response failed."
    return fault


def of_response(response: Any) -> Fault:
    """Of a response that failed."""
    error = response.get("error") if type(response) is dict else None
    fault = of_error(error if type(error) is dict else {})
    fault.message = fault.message or "The provider says that the response failed."
    if fault.code == "rate_limit_exceeded":
        fault.status = 429
    elif fault.code.startswith(("invalid_", "image_", "unsupported_")):
        fault.status = 400
    return fault
