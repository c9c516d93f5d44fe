"""Cohere's chat, version 2. Source: Cohere's API reference, "Chat", "Chat with streaming"."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.ai.formats.cohere.answer import read_answer, read_usage, write_answer
from proxy.ai.formats.cohere.faults import read_fault, write_fault, write_stream_fault
from proxy.ai.formats.cohere.request import read_request, write_request
from proxy.ai.formats.cohere.stream import Reader, Writer
from proxy.ai.middle import Request
from proxy.ai.middle.rules import Rule

NAME = "cohere"
LACKS: Mapping[str, Rule] = {
    "n": "refuse",
    "top_logprobs": "drop",
    "logit_bias": "drop",
    "parallel_tool_calls": "drop",
    "modalities": "drop",
    "audio": "refuse",
    "verbosity": "drop",
    "user": "drop",
    "metadata": "drop",
    "service_tier": "drop",
}
STREAM_TYPE = b"text/event-stream"
USAGE_MARK = b'"usage"'

__all__ = [
    "LACKS",
    "NAME",
    "STREAM_TYPE",
    "USAGE_MARK",
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


def reader() -> Reader:
    return Reader()


def writer(request: Request) -> Writer:
    return Writer()
