"""Usage in Anthropic's words, and back.

There ``input_tokens`` are those that were neither read from a cache nor written to one; the middle
form's are all three together. Counts in ``message_delta`` are totals of the whole stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from proxy.ai.middle import Usage

Tokens = Annotated[int, Meta(ge=0, le=1 << 40)]
"""What says otherwise is taken for no report at all."""


class Cached(Struct):
    ephemeral_1h_input_tokens: Tokens | None = None
    ephemeral_5m_input_tokens: Tokens | None = None


class Searched(Struct):
    web_search_requests: Tokens | None = None


class Spent(Struct):
    thinking_tokens: Tokens | None = None


class Said(Struct):
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    cache_read_input_tokens: Tokens | None = None
    cache_creation_input_tokens: Tokens | None = None
    cache_creation: Cached | None = None
    output_tokens_details: Spent | None = None
    server_tool_use: Searched | None = None


class _Begun(Struct):
    usage: Said | None = None


class _Holder(Struct):
    """A whole answer, or an event: ``message_start`` has the usage in its message."""

    usage: Said | None = None
    message: _Begun | None = None


_decode = msgspec.json.Decoder(_Holder).decode


def read_usage(data: bytes) -> Usage | None:
    try:
        holder = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    said = holder.usage or (holder.message.usage if holder.message is not None else None)
    return None if said is None else total(said)


def said_in(value: object) -> Said | None:
    """Of an object that is decoded already; None where its form is not that of a usage."""
    if value is None:
        return None
    try:
        return msgspec.convert(value, Said)
    except (msgspec.ValidationError, RecursionError):
        return None


def later(before: Said | None, now: Said) -> Said:
    """The later report, with what only the earlier one says."""
    if before is None:
        return now
    for name in Said.__struct_fields__:
        if getattr(now, name) is None:
            setattr(now, name, getattr(before, name))
    return now


def total(said: Said) -> Usage:
    read, written = said.cache_read_input_tokens, said.cache_creation_input_tokens
    whole = said.input_tokens
    if whole is not None:
        whole += (read or 0) + (written or 0)
    kept = said.cache_creation
    return Usage(
        input_tokens=whole,
        output_tokens=said.output_tokens,
        cached_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=None if kept is None else kept.ephemeral_1h_input_tokens,
        reasoning_tokens=_thought(said),
        searches=None if said.server_tool_use is None else said.server_tool_use.web_search_requests,
    )


def _thought(said: Said) -> int | None:
    details = said.output_tokens_details
    return None if details is None else details.thinking_tokens


def told(usage: Usage | None, own: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The object to write. ``own`` is what ``rest`` found when it was read."""
    usage = usage or Usage()
    fresh, read, written = split(usage)
    said: dict[str, Any] = {"input_tokens": fresh}
    if written is not None:
        said["cache_creation_input_tokens"] = written
    if read is not None:
        said["cache_read_input_tokens"] = read
    hour = usage.cache_write_1h_tokens
    if hour is not None:
        hour = min(hour, hour if written is None else written)
        said["cache_creation"] = {
            "ephemeral_5m_input_tokens": max(0, (written or 0) - hour),
            "ephemeral_1h_input_tokens": hour,
        }
    said["output_tokens"] = usage.output_tokens or 0
    if usage.reasoning_tokens is not None:
        said["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    if usage.searches is not None:
        said["server_tool_use"] = {"web_search_requests": usage.searches, "web_fetch_requests": 0}
    return joined(said, own or {})


def split(usage: Usage) -> tuple[int, int | None, int | None]:
    """Fresh, read and written tokens. Some providers count tokens as both read and written: here
    they are read, so that the three come to what went in."""
    read, written = usage.cached_tokens, usage.cache_write_tokens
    if usage.input_tokens is None:
        return 0, read, written
    fresh = usage.input_tokens - (read or 0)
    if written is not None:
        written = max(0, min(written, fresh))
        fresh -= written
    return max(0, fresh), read, written


def rest(value: Mapping[str, Any]) -> dict[str, Any]:
    """What the middle form has no place for, so that ``told`` can give it back."""
    said = said_in(value)
    if said is None:
        return dict(value)
    written = told(total(said))
    return differing(value, written)


def differing(value: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of ``value`` that ``known`` does not say, or says otherwise."""
    found: dict[str, Any] = {}
    for name, own in value.items():
        if own is None or known.get(name) == own:
            continue
        there = known.get(name)
        if isinstance(own, dict) and isinstance(there, dict):
            inner = differing(own, there)
            if inner:
                found[name] = inner
        else:
            found[name] = own
    return found


def joined(known: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """``known`` with ``own`` in it: the reverse of ``differing``."""
    for name, value in own.items():
        there = known.get(name)
        if isinstance(there, dict) and isinstance(value, dict):
            joined(there, value)
        else:
            known[name] = dict(value) if isinstance(value, dict) else value
    return known
