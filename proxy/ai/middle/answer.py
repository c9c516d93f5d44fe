"""A whole answer, its usage, and an error."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field

from contract.usage import Measured
from proxy.ai.middle.parts import Part

Finish = Literal["stop", "length", "tool_calls", "content_filter", "pause", "error"]
"""``pause``: the provider interrupted a long turn, which goes on if it is sent back."""


class Usage(Struct):
    """Tokens. None: not reported, which is not the same as 0.

    ``input_tokens`` are all that went in, those that were read from a cache (``cached_tokens``)
    or written to one (``cache_write_tokens``) among them; ``output_tokens`` all that came out,
    those thought (``reasoning_tokens``) among them. Audio and image tokens are parts of the two.
    Of ``cache_write_tokens``, ``cache_write_1h_tokens`` are kept for an hour instead of minutes.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    reasoning_tokens: int | None = None
    input_audio_tokens: int | None = None
    cached_audio_tokens: int | None = None
    output_audio_tokens: int | None = None
    input_image_tokens: int | None = None
    output_image_tokens: int | None = None
    searches: int | None = None
    """Web searches that the provider made, or those of a reranker, which some bill by the
    thousand."""
    measured: Measured | None = None
    """What else it may be billed by."""


class Choice(Struct):
    """One of the answers; most often there is only one."""

    parts: list[Part]
    finish: Finish | None = None
    """None: the answer broke off."""
    stop_sequence: str | None = None
    """Which of the request's ``stop`` was met, where the provider says."""
    logprobs: Any = None
    """In chat's spelling: a list of ``{"token", "logprob", "bytes", "top_logprobs"}``."""
    extra: dict[str, Any] | None = None
    """By the name of a format, what that format says of it beyond all this."""


class Answer(Struct, kw_only=True):
    format: str
    """The format that it was read from."""
    id: str = ""
    model: str = ""
    """As the provider names it."""
    created: int = 0
    """Unix time in seconds; 0 where the provider does not say."""
    choices: list[Choice] = field(default_factory=list)
    usage: Usage | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    """By name, what the format says beyond all this."""


class Fault(Struct, kw_only=True):
    """A provider's error. ``status`` is HTTP's; ``code`` and ``kind`` are the provider's words."""

    status: int
    message: str
    kind: str = ""
    code: str = ""
    param: str = ""
    retry_after: float | None = None
    """Seconds, from a header or the body."""
