"""What this worker has seen of each deployment: how quick it is, how busy, and what is left under
its provider's rate limits.

Mutable state shared between calls. It belongs to one worker and is a guide, not a count: what must
be exact is in ``proxy.limits``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from time import monotonic, time

from contract.snapshot import Deployment

SMOOTHING = 0.2
_SECONDS = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_MOST_SECONDS = 3600.0

_LEFT = {
    "requests": (b"x-ratelimit-remaining-requests", b"anthropic-ratelimit-requests-remaining"),
    "tokens": (b"x-ratelimit-remaining-tokens", b"anthropic-ratelimit-tokens-remaining"),
}
_LIMIT = {
    "requests": (b"x-ratelimit-limit-requests", b"anthropic-ratelimit-requests-limit"),
    "tokens": (b"x-ratelimit-limit-tokens", b"anthropic-ratelimit-tokens-limit"),
}
_RESET = {
    "requests": (b"x-ratelimit-reset-requests", b"anthropic-ratelimit-requests-reset"),
    "tokens": (b"x-ratelimit-reset-tokens", b"anthropic-ratelimit-tokens-reset"),
}


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

    __slots__ = ("first_token", "in_flight", "requests", "tokens", "tokens_per_second")

    def __init__(self) -> None:
        self.in_flight = 0
        self.first_token: float | None = None
        self.tokens_per_second: float | None = None
        self.requests = Allowance()
        self.tokens = Allowance()

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
        return seen

    def answered(self, seen: Seen, headers: list[tuple[bytes, bytes]]) -> None:
        """Its answer has begun: reads what the provider says of its limits."""
        for field, _ in headers:
            if b"ratelimit" in field:
                break
        else:
            return
        fields, now = dict(headers), self.clock()
        for name, allowance in (("requests", seen.requests), ("tokens", seen.tokens)):
            left = _number(fields, _LEFT[name])
            if left is not None:
                limit = _number(fields, _LIMIT[name]) or left
                said = next((fields[field] for field in _RESET[name] if field in fields), None)
                allowance.told(left, limit, _reset(said), now)

    def exhausted(self, deployment: Deployment, tokens: int) -> bool:
        """Whether a call of so many tokens would meet the provider's rate limit."""
        seen = self._seen.get(deployment.id)
        if seen is None:
            return False
        now = self.clock()
        requests, _ = seen.requests.left(deployment.requests_per_minute, now)
        left, _ = seen.tokens.left(deployment.tokens_per_minute, now)
        return (requests is not None and requests < 1) or (left is not None and left < tokens)

    def headroom(self, deployment: Deployment) -> float:
        """The share of its limits that is left, 0 to 1."""
        seen = self._seen.get(deployment.id)
        if seen is None:
            return 1.0
        now = self.clock()
        return min(
            seen.requests.left(deployment.requests_per_minute, now)[1],
            seen.tokens.left(deployment.tokens_per_minute, now)[1],
        )


def _smooth(before: float | None, now: float) -> float:
    return now if before is None else before + (now - before) * SMOOTHING


def _number(fields: Mapping[bytes, bytes], names: tuple[bytes, ...]) -> int | None:
    for name in names:
        value = fields.get(name)
        if value is not None and value.isdigit():
            return int(value)
    return None


def _reset(value: bytes | None) -> float:
    """``1m30s``, ``250ms`` or seconds, as OpenAI and the compatible say it, or a time, as Anthropic
    does; a minute where it is not said."""
    if value is None:
        return 60.0
    text = value.decode("latin-1").strip()
    try:
        return min(float(text), _MOST_SECONDS)
    except ValueError:
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
