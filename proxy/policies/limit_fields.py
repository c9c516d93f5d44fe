"""What callers are told of limits: the ``RateLimit`` fields, and refusals.

Source: the IETF draft "RateLimit header fields for HTTP". ``q`` and ``r`` are in the
limit's own unit, which ``qu`` names where it is not calls.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from proxy.errors import GatewayError
from proxy.limits import NEVER, UNKNOWN, Item, Verdict
from proxy.limits.errors import (
    BudgetExceeded,
    ConcurrencyLimited,
    LimitsUnavailable,
    QuotaExceeded,
    RateLimitExceeded,
    TokenLimitExceeded,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.exchange import Exchange

_ERRORS: dict[str, type[RateLimitExceeded]] = {
    "calls": RateLimitExceeded,
    "concurrency": ConcurrencyLimited,
    "tokens": TokenLimitExceeded,
    "cost": BudgetExceeded,
}
_DAYS = {"day": 86_400, "month": 2_592_000}


class Told:
    """Of the limits of one place, in their order: their names, and what they allow."""

    __slots__ = ("_policy", "_state")

    def __init__(self, names: tuple[str, ...], policies: tuple[str, ...]) -> None:
        self._policy = (b"ratelimit-policy", ", ".join(policies).encode())
        self._state = ", ".join(f'"{name}";r=%d' for name in names).encode()

    def allow(self, exchange: Exchange, verdict: Verdict) -> None:
        """Tells with the answer what is left."""
        left = (b"ratelimit", self._state % (*verdict.remaining,))
        exchange.added_headers = [self._policy, left]

    def refusal(
        self, items: tuple[Item, ...], verdict: Verdict, units: Sequence[int]
    ) -> GatewayError:
        item = items[verdict.tight]
        if verdict.wait == UNKNOWN:
            return LimitsUnavailable()
        left = verdict.remaining[verdict.tight]
        seconds = None if verdict.wait == NEVER else max(1, -(-verdict.wait // 1_000_000))
        state = b'"%b";r=%d' % (item.name.encode(), left)
        if seconds is not None:
            state += b";t=%d" % seconds
        error = _ERRORS[item.measure]
        if item.measure == "calls" and item.period:
            error = QuotaExceeded
        told = [self._policy, (b"ratelimit", state)]
        return error(item, units[verdict.tight], left, seconds, told)


def tell(items: tuple[Item, ...]) -> Told:
    """The same object for all places whose limits are called alike: there are thousands."""
    return _told(tuple(item.name for item in items), tuple(map(_policy, items)))


_told = lru_cache(maxsize=1024)(Told)


def _policy(item: Item) -> str:
    text = f'"{item.name}";q={item.amount}'
    if item.measure == "concurrency":
        return f'{text};qu="concurrent-requests"'
    if item.measure != "calls":
        unit = "tokens" if item.measure == "tokens" else f"micro-{item.currency.lower()}"
        text += f';qu="{unit}"'
    return f"{text};w={_DAYS.get(item.period, item.window)}"
