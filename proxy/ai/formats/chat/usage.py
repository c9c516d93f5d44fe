"""Usage in chat's spelling, and what providers call it elsewhere.

Sources, in the references of the providers' APIs: OpenAI (``prompt_tokens_details``,
``completion_tokens_details``), DeepSeek (``prompt_cache_hit_tokens``), Mistral
(``num_cached_tokens``), Together and Moonshot (``cached_tokens``), Groq (``x_groq.usage`` in a
stream), OpenRouter (``cache_write_tokens``, ``server_tool_use_details``), Perplexity
(``num_search_queries``, ``reasoning_tokens``).

xAI, and Gemini's endpoint of this format, count what was thought in ``total_tokens`` alone. What
the total has beyond its two parts is therefore output.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from proxy.ai.middle import Usage

_LIMIT = 1 << 40
"""What is larger, or negative, or no whole number, is taken for no report."""

_INPUT_DETAILS = {
    "cached_tokens": "cached_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "audio_tokens": "input_audio_tokens",
    "image_tokens": "input_image_tokens",
}
_OUTPUT_DETAILS = {
    "reasoning_tokens": "reasoning_tokens",
    "audio_tokens": "output_audio_tokens",
    "image_tokens": "output_image_tokens",
}
_CACHED_ELSEWHERE = ("prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens")
_SEARCHES = ("server_tool_use_details", "server_tool_use")


_Tokens = Annotated[int, Meta(ge=0, le=_LIMIT)]


class _Input(Struct):
    cached_tokens: _Tokens | None = None
    cache_write_tokens: _Tokens | None = None
    audio_tokens: _Tokens | None = None
    image_tokens: _Tokens | None = None


class _Output(Struct):
    reasoning_tokens: _Tokens | None = None
    audio_tokens: _Tokens | None = None
    image_tokens: _Tokens | None = None


class _Plain(Struct):
    """What OpenAI itself reports, and the names by which others can be told from it."""

    prompt_tokens: _Tokens
    completion_tokens: _Tokens
    total_tokens: _Tokens
    prompt_tokens_details: _Input | None = None
    completion_tokens_details: _Output | None = None
    prompt_cache_hit_tokens: Any = None
    num_cached_tokens: Any = None
    cached_tokens: Any = None
    reasoning_tokens: Any = None
    server_tool_use_details: Any = None
    server_tool_use: Any = None
    num_search_queries: Any = None


class _WithPlain(Struct):
    usage: _Plain


class _Groq(Struct):
    usage: Any = None


class _Reported(Struct):
    usage: Any = None
    x_groq: _Groq | None = None


_decode = msgspec.json.Decoder(_Reported).decode
_decode_plain = msgspec.json.Decoder(_WithPlain).decode


def read_usage(data: bytes) -> Usage | None:
    """Of a whole answer or of one chunk. Never raises."""
    try:
        usage = _plain(_decode_plain(data).usage)
        if usage is not None:
            return usage
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        reported = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return of_chunk(reported.usage, reported.x_groq and reported.x_groq.usage)


def _plain(said: _Plain) -> Usage | None:
    """The commonest in a shorter way, to the same result; None where it is not that plain."""
    if (
        said.total_tokens > said.prompt_tokens + said.completion_tokens
        or said.prompt_cache_hit_tokens is not None
        or said.num_cached_tokens is not None
        or said.cached_tokens is not None
        or said.reasoning_tokens is not None
        or said.server_tool_use_details is not None
        or said.server_tool_use is not None
        or said.num_search_queries is not None
    ):
        return None
    usage = Usage(said.prompt_tokens, said.completion_tokens)
    into, out = said.prompt_tokens_details, said.completion_tokens_details
    if into is not None:
        usage.cached_tokens = into.cached_tokens
        usage.cache_write_tokens = into.cache_write_tokens
        usage.input_audio_tokens = into.audio_tokens
        usage.input_image_tokens = into.image_tokens
    if out is not None:
        usage.reasoning_tokens = out.reasoning_tokens
        usage.output_audio_tokens = out.audio_tokens
        usage.output_image_tokens = out.image_tokens
    return usage


def of_chunk(usage: Any, groq: Any) -> Usage | None:
    """``usage``, or in its absence what Groq puts elsewhere."""
    return read(usage) or read(groq)


def read(given: Any) -> Usage | None:
    if type(given) is not dict:
        return None
    usage = Usage(_count(given, "prompt_tokens"), _count(given, "completion_tokens"))
    _details(given.get("prompt_tokens_details"), _INPUT_DETAILS, usage)
    _details(given.get("completion_tokens_details"), _OUTPUT_DETAILS, usage)
    if usage.cached_tokens is None:
        usage.cached_tokens = _first(given, _CACHED_ELSEWHERE)
    if usage.reasoning_tokens is None:
        usage.reasoning_tokens = _count(given, "reasoning_tokens")
    usage.searches = _searches(given)
    total = _count(given, "total_tokens")
    if total is not None and usage.input_tokens is not None and usage.output_tokens is not None:
        beyond = total - usage.input_tokens - usage.output_tokens
        if beyond > 0:
            usage.output_tokens += beyond
            if usage.reasoning_tokens is None:
                usage.reasoning_tokens = beyond
    return None if usage == _NOTHING else usage


_NOTHING = Usage()


def _count(given: dict[str, Any], name: str) -> int | None:
    value = given.get(name)
    return value if type(value) is int and 0 <= value <= _LIMIT else None


def _first(given: dict[str, Any], names: tuple[str, ...]) -> int | None:
    return next((n for name in names if (n := _count(given, name)) is not None), None)


def _details(given: Any, names: dict[str, str], usage: Usage) -> None:
    if type(given) is dict:
        for name, ours in names.items():
            setattr(usage, ours, _count(given, name))


def _searches(given: dict[str, Any]) -> int | None:
    for name in _SEARCHES:
        details = given.get(name)
        if type(details) is dict:
            return _count(details, "web_search_requests")
    return _count(given, "num_search_queries")


def write(usage: Usage) -> dict[str, Any]:
    """All that the SDKs require is there; details only where they were reported."""
    into = usage.input_tokens or 0
    out = usage.output_tokens or 0
    written: dict[str, Any] = {
        "prompt_tokens": into,
        "completion_tokens": out,
        "total_tokens": into + out,
    }
    for field, names in (
        ("prompt_tokens_details", _INPUT_DETAILS),
        ("completion_tokens_details", _OUTPUT_DETAILS),
    ):
        details = {name: getattr(usage, ours) for name, ours in names.items()}
        details = {name: count for name, count in details.items() if count is not None}
        if details:
            written[field] = details
    if usage.searches is not None:
        written["server_tool_use_details"] = {"web_search_requests": usage.searches}
    return written


def rest(given: dict[str, Any]) -> dict[str, Any]:
    """What the usage says beyond all this, by its path: prices, times, other kinds of tokens."""
    more: dict[str, Any] = {}
    for name, value in given.items():
        if value is None or name in _PLAIN:
            continue
        known = _DETAILS.get(name)
        if known is None or type(value) is not dict:
            more[f"usage.{name}"] = value
            continue
        unknown = {k: v for k, v in value.items() if v is not None and k not in known}
        if unknown:
            more[f"usage.{name}"] = unknown
    return more


_PLAIN = ("prompt_tokens", "completion_tokens", "total_tokens")
_DETAILS = {
    "prompt_tokens_details": _INPUT_DETAILS,
    "completion_tokens_details": _OUTPUT_DETAILS,
    "server_tool_use_details": {"web_search_requests": ""},
}
