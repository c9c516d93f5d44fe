"""What this worker has seen of each deployment: how quick it is, how busy, and what is left under
its provider's rate limits.

Mutable state shared between calls. It belongs to one worker and is a guide, not a count: what
deployments declare is counted by ``proxy.limits`` (``declared``), and what a provider tells one
worker of a limit that runs low, the others hear (``news``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import monotonic

from proxy.ai.limit_headers import Word, read

SMOOTHING = 0.2
MINUTE = 60.0
FRESH = 0.25
"""Seconds for which a worker's own word of a limit goes before another's."""
MOST_SEEN = 10_000
"""Deployments that are known at once. Past that all begin anew but those that are answering: of
those that are gone nobody tells."""
_ALMOST = 1e-6


class Allowance:
    """What is left of one limit, by the provider's word and until its reset."""

    __slots__ = ("_left", "_most", "_rate", "_until", "_whole", "at")

    def __init__(self) -> None:
        self.at = float("-inf")
        self._left = self._most = 0
        self._whole = 1
        self._rate = self._until = 0.0

    def told(self, word: Word, now: float) -> None:
        self.at, self._until = now, now + word.seconds
        self._left, self._most = word.left, word.most
        self._whole = max(word.most, word.left, 1)
        self._rate = 0.0
        if not word.firm and word.seconds > 0 and word.most > word.left:
            self._rate = (word.most - word.left) / word.seconds

    def use(self, amount: int, now: float) -> None:
        if now < self._until:
            self._left -= amount

    def wait(self, amount: int, now: float) -> float:
        """Seconds until there is so much; 0 where there is now, or nobody knows. What exceeds the
        limit itself needs all of it."""
        if now >= self._until:
            return 0.0
        lack = (min(amount, self._most) if self._most else amount) - self._now(now)
        if lack < _ALMOST:
            return 0.0
        rest = self._until - now
        return min(rest, lack / self._rate) if self._rate else rest

    def share(self, now: float) -> float:
        """Of the limit, 0 to 1."""
        if now >= self._until:
            return 1.0
        return min(1.0, max(0.0, self._now(now) / self._whole))

    def low(self, now: float) -> bool:
        """Less than half is left, or who knows."""
        return now < self._until and (not self._most or self._now(now) * 2 < self._most)

    def _now(self, now: float) -> float:
        return self._left + self._rate * (now - self.at)


class Seen:
    """One deployment. Times in seconds, None before the first call."""

    __slots__ = (
        *("_share", "_shared_at", "first_token", "in_flight", "key", "minute", "told"),
        "tokens_per_second",
    )

    def __init__(self, key: str) -> None:
        self.key = key
        self.in_flight = 0
        self.first_token: float | None = None
        self.tokens_per_second: float | None = None
        self.told: dict[str, Allowance] | None = None
        """By name, the limits that the provider has told of."""
        self.minute = (0.0, 0, 0)
        """When it ends, and the calls and tokens that this worker has sent in it, where limits are
        declared."""
        self._share, self._shared_at = 1.0, float("-inf")

    def timed(self, first_token: float, rate: float | None) -> None:
        """Of a call that went well: seconds to its first token, and tokens a second after it."""
        self.first_token = _smooth(self.first_token, first_token)
        if rate is not None:
            self.tokens_per_second = _smooth(self.tokens_per_second, rate)

    def counted(self, share: float, now: float) -> None:
        """So much was left of its declared limits, 0 to 1."""
        self._share, self._shared_at = share, now

    def share(self, now: float) -> float:
        """As ``counted`` last; about as much has come back since as the time is of a minute."""
        return min(1.0, self._share + (now - self._shared_at) / MINUTE)


class Track:
    """Deployments go by their ``key``, which has their tenant in it."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.clock = clock
        self.low: dict[str, Seen] = {}
        """Those of whose limits, as told, less than half is left."""
        self.news: dict[str, list[Word]] = {}
        """By key, what others are to be told: what is low, and what is so no longer."""
        self._seen: dict[str, Seen] = {}

    def of(self, key: str) -> Seen:
        seen = self._seen.get(key)
        if seen is None:
            if len(self._seen) >= MOST_SEEN:
                self._forget()
            seen = self._seen[key] = Seen(key)
        return seen

    def _forget(self) -> None:
        self._seen = {key: seen for key, seen in self._seen.items() if seen.in_flight}
        self.low = {key: seen for key, seen in self.low.items() if seen.in_flight}
        self.news = {key: words for key, words in self.news.items() if key in self._seen}

    def began(self, key: str, tokens: int) -> Seen:
        """A call of about so many tokens is on its way."""
        seen = self.of(key)
        seen.in_flight += 1
        if seen.told is not None:
            now = self.clock()
            for limit, allowance in seen.told.items():
                allowance.use(_takes(limit, tokens, 0), now)
                if allowance.low(now):
                    self.low[key] = seen
        return seen

    def answered(
        self, seen: Seen, headers: list[tuple[bytes, bytes]], *, refused: bool = False
    ) -> None:
        """Its answer has begun: reads what the provider says of its limits. ``refused``: it is a
        429."""
        words = read(headers, refused=refused)
        if words:
            was_low = seen.key in self.low
            self._believe(seen, words, self.clock())
            if was_low or seen.key in self.low:
                self.news[seen.key] = words

    def heard(self, key: str, words: Iterable[Word]) -> None:
        """What another worker was told."""
        seen, now = self.of(key), self.clock()
        known = seen.told or {}
        old = [
            word for word in words if word.limit not in known or known[word.limit].at + FRESH <= now
        ]
        if old:
            self._believe(seen, old, now)

    def _believe(self, seen: Seen, words: Iterable[Word], now: float) -> None:
        if seen.told is None:
            seen.told = {}
        for word in words:
            allowance = seen.told.get(word.limit)
            if allowance is None:
                allowance = seen.told[word.limit] = Allowance()
            allowance.told(word, now)
        self._weigh(seen, now)

    def _weigh(self, seen: Seen, now: float) -> None:
        if any(allowance.low(now) for allowance in (seen.told or {}).values()):
            self.low[seen.key] = seen
        else:
            self.low.pop(seen.key, None)

    def wait(self, key: str, tokens: int, output: int = 0) -> float:
        """Seconds until its provider would take a call of so many tokens, of which so many are its
        answer's, as far as it has told; 0 where it may be asked now."""
        seen = self._seen.get(key)
        if seen is None or seen.told is None:
            return 0.0
        now, longest = self.clock(), 0.0
        for limit, allowance in seen.told.items():
            longest = max(longest, allowance.wait(_takes(limit, tokens, output), now))
        if not longest and key in self.low:
            self._weigh(seen, now)
        return longest

    def headroom(self, key: str) -> float:
        """The share of its limits that is left, 0 to 1."""
        seen = self._seen.get(key)
        if seen is None:
            return 1.0
        now = self.clock()
        told = (allowance.share(now) for allowance in (seen.told or {}).values())
        return min(seen.share(now), *told, 1.0)


def _smooth(before: float | None, now: float) -> float:
    return now if before is None else before + (now - before) * SMOOTHING


def _takes(limit: str, tokens: int, output: int) -> int:
    """How much of a limit a call takes."""
    if limit.startswith("requests"):
        return 1
    if limit == "input tokens":
        return tokens - output
    return output if limit == "output tokens" else tokens
