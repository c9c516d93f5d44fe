"""What this worker has seen of each deployment: how quick it is, how busy, and what is left under
its provider's rate limits.

Mutable state shared between calls. It belongs to one worker and is a guide, not a count: what must
be exact is in ``proxy.limits``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from time import monotonic, time

from contract.snapshot import Deployment

SMOOTHING = 0.2
_SECONDS = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_MOST_SECONDS = 3600.0

_LEFT, _LIMIT, _RESET = range(3)
_DIGITS = 18
_SHORT = ("requests", "tokens")
"""Of these a deployment may declare a limit itself, by the minute."""


def _fields() -> dict[bytes, tuple[str, int]]:
    """By header, which limit it speaks of and what it says. Sources: the references of OpenAI
    (whose names Azure and Groq share), Anthropic and Cerebras; Mistral's answers, in which three
    generations of names are about."""
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
        "input tokens": ("anthropic-ratelimit-input-tokens-{}",),
        "output tokens": ("anthropic-ratelimit-output-tokens-{}",),
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


class Allowance:
    """What is left of one limit: by the provider's own word while that is fresh, else by counting
    the last minute's use against the limit that was declared."""

    __slots__ = ("_count", "_end", "_left", "_limit", "_until")

    def __init__(self) -> None:
        self._left = 0
        self._limit = 0
        self._until = 0.0
        self._count = 0
        self._end = 0.0

    def told(self, left: int, limit: int, seconds: float, now: float) -> None:
        self._left, self._limit, self._until = left, max(limit, left, 1), now + seconds

    def use(self, amount: int, now: float) -> None:
        if now >= self._end:
            self._count, self._end = 0, now + 60.0
        self._count += amount
        if now < self._until:
            self._left -= amount

    def left(self, declared: int | None, now: float) -> tuple[int | None, float]:
        """The amount, None where nothing limits it, and the share of the limit, 0 to 1."""
        if now < self._until:
            return self._left, max(0.0, self._left / self._limit)
        if declared is None:
            return None, 1.0
        left = declared - (self._count if now < self._end else 0)
        return left, max(0.0, left / max(declared, 1))


class Seen:
    """One deployment. Times in seconds, None before the first call."""

    __slots__ = ("first_token", "in_flight", "more", "requests", "tokens", "tokens_per_second")

    def __init__(self) -> None:
        self.in_flight = 0
        self.first_token: float | None = None
        self.tokens_per_second: float | None = None
        self.requests = Allowance()
        self.tokens = Allowance()
        self.more: dict[str, Allowance] | None = None
        """By name, limits beside these that the provider has told of."""

    def allowance(self, limit: str) -> Allowance:
        if limit in _SHORT:
            return self.requests if limit == "requests" else self.tokens
        if self.more is None:
            self.more = {}
        return self.more.setdefault(limit, Allowance())

    def timed(self, first_token: float, rate: float | None) -> None:
        """Of a call that went well: seconds to its first token, and tokens a second after it."""
        self.first_token = _smooth(self.first_token, first_token)
        if rate is not None:
            self.tokens_per_second = _smooth(self.tokens_per_second, rate)


class Track:
    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.clock = clock
        self._seen: dict[str, Seen] = {}

    def of(self, deployment_id: str) -> Seen:
        seen = self._seen.get(deployment_id)
        if seen is None:
            seen = self._seen[deployment_id] = Seen()
        return seen

    def began(self, deployment_id: str, tokens: int) -> Seen:
        """A call of about so many tokens is on its way."""
        seen, now = self.of(deployment_id), self.clock()
        seen.in_flight += 1
        seen.requests.use(1, now)
        if tokens:
            seen.tokens.use(tokens, now)
        if seen.more is not None:
            for limit, allowance in seen.more.items():
                allowance.use(_takes(limit, tokens, 0), now)
        return seen

    def answered(self, seen: Seen, headers: list[tuple[bytes, bytes]]) -> None:
        """Its answer has begun: reads what the provider says of its limits."""
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
            return
        now = self.clock()
        for limit, (left, most, reset) in told.items():
            number = _number(left)
            if number is not None:
                seen.allowance(limit).told(number, _number(most) or number, _reset(reset), now)

    def exhausted(self, deployment: Deployment, tokens: int, output: int = 0) -> bool:
        """Whether a call of so many tokens, of which so many are its answer's, would meet the
        provider's rate limit."""
        seen = self._seen.get(deployment.id)
        if seen is None:
            return False
        now = self.clock()
        requests, _ = seen.requests.left(deployment.requests_per_minute, now)
        left, _ = seen.tokens.left(deployment.tokens_per_minute, now)
        if (requests is not None and requests < 1) or (left is not None and left < tokens):
            return True
        if seen.more is None:
            return False
        for limit, allowance in seen.more.items():
            left, _ = allowance.left(None, now)
            if left is not None and left < _takes(limit, tokens, output):
                return True
        return False

    def headroom(self, deployment: Deployment) -> float:
        """The share of its limits that is left, 0 to 1."""
        seen = self._seen.get(deployment.id)
        if seen is None:
            return 1.0
        now = self.clock()
        share = min(
            seen.requests.left(deployment.requests_per_minute, now)[1],
            seen.tokens.left(deployment.tokens_per_minute, now)[1],
        )
        for allowance in (seen.more or {}).values():
            share = min(share, allowance.left(None, now)[1])
        return share


def _smooth(before: float | None, now: float) -> float:
    return now if before is None else before + (now - before) * SMOOTHING


def _takes(limit: str, tokens: int, output: int) -> int:
    """How much of a limit a call takes."""
    if limit.startswith("requests"):
        return 1
    if limit == "input tokens":
        return tokens - output
    return output if limit == "output tokens" else tokens


def _number(value: bytes | None) -> int | None:
    if value is not None and value.isdigit() and len(value) <= _DIGITS:
        return int(value)
    return None


def _reset(value: bytes | None) -> float:
    """``1m30s``, ``250ms`` or seconds, as OpenAI and the compatible say it, or a time, as Anthropic
    does; a minute where it is not said."""
    if value is None:
        return 60.0
    text = value.decode("latin-1").strip()
    if not text.endswith("s"):
        try:
            return min(float(text), _MOST_SECONDS)
        except ValueError:
            pass
    match = _SECONDS.fullmatch(text)
    if match is None and "T" in text:
        return _until(text)
    if match is None or not any(match.groups()):
        return 60.0
    hours, minutes, seconds, millis = (float(part or 0) for part in match.groups())
    return min(hours * 3600 + minutes * 60 + seconds + millis / 1000, _MOST_SECONDS)


def _until(moment: str) -> float:
    """Seconds from now to a time of RFC 3339, which has a zone."""
    try:
        return min(max(0.0, datetime.fromisoformat(moment).timestamp() - time()), _MOST_SECONDS)
    except (ValueError, OverflowError):
        return 60.0
