"""The limits that a deployment declares: calls and tokens of a minute, at its provider.

They are counted like any other limit (``proxy.limits``), so all workers and nodes together keep
them: a call holds what it may use until it is over, and is counted with what it has used. Where
Valkey is away, each worker counts its own calls, a minute at a time, by their estimates.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from contract.keys import limit_subject
from proxy.ai.track import MINUTE
from proxy.limits import Held, Item, Limits, Verdict

if TYPE_CHECKING:
    from contract.snapshot import Deployment
    from proxy.ai.track import Seen
    from proxy.gateway import Gateway
    from proxy.runtime import DeploymentRuntime


def limits_of(tenant_id: str, deployment: Deployment) -> Limits | None:
    subject = limit_subject("deployment", deployment.id)
    items = []
    if deployment.requests_per_minute:
        items.append(Item(tenant_id, "calls", subject, deployment.requests_per_minute))
    if deployment.tokens_per_minute:
        items.append(Item(tenant_id, "tokens", subject, deployment.tokens_per_minute))
    return Limits(tuple(items)) if items else None


async def take(
    gateway: Gateway, deployment: DeploymentRuntime, tokens: int
) -> tuple[Held | None, float]:
    """What a call of about so many tokens holds, to be closed when it is over; or the seconds
    until there may be room for it. A call that exceeds the limit itself needs all of it."""
    limits = deployment.limits
    if limits is None:
        return None, 0.0
    units = tuple(
        1 if item.measure == "calls" else max(1, min(tokens, item.amount)) for item in limits.items
    )
    held, limiter = Held(limits, units), gateway.limiter
    answer: Verdict | Awaitable[Verdict | None] | None
    answer = limiter.check(limits) if limits.plain else limiter.hold(held, alike=False)
    try:
        verdict = answer if answer is None or isinstance(answer, Verdict) else await answer
    except BaseException:
        settle(held, 0)
        raise
    seen, now = gateway.track.of(deployment.key), gateway.track.clock()
    if verdict is None:
        return held, _count(seen, limits, units, now)
    left = zip(verdict.remaining, limits.items, strict=True)
    seen.counted(min(remaining / item.amount for remaining, item in left), now)
    if not verdict.allowed:
        return None, max(verdict.wait, 1) / 1e6
    _count(seen, limits, units, now)
    return held, 0.0


def settle(held: Held, tokens: int) -> None:
    """The call that held it is over, and has used so many."""
    held.close((tokens,) * len(held.units))


def _count(seen: Seen, limits: Limits, units: tuple[int, ...], now: float) -> float:
    """Counts a call of this worker, or says how long it is until there is room."""
    end, calls, tokens = seen.minute
    if now >= end:
        end, calls, tokens = now + MINUTE, 0, 0
    for item, unit in zip(limits.items, units, strict=True):
        used = calls if item.measure == "calls" else tokens
        if used + unit > item.amount:
            return end - now
    for item, unit in zip(limits.items, units, strict=True):
        if item.measure == "tokens":
            tokens += unit
    seen.minute = end, calls + 1, tokens
    return 0.0
