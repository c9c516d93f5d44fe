"""Gemini's generateContent, as Google's Gemini API and Vertex AI speak it.

Source: the REST references of both. Names are read in camelCase and in snake_case, as protobuf's
JSON allows, and written in camelCase.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.ai.formats.gemini.answer import read_answer, write_answer
from proxy.ai.formats.gemini.faults import read_fault, write_fault, write_stream_fault
from proxy.ai.formats.gemini.names import ELSEWHERE
from proxy.ai.formats.gemini.request import read_request
from proxy.ai.formats.gemini.stream import Reader, Writer
from proxy.ai.formats.gemini.told import write_request
from proxy.ai.formats.gemini.usage import read_usage
from proxy.ai.middle import Request
from proxy.ai.middle.rules import Rule

NAME = "gemini"
LACKS: Mapping[str, Rule] = {
    "logit_bias": "drop",
    "parallel_tool_calls": "drop",
    "user": "drop",
    "metadata": "drop",
    "service_tier": "drop",
    "verbosity": "drop",
}
STREAM_TYPE = b"text/event-stream"
USAGE_MARK = b'"usageMetadata"'
ELSEWHERE_MARK = b'"' + ELSEWHERE.encode()

__all__ = [
    "LACKS",
    "NAME",
    "STREAM_TYPE",
    "USAGE_MARK",
    "is_mixed",
    "read_answer",
    "read_fault",
    "read_request",
    "read_usage",
    "reader",
    "write_answer",
    "write_fault",
    "write_request",
    "write_stream_fault",
    "writer",
]


def is_mixed(body: bytes) -> bool:
    """A request holds what another provider signed, which a client of this format kept for it.
    Gemini refuses that: ``write_request`` leaves it out."""
    return ELSEWHERE_MARK in body


def reader() -> Reader:
    return Reader()


def writer(request: Request) -> Writer:
    return Writer()
