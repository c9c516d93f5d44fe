"""What providers say of their rate limits in the headers of an answer.

Sources: the references of OpenAI (whose names Azure, GitHub, Groq, SambaNova and xAI share),
Anthropic, Cerebras and Fireworks (https://docs.fireworks.ai/serverless/rate-limits); Mistral's
answers, in which three generations of names are about.
"""

from __future__ import annotations

import re
from datetime import datetime
from time import time

from msgspec import Struct

from proxy.ai.formats.retry import retry_after

_SECONDS = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_MOST_SECONDS = 3600.0

_LEFT, _LIMIT, _RESET = range(3)
_DIGITS = 18


class Word(Struct, frozen=True, array_like=True):
    """So much is ``left`` of a limit of ``most`` (0: not known), all of it again in ``seconds``.

    ``firm``: nothing comes back before. Otherwise it does so evenly: OpenAI and Anthropic fill a
    bucket, and say when it will be full.
    """

    limit: str
    left: int
    most: int
    seconds: float
    firm: bool


def _fields() -> dict[bytes, tuple[str, int]]:
    """By header, which limit it speaks of and what it says."""
    patterns = {
        "requests": (
            "x-ratelimit-{}-requests",
            "x-ratelimit-{}-requests-minute",
            "x-ratelimit-{}-req-minute",
            "anthropic-ratelimit-requests-{}",
        ),
        "tokens": (
            "x-ratelimit-{}-tokens",
            "x-ratelimit-{}-tokens-minute",
            "x-ratelimitbysize-{}-minute",
            "ratelimitbysize-{}",
            "anthropic-ratelimit-tokens-{}",
        ),
        "input tokens": ("anthropic-ratelimit-input-tokens-{}", "x-ratelimit-{}-tokens-prompt"),
        "output tokens": (
            "anthropic-ratelimit-output-tokens-{}",
            "x-ratelimit-{}-tokens-generated",
        ),
        "requests of the hour": ("x-ratelimit-{}-requests-hour",),
        "requests of the day": ("x-ratelimit-{}-requests-day",),
        "tokens of the hour": ("x-ratelimit-{}-tokens-hour",),
        "tokens of the day": ("x-ratelimit-{}-tokens-day",),
        "tokens of the month": ("x-ratelimitbysize-{}-month", "x-ratelimit-{}-tokens-month"),
    }
    return {
        name.format(word).encode(): (limit, said)
        for limit, names in patterns.items()
        for name in names
        for word, said in (("remaining", _LEFT), ("limit", _LIMIT), ("reset", _RESET))
    }


_FIELDS = _fields()


def read(headers: list[tuple[bytes, bytes]], *, refused: bool = False) -> list[Word] | None:
    """None where nothing is said. ``refused``: of an answer 429, which says itself when to come
    back, or else that nothing can be had before the reset."""
    told: dict[str, list[bytes | None]] | None = None
    for field, value in headers:
        if b"ratelimit" in field and (place := _FIELDS.get(field)) is not None:
            limit, said = place
            if told is None:
                told = {}
            words = told.get(limit)
            if words is None:
                words = told[limit] = [None, None, None]
            if words[said] is None:
                words[said] = value
    if told is None:
        return None
    pause = retry_after(dict(headers)) if refused else None
    found = []
    for limit, (left, most, reset) in told.items():
        number, whole = _number(left), _number(most)
        if number is None or whole == 0:
            continue
        seconds = _reset(reset)
        firm = refused or " of the " in limit
        if pause is not None and " of the " not in limit:
            seconds = min(seconds, pause)
        found.append(Word(limit, number, whole or 0, seconds, firm))
    return found


def _number(value: bytes | None) -> int | None:
    if value is not None and value.isdigit() and len(value) <= _DIGITS:
        return int(value)
    return None


def _reset(value: bytes | None) -> float:
    """``1m30s``, ``250ms`` or seconds, as OpenAI and the compatible say it, or a time, as Anthropic
    does, or a Unix time, in seconds or milliseconds; a minute where it is not said."""
    if value is None:
        return 60.0
    text = value.decode("latin-1").strip()
    if not text.endswith("s"):
        try:
            return _seconds(float(text))
        except ValueError:
            pass
    match = _SECONDS.fullmatch(text)
    if match is None and "T" in text:
        return _until(text)
    if match is None or not any(match.groups()):
        return 60.0
    hours, minutes, seconds, millis = (float(part or 0) for part in match.groups())
    return min(hours * 3600 + minutes * 60 + seconds + millis / 1000, _MOST_SECONDS)


def _seconds(number: float) -> float:
    """No limit lasts for thirty years: what is as large as that is a moment."""
    if number >= 1e12:
        number /= 1000
    if number >= 1e9:
        number = max(0.0, number - time())
    return min(number, _MOST_SECONDS)


def _until(moment: str) -> float:
    """Seconds from now to a time of RFC 3339, which has a zone."""
    try:
        return min(max(0.0, datetime.fromisoformat(moment).timestamp() - time()), _MOST_SECONDS)
    except (ValueError, OverflowError):
        return 60.0
