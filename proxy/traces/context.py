"""The trace that a call belongs to. Source: W3C Trace Context, level 1 and 2."""

from __future__ import annotations

import re
from secrets import token_hex

from msgspec import Struct

_FORM = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?").fullmatch
_SAMPLED = 1


class Parent(Struct, frozen=True):
    """The caller's span. Ids are lower-case hexadecimal."""

    trace_id: str
    span_id: str
    sampled: bool


def parse(value: bytes) -> Parent | None:
    """What a ``traceparent`` field says; None where it is not valid and so counts as absent."""
    found = _FORM(value)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == b"ff" or (version == b"00" and more is not None):
        return None
    if trace_id == b"0" * 32 or span_id == b"0" * 16:
        return None
    return Parent(trace_id.decode(), span_id.decode(), bool(int(flags, 16) & _SAMPLED))


def new_trace_id() -> str:
    return token_hex(16)


def new_span_id() -> str:
    return token_hex(8)


def field(trace_id: str, span_id: str) -> bytes:
    """The ``traceparent`` of a sampled call to the next."""
    return f"00-{trace_id}-{span_id}-01".encode()
