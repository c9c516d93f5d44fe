"""Usage in the spelling of responses.

Source: OpenAI's API reference, "The response object", ``usage``; OpenRouter's ``cost`` beside it;
xAI's answers, with ``server_side_tool_usage_details``, and thoughts that are in the total alone.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from proxy.ai.middle import Usage

_LIMIT = 1 << 40
"""What is larger, or negative, or no whole number, is taken for no report."""

_INPUT = {
    "cached_tokens": "cached_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "audio_tokens": "input_audio_tokens",
    "image_tokens": "input_image_tokens",
}
_OUTPUT = {
    "reasoning_tokens": "reasoning_tokens",
    "audio_tokens": "output_audio_tokens",
    "image_tokens": "output_image_tokens",
}
_KNOWN = {"input_tokens_details": _INPUT, "output_tokens_details": _OUTPUT}
_NOTHING = Usage()


class _Response(Struct):
    usage: Any = None
    tool_usage: Any = None


class _Reported(_Response):
    response: _Response | None = None


_decode = msgspec.json.Decoder(_Reported).decode


def read_usage(data: bytes) -> Usage | None:
    """Of a whole response, or of the event that holds the last one. Never raises."""
    try:
        reported = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    found: _Response = reported.response or reported
    return read(found.usage, found.tool_usage)


def read(given: Any, tools: Any = None) -> Usage | None:
    """``tools`` is ``tool_usage``, where OpenAI counts what its own tools did."""
    if type(given) is not dict:
        return None
    usage = Usage(_count(given, "input_tokens"), _count(given, "output_tokens"))
    for name, known in _KNOWN.items():
        details = given.get(name)
        if type(details) is dict:
            for theirs, ours in known.items():
                setattr(usage, ours, _count(details, theirs))
    searches = tools.get("web_search") if type(tools) is dict else None
    if type(searches) is dict:
        usage.searches = _count(searches, "num_requests")
    else:
        usage.searches = _xais_searches(given.get("server_side_tool_usage_details"))
    _add_beyond(usage, _count(given, "total_tokens"))
    return None if usage == _NOTHING else usage


def _xais_searches(details: Any) -> int | None:
    """Of the web and of posts, which cost the same."""
    if type(details) is not dict:
        return None
    counts = [_count(details, name) for name in ("web_search_calls", "x_search_calls")]
    return sum(count or 0 for count in counts) if any(c is not None for c in counts) else None


def _add_beyond(usage: Usage, total: int | None) -> None:
    if total is not None and usage.input_tokens is not None and usage.output_tokens is not None:
        usage.output_tokens += max(0, total - usage.input_tokens - usage.output_tokens)


def _count(given: dict[str, Any], name: str) -> int | None:
    value = given.get(name)
    return value if type(value) is int and 0 <= value <= _LIMIT else None


def write(usage: Usage) -> dict[str, Any]:
    """All that the SDKs require is there, so what was not reported is 0."""
    into, out = usage.input_tokens or 0, usage.output_tokens or 0
    written: dict[str, Any] = {"input_tokens": into, "output_tokens": out}
    for name, known in _KNOWN.items():
        details = {theirs: getattr(usage, ours) for theirs, ours in known.items()}
        written[name] = {theirs: count for theirs, count in details.items() if count is not None}
    written["input_tokens_details"].setdefault("cached_tokens", 0)
    written["input_tokens_details"].setdefault("cache_write_tokens", 0)
    written["output_tokens_details"].setdefault("reasoning_tokens", 0)
    return written | {"total_tokens": into + out}


def rest(given: dict[str, Any]) -> dict[str, Any]:
    """What the usage says beyond all this: prices, and other kinds of tokens."""
    more: dict[str, Any] = {}
    for name, value in given.items():
        if name in ("input_tokens", "output_tokens", "total_tokens") or value is None:
            continue
        known = _KNOWN.get(name)
        if known is None or type(value) is not dict:
            more[name] = value
            continue
        unknown = {k: v for k, v in value.items() if k not in known and v is not None}
        if unknown:
            more[name] = unknown
    return more
