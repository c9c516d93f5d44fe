"""Chat completions: the format of OpenAI, and in dialects of most other providers.

``Dialect`` and ``DEFAULT`` say how a request is spelled for one of them: ``write_request`` takes
one. What is read is read in all dialects at once.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.ai.formats.chat.answer import read_answer, write_answer
from proxy.ai.formats.chat.names import NAME
from proxy.ai.formats.chat.request import read_request, write_request
from proxy.ai.formats.chat.stream_reader import Reader
from proxy.ai.formats.chat.stream_writer import Writer
from proxy.ai.formats.chat.usage import read_usage
from proxy.ai.formats.openai_faults import read_fault, write_fault, write_stream_fault
from proxy.ai.middle import Request
from proxy.ai.middle.rules import Rule

LACKS: Mapping[str, Rule] = {}
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
    return Writer(request)
