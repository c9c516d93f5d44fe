"""Rate limit: so many calls in a sliding window, exact over all workers (see ``limits``)."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from contract.policies import RateLimit
from proxy.errors import RateLimitExceeded
from proxy.limits import Limit, Limits, Verdict, limit
from proxy.policies.place import Place

if TYPE_CHECKING:
    from proxy.exchange import Exchange
    from proxy.gateway import Gateway
    from proxy.policies import Step


def compile(configs: list[tuple[str, RateLimit]], place: Place) -> Step:  # noqa: A001
    """All limits of a call are taken together: a call that one refuses uses up none."""
    tightest: dict[str, tuple[Limit, str]] = {}
    for level, config in configs:
        item = limit(place.tenant_id, _subject(level, config, place), config.limit, config.window)
        known = tightest.get(item.key)
        if known is None or item.limit < known[0].limit:
            tightest[item.key] = (item, _name(level, config))
    limits = Limits(tuple(item for item, _ in tightest.values()))
    names = [name.encode() for _, name in tightest.values()]
    policy = b", ".join(
        b'"%b";q=%d;w=%d' % (name, item.limit, item.window)
        for name, item in zip(names, limits.items, strict=True)
    )
    policy_header = (b"ratelimit-policy", policy)

    def step(exchange: Exchange, gateway: Gateway) -> Awaitable[None] | None:
        verdict = gateway.limiter.check(limits)
        return None if verdict is None else wait(exchange, verdict)

    async def wait(exchange: Exchange, answer: Awaitable[Verdict | None]) -> None:
        verdict = await answer
        if verdict is None:
            return
        if not verdict.allowed:
            item, name = limits.items[verdict.tight], names[verdict.tight]
            seconds = max(1, -(-verdict.wait // 1_000_000))
            state = (b"ratelimit", b'"%b";r=0;t=%d' % (name, seconds))
            raise RateLimitExceeded(item.limit, item.window, seconds, [policy_header, state])
        left = [b'"%b";r=%d' % pair for pair in zip(names, verdict.remaining, strict=True)]
        exchange.added_headers = [policy_header, (b"ratelimit", b", ".join(left))]

    return step


def _subject(level: str, config: RateLimit, place: Place) -> str:
    """What is counted. A route's own limit counts only the calls of that route."""
    match config.scope:
        case "tenant":
            subject = "tenant"
        case "api":
            subject = f"api:{place.api_id}"
        case "application":
            subject = f"application:{place.application_id or 'none'}"
        case _:
            subject = f"subscription:{place.subscription_id or place.api_id}"
    return f"{subject}:route:{place.route_id}" if level == "route" else subject


def _name(level: str, config: RateLimit) -> str:
    return f"{'route' if level == 'route' else config.scope}-{config.window}s"
