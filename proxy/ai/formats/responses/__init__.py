"""Responses: the newer format of OpenAI, which several others speak too.

Read it in this order: ``items`` and ``content`` (what is read), ``told`` (what is written),
``thoughts``, ``signatures``, ``tools``, ``request``, ``answer``, ``stream_reader`` and
``stream_writer``, ``usage``, ``faults``.

Source: OpenAI's API reference and the types of its Python SDK, 3.52.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.ai.formats.openai_faults import read_fault, write_fault
from proxy.ai.formats.responses.answer import read_answer, write_answer
from proxy.ai.formats.responses.faults import write_stream_fault
from proxy.ai.formats.responses.names import ELSEWHERE, NAME
from proxy.ai.formats.responses.request import read_request, write_request
from proxy.ai.formats.responses.stream_reader import Reader
from proxy.ai.formats.responses.stream_writer import Writer
from proxy.ai.formats.responses.usage import read_usage
from proxy.ai.middle import Request
from proxy.ai.middle.rules import Rule

LACKS: Mapping[str, Rule] = {
    "top_k": "drop",
    "stop": "refuse",
    "n": "refuse",
    "seed": "drop",
    "presence_penalty": "drop",
    "frequency_penalty": "drop",
    "logit_bias": "drop",
    "modalities": "drop",
    "audio": "refuse",
}
STREAM_TYPE = b"text/event-stream"
USAGE_MARK = b'"usage"'
ELSEWHERE_MARK = ELSEWHERE.encode()

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
    OpenAI refuses that: ``write_request`` leaves it out."""
    return ELSEWHERE_MARK in body


def reader() -> Reader:
    return Reader()


def writer(request: Request) -> Writer:
    return Writer(request)
