"""What one call has reserved, and what of it was used in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.ai import estimate
from proxy.limits import Held, Item, Limits
from proxy.limits.errors import PriceUnknown

if TYPE_CHECKING:
    from proxy.ai.estimate import Estimate
    from proxy.exchange import Exchange
    from proxy.limits.counts import Counts


class Reservation:
    """Made before the call is let through; ``close`` it when the call is over.

    Raises PriceUnknown where cost is limited and no price is known.
    """

    __slots__ = ("_counts", "billed", "held")

    def __init__(self, limits: Limits, exchange: Exchange, counts: Counts) -> None:
        units = _units(limits, estimate.of(exchange)) if limits.closed else limits.ones
        self.held = Held(limits, units)
        self.billed = False
        """Tokens and cost are counted by a bill (``proxy.limits.bills``), to be settled later."""
        self._counts = counts

    def close(self, exchange: Exchange) -> None:
        """Settles with what the provider reported.

        Where it answered and reported nothing, also because the client left in the middle,
        the estimate stands, or what came where that is more: what came may be less than what is
        billed, such as thoughts that are not shown. Where there was no answer, nothing was used.
        """
        limits, units = self.held.limits, self.held.units
        if not limits.closed or self.billed:
            self.held.close(units, billed=self.billed)
            return
        reported = [_reported(item, limits, exchange) for item in limits.items]
        if None in reported or exchange.guessed:
            self._counts.estimated += 1
        self.held.close(
            [
                unit if used is None or (item.money and exchange.guessed and used < unit) else used
                for item, used, unit in zip(limits.items, reported, units, strict=True)
            ]
        )


def _units(limits: Limits, expected: Estimate | None) -> tuple[int, ...]:
    if expected is None:
        # No model is asked, so neither tokens nor money are used.
        return tuple(0 if item.money else 1 for item in limits.items)
    _require_prices(limits, expected)
    units = []
    for item in limits.items:
        if item.measure == "tokens":
            units.append(expected.tokens)
        elif item.measure == "cost":
            cost = expected.cost(item.currency)
            if cost is None:
                raise PriceUnknown
            units.append(cost)
        else:
            units.append(1)
    return tuple(units)


def _require_prices(limits: Limits, expected: Estimate) -> None:
    """Each subject that has budgets must have one in the currency of every price."""
    budgets: dict[str, set[str]] = {}
    for item in limits.items:
        if item.measure == "cost":
            budgets.setdefault(item.subject, set()).add(item.currency)
    for currencies in budgets.values():
        if any(prices.currency not in currencies for prices in expected.prices):
            raise PriceUnknown


def _reported(item: Item, limits: Limits, exchange: Exchange) -> int | None:
    """None where it is not known and the estimate stands."""
    if item.measure == "tokens" and exchange.expected is None:
        if exchange.input_tokens is not None and exchange.output_tokens is not None:
            return exchange.input_tokens + exchange.output_tokens
    elif item.measure == "cost" and exchange.expected is None:
        if exchange.cost_micros is not None:
            if exchange.currency == item.currency:
                return exchange.cost_micros
            if _counted_elsewhere(item, limits, exchange.currency):
                return 0
    elif not item.money:
        return 0
    return None if _answered(exchange) else 0


def _counted_elsewhere(item: Item, limits: Limits, currency: str) -> bool:
    """The subject has a budget in that currency. A model that was asked in another's place, as a
    fallback or by a rule, may have a price in one for which there is none."""
    return any(
        other.measure == "cost" and other.subject == item.subject and other.currency == currency
        for other in limits.items
    )


def _answered(exchange: Exchange) -> bool:
    """The provider may have done its work: it answered, be it with what could not be read, or the
    client left while it was asked."""
    if not exchange.deployment_id:
        return False
    return exchange.abandoned or exchange.guessed or 200 <= exchange.status < 400
