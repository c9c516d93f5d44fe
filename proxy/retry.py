"""What is tried again after an attempt that failed, and when: see ``contract.snapshot.Retries``."""

from __future__ import annotations

from random import uniform
from typing import TYPE_CHECKING

from contract.snapshot import Breaker, Retries
from proxy.errors import (
    UpstreamBroken,
    UpstreamError,
    UpstreamOverloaded,
    UpstreamTimeout,
)
from proxy.upstream.pool import IDEMPOTENT

if TYPE_CHECKING:
    from proxy.exchange import Exchange

PAUSE = 0.025
"""Seconds, about, before the first repeat at the same target; twice as long before the next."""


def is_failure(error: UpstreamError, rule: Breaker) -> bool:
    """Whether it is held against the target."""
    if isinstance(error, UpstreamTimeout):
        return rule.on_timeout
    return not isinstance(error, UpstreamOverloaded)


def may_repeat(
    exchange: Exchange, *, whole: bool, rule: Retries, failure: UpstreamError | int
) -> bool:
    """Whether this call may be sent once more after an error, or an answer's status.

    ``whole``: its body is still there to be sent.
    """
    if isinstance(failure, UpstreamError) and not failure.sent:
        return True
    if not whole or not (exchange.method in IDEMPOTENT or b"idempotency-key" in exchange.headers):
        return False
    if isinstance(failure, int):
        return failure in rule.statuses
    if failure.answered:
        return False
    if isinstance(failure, UpstreamTimeout):
        return rule.on_timeout
    return isinstance(failure, UpstreamBroken)


def elsewhere_only(failure: UpstreamError | int) -> bool:
    """There is no use in asking the same target again at once."""
    return isinstance(failure, UpstreamError) and not failure.sent


def pause(attempt: int) -> float:
    """Seconds to wait before the same target is asked again; ``attempt`` is 1 for the first."""
    return PAUSE * 2.0 ** (attempt - 1) * uniform(0.5, 1.5)
