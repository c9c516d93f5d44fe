"""Limits on calls, calls at once, tokens and cost, over all workers (see ``limits``).

All limits of a call are taken together: a call that one refuses uses up none of any.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from contract.keys import user_digest
from contract.policies import Limit
from proxy.limits import UNKNOWN, AnyLimiter, Held, Item, Limits, Verdict
from proxy.limits.errors import LimitsUnavailable
from proxy.policies import end_user
from proxy.policies.limit_fields import tell
from proxy.policies.limit_items import Rules
from proxy.policies.place import Place
from proxy.policies.settlement import Reservation

if TYPE_CHECKING:
    from proxy.exchange import Exchange
    from proxy.gateway import Gateway
    from proxy.policies import Step

MOST_BOUND = 4096
"""Keys and end users whose limits are remembered of one tenant, at all places together."""
_LONGEST_NAME = 256
"""Characters of an end user that is remembered."""


class Bound(Limits):
    """The limits of a place for one key and one end user, of whom ``user`` is the digest.

    ``check`` is the step of plain ones: the commonest, and so the shortest.
    """

    __slots__ = ("hard", "told", "user")

    def __init__(self, items: tuple[Item, ...], user: str = "", hard: Bound | None = None) -> None:
        """``hard`` are those of them that refuse, where some let another model be asked."""
        super().__init__(items)
        self.hard = hard
        self.told = tell(items)
        self.user = user

    def check(self, exchange: Exchange, gateway: Gateway) -> Awaitable[None] | None:
        limiter = gateway.limiter
        answer = limiter.check(self)
        if answer is not None:
            return _wait(exchange, limiter, answer, self)
        _away(limiter, self)
        return None


def compile(configs: list[tuple[str, Limit]], place: Place) -> Step | None:  # noqa: A001
    rules = Rules(configs, place)
    if not rules:
        return None
    if rules.by_key or rules.by_user:
        return _bound_step(rules, place)
    bound = _bind(rules)
    return bound.check if bound.plain else _step(bound)


def _bind(rules: Rules, key: str = "", user: str = "") -> Bound:
    hard = rules.items(key, user, hard=True) if rules.drops else ()
    return Bound(rules.items(key, user), user, Bound(hard, user) if hard else None)


def _step(bound: Bound) -> Step:
    def step(exchange: Exchange, gateway: Gateway) -> Awaitable[None] | None:
        return admit(exchange, gateway.limiter, bound)

    return step


def _bound_step(rules: Rules, place: Place) -> Step:
    user_of = end_user.reader(place.user_from)

    def step(exchange: Exchange, gateway: Gateway) -> Awaitable[None] | None:
        key = exchange.key.id if rules.by_key and exchange.key is not None else ""
        user = user_of(exchange) if rules.by_user else ""
        known = exchange.tenant.bound  # type: ignore[union-attr]
        bound = known.get((rules, key, user))
        if bound is None:
            digest = user_digest(user) if rules.by_user else ""
            bound = _bind(rules, key, digest)
            if len(user) <= _LONGEST_NAME:
                known[rules, key, user] = bound
                if len(known) > MOST_BOUND:
                    known.popitem(last=False)
        exchange.end_user = bound.user
        return admit(exchange, gateway.limiter, bound)

    return step


def admit(exchange: Exchange, limiter: AnyLimiter, bound: Bound) -> Awaitable[None] | None:
    """Takes what the call needs of all limits, or raises what refuses it."""
    answer: Verdict | Awaitable[Verdict | None] | None
    if bound.plain:
        answer = limiter.check(bound)
    elif bound.leased and bound.calls:
        answer = limiter.draw(bound)
        if answer is None:
            answer = limiter.hold(Held(bound, bound.ones), alike=True)
    else:
        reservation = Reservation(bound, exchange, limiter.counts)
        exchange.reservation = reservation
        answer = limiter.hold(reservation.held, alike=not bound.closed)
    if answer is None:
        _away(limiter, bound)
        return None
    if isinstance(answer, Verdict):
        limiter.counts.checks += 1
        bound.told.allow(exchange, answer)
        return None
    return _wait(exchange, limiter, answer, bound)


async def _wait(
    exchange: Exchange, limiter: AnyLimiter, answer: Awaitable[Verdict | None], bound: Bound
) -> None:
    verdict = await answer
    if verdict is None:
        _away(limiter, bound)
        return
    limiter.counts.checks += 1
    if verdict.allowed:
        bound.told.allow(exchange, verdict)
        return
    item = bound.items[verdict.tight]
    if item.fallback and verdict.wait != UNKNOWN and _dropped(exchange, item):
        exchange.reservation = None
        if bound.hard is not None and (further := admit(exchange, limiter, bound.hard)) is not None:
            await further
        return
    limiter.counts.refusals += 1
    reservation = exchange.reservation
    units = bound.ones if reservation is None else reservation.held.units
    raise bound.told.refusal(bound.items, verdict, units)


def _dropped(exchange: Exchange, item: Item) -> bool:
    """Whether the limit's other model can be asked; it is to be, then."""
    if exchange.expected is not None:
        return False  # What it will use is settled by whom it goes to.
    tenant, asked = exchange.tenant, exchange.asked
    model = None if tenant is None else tenant.models_by_id.get(item.fallback)
    ability = "chat" if asked is None else asked[2]
    if model is None or not model.deployments or ability not in model.model.abilities:
        return False
    exchange.instead = model, f"budget {item.name} is used up; "
    return True


def _away(limiter: AnyLimiter, limits: Limits) -> None:
    """Nothing can be counted now. Raises LimitsUnavailable where money is at stake."""
    if limits.closed:
        limiter.counts.failed_closed += 1
        raise LimitsUnavailable
    limiter.counts.failed_open += 1
