"""In which order a model's deployments are asked, by its strategy.

Each takes those that can serve the call, and says of each the figure that it went by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import randrange
from typing import TYPE_CHECKING, NamedTuple

from contract import routing
from proxy.balance import sequence

if TYPE_CHECKING:
    from proxy.ai.estimate import Estimate
    from proxy.ai.runtime import DeploymentRuntime, ModelRuntime
    from proxy.gateway import Gateway

Figure = Callable[["DeploymentRuntime"], str]


class Ordered(NamedTuple):
    """``reason`` and the figure of the one that is asked are told together."""

    order: Sequence[DeploymentRuntime]
    reason: str
    figure: Figure


def ordered(
    fit: list[DeploymentRuntime], gateway: Gateway, model: ModelRuntime, estimate: Estimate
) -> Ordered:
    """Of ``fit``, those that are to be asked, the first one first."""
    strategy = model.model.routing.strategy
    return _STRATEGIES[type(strategy)](strategy, fit, gateway, model, estimate)


def turns(one: DeploymentRuntime, among: Sequence[DeploymentRuntime]) -> str:
    return f"{one.weight} of {sum(each.weight for each in among)} turns"


def _weighted(
    strategy: routing.Weighted,
    fit: list[DeploymentRuntime],
    gateway: Gateway,
    model: ModelRuntime,
    estimate: Estimate,
) -> Ordered:
    return Ordered(_in_turn(fit, gateway, model), "weighted: ", lambda one: turns(one, fit))


def _in_turn(
    fit: Sequence[DeploymentRuntime], gateway: Gateway, model: ModelRuntime
) -> list[DeploymentRuntime]:
    """By weight, beginning with whose turn it is."""
    order = sequence(fit)
    if not order:
        return []
    start = gateway.health.turn(model.id) % len(order)
    return list(dict.fromkeys((*order[start:], *order[:start])))


def _priority(
    strategy: routing.Priority,
    fit: list[DeploymentRuntime],
    gateway: Gateway,
    model: ModelRuntime,
    estimate: Estimate,
) -> Ordered:
    order = _in_turn(fit, gateway, model)
    order.sort(key=lambda one: one.deployment.priority)
    return Ordered(order, "", lambda one: f"priority {one.deployment.priority}")


def _lowest_cost(
    strategy: routing.LowestCost,
    fit: list[DeploymentRuntime],
    gateway: Gateway,
    model: ModelRuntime,
    estimate: Estimate,
) -> Ordered:
    costs = {one.id: estimate.cost_at(one.prices) for one in fit}

    def key(one: DeploymentRuntime) -> tuple[bool, int]:
        cost = costs[one.id]
        return cost is None, cost or 0

    def figure(one: DeploymentRuntime) -> str:
        cost = costs[one.id]
        return "no price" if cost is None else f"about {cost / 1e6:.6f} {one.prices.currency}"

    return Ordered(sorted(_in_turn(fit, gateway, model), key=key), "lowest cost: ", figure)


def _lowest_latency(
    strategy: routing.LowestLatency,
    fit: list[DeploymentRuntime],
    gateway: Gateway,
    model: ModelRuntime,
    estimate: Estimate,
) -> Ordered:
    track, first = gateway.track, strategy.measure == "first_token"

    def seconds(one: DeploymentRuntime) -> float:
        """What has not been seen yet is tried at once."""
        seen = track.of(one.key)
        if first:
            return seen.first_token or 0.0
        return 1 / seen.tokens_per_second if seen.tokens_per_second else 0.0

    def figure(one: DeploymentRuntime) -> str:
        seen = track.of(one.key)
        if first and seen.first_token is not None:
            return f"first token in {seen.first_token * 1000:.0f} ms"
        if not first and seen.tokens_per_second is not None:
            return f"{seen.tokens_per_second:.0f} tokens a second"
        return "not yet seen"

    order = _in_turn(fit, gateway, model)
    if strategy.explore and randrange(strategy.explore) == 0:
        return Ordered(order, "lowest latency, tried to see how quick it is: ", figure)
    best = min(map(seconds, fit)) * (1 + strategy.within_percent / 100)
    order.sort(key=lambda one: 0.0 if seconds(one) <= best else seconds(one))
    alike = len(order) > 1 and seconds(order[1]) <= best
    within = f", in turn within {strategy.within_percent} %" if alike else ""
    return Ordered(order, f"lowest latency{within}: ", figure)


def _least_busy(
    strategy: routing.LeastBusy,
    fit: list[DeploymentRuntime],
    gateway: Gateway,
    model: ModelRuntime,
    estimate: Estimate,
) -> Ordered:
    track = gateway.track
    order = _in_turn(fit, gateway, model)
    order.sort(key=lambda one: track.of(one.key).in_flight / one.weight)
    return Ordered(order, "least busy: ", lambda one: f"{track.of(one.key).in_flight} under way")


def _headroom(
    strategy: routing.Headroom,
    fit: list[DeploymentRuntime],
    gateway: Gateway,
    model: ModelRuntime,
    estimate: Estimate,
) -> Ordered:
    track = gateway.track
    order = _in_turn(fit, gateway, model)
    order.sort(key=lambda one: -track.headroom(one.key))
    return Ordered(order, "headroom: ", lambda one: f"{track.headroom(one.key):.0%} left")


_STRATEGIES: dict[type, Callable[..., Ordered]] = {
    routing.Weighted: _weighted,
    routing.Priority: _priority,
    routing.LowestCost: _lowest_cost,
    routing.LowestLatency: _lowest_latency,
    routing.LeastBusy: _least_busy,
    routing.Headroom: _headroom,
}
