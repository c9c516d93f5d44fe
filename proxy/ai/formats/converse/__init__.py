"""Amazon Bedrock's Converse, with its binary event stream.

Sources: Bedrock's API reference (Converse, ConverseStream), and the encoding of AWS's SDKs for
"application/vnd.amazon.eventstream".
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.ai.formats.converse.answer import read_answer, read_usage, write_answer
from proxy.ai.formats.converse.faults import read_fault, write_fault, write_stream_fault
from proxy.ai.formats.converse.request import read_request, write_request
from proxy.ai.formats.converse.stream import Reader, Writer
from proxy.ai.middle import Request
from proxy.ai.middle.rules import Rule

NAME = "converse"
LACKS: Mapping[str, Rule] = {
    "n": "refuse",
    "logprobs": "refuse",
    "top_logprobs": "refuse",
    "audio": "refuse",
    "seed": "drop",
    "presence_penalty": "drop",
    "frequency_penalty": "drop",
    "logit_bias": "drop",
    "parallel_tool_calls": "drop",
    "modalities": "drop",
    "verbosity": "drop",
    "user": "drop",
}
STREAM_TYPE = b"application/vnd.amazon.eventstream"
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
