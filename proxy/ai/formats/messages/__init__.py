"""Anthropic's Messages API, as its clients and it speak it today.

Read it in this order: ``names``, ``request`` and ``blocks`` (a request, read), ``told`` and
``parts`` (a request, written), ``answer``, ``reader`` and ``writer`` (streams), ``usage``,
``faults``. Counting tokens is beside the format, in ``count``.

Source: Anthropic's API reference and the types of its Python SDK, 2.14.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.ai.formats.messages.answer import read_answer, write_answer
from proxy.ai.formats.messages.faults import read_fault, write_fault, write_stream_fault
from proxy.ai.formats.messages.names import ELSEWHERE, NAME
from proxy.ai.formats.messages.reader import Reader
from proxy.ai.formats.messages.request import read_request
from proxy.ai.formats.messages.told import write_request
from proxy.ai.formats.messages.usage import read_usage
from proxy.ai.formats.messages.writer import Writer
from proxy.ai.middle import Request
from proxy.ai.middle.rules import Rule

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

STREAM_TYPE = b"text/event-stream"
USAGE_MARK = b'"usage"'
ELSEWHERE_MARK = b'"' + ELSEWHERE.encode()
LACKS: Mapping[str, Rule] = {
    "n": "refuse",
    "seed": "drop",
    "presence_penalty": "drop",
    "frequency_penalty": "drop",
    "logit_bias": "drop",
    "logprobs": "refuse",
    "top_logprobs": "refuse",
    "audio": "drop",
    "verbosity": "drop",
    "metadata": "drop",
}
"""``modalities`` other than text are refused when the request is written."""


def is_mixed(body: bytes) -> bool:
    """A request holds what another provider signed, which a client of this format kept for it.
    Anthropic refuses that: ``write_request`` leaves it out."""
    return ELSEWHERE_MARK in body


def reader() -> Reader:
    return Reader()


def writer(request: Request) -> Writer:
    return Writer(request)
