"""Which deployments a call is tried at, in which order, and why.

A model's rules come first: the first that holds names some of its deployments, or another model.
Of these, those that cannot serve the call are left out: other regions, too little context,
abilities that they lack. The model's strategy puts the rest in order; what its provider's rate
limits would refuse goes to the end. When all have failed, the model's fallbacks are gone through
in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from random import randrange
from typing import TYPE_CHECKING, NamedTuple

from contract import routing
from proxy.ai import traits
from proxy.ai.estimate import Estimate, input_tokens, output_tokens
from proxy.ai.meaning import Untold
from proxy.balance import sequence

if TYPE_CHECKING:
    from proxy.ai.asking import Asking
    from proxy.ai.middle import Request
    from proxy.ai.runtime import DeploymentRuntime, ModelRuntime
    from proxy.ai.track import Track
    from proxy.exchange import Exchange
    from proxy.gateway import Gateway
    from proxy.runtime import TenantRuntime

MOST_MODELS = 8
"""Models that one call may come to through rules and fallbacks."""
_GENERATES = ("chat", "count")
"""Operations whose requests say what a model is to answer: counting goes where that would."""
_SPENT = " (its rate limit is used up)"


class Candidate(NamedTuple):
    """``why`` is told in the usage record and, on request, in the answer's head."""

    model: ModelRuntime
    deployment: DeploymentRuntime
    why: str


class Wants:
    """What a call needs of a deployment. Read from the request where it can be."""

    __slots__ = ("contents", "estimate", "meant", "note", "request", "schema", "text")

    def __init__(self, asking: Asking) -> None:
        self.estimate = _estimate(asking)
        self.meant: dict[routing.Condition, int] = {}
        """How near in meaning it is to the examples of those conditions where that was told."""
        self.note = ""
        """What is to be said of that, with ``; `` behind it."""
        self.text = ""
        self.contents: set[str] = set()
        self.schema = False
        self.request: Request | None = None
        if asking.door.operation in _GENERATES and asking.format in asking.formats:
            request = self.request = asking.request
            self.text = traits.question(request)
            self.contents = traits.contents(request, self.text)
            self.schema = request.output is not None and request.output.kind == "schema"

    def abilities(self) -> set[str]:
        named = {"images": "vision", "audio": "audio", "files": "files", "tools": "tools"}
        needed = {named[content] for content in self.contents if content in named}
        return needed | {"json_schema"} if self.schema else needed


def _estimate(asking: Asking) -> Estimate:
    output = output_tokens(asking.body) if asking.door.operation == "chat" else 0
    return Estimate(input_tokens(asking.body), output, ())


def candidates(
    exchange: Exchange,
    gateway: Gateway,
    model: ModelRuntime,
    asking: Asking,
    wants: Wants | None = None,
) -> Iterable[Candidate]:
    """Each deployment once at most, as long as the caller asks for another. ``wants`` where it is
    known already (``Weighed``)."""
    if exchange.instead is not None:
        return _chosen(exchange, gateway, exchange.instead[0], asking, wants, exchange.instead[1])
    if not model.plain:
        return _chosen(exchange, gateway, model, asking, wants)
    if len(model.order) == 1 and not gateway.health.circuits:
        return (Candidate(model, model.order[0], "weighted"),)
    return _plain(gateway, model, asking)


def _plain(gateway: Gateway, model: ModelRuntime, asking: Asking) -> Iterator[Candidate]:
    """By weight: the commonest, and so the shortest."""
    tried: list[str] = []
    spent: list[DeploymentRuntime] = []
    several = len(model.deployments) > 1
    if several:
        asking.tokens = _estimate(asking).tokens
    while (deployment := gateway.balance.pick(model.id, model.order, tried)) is not None:
        tried.append(deployment.id)
        if several and gateway.track.exhausted(deployment.deployment, asking.tokens):
            spent.append(deployment)
        else:
            yield Candidate(model, deployment, "weighted")
    for deployment in spent:
        yield Candidate(model, deployment, "weighted" + _SPENT)


def _chosen(
    exchange: Exchange,
    gateway: Gateway,
    model: ModelRuntime,
    asking: Asking,
    wants: Wants | None,
    why_it: str = "",
) -> Iterator[Candidate]:
    """``why_it``: why the model is asked, where it is not the one that was named."""
    tenant: TenantRuntime = exchange.tenant  # type: ignore[assignment]
    wants = wants or Wants(asking)
    asking.tokens = wants.estimate.tokens
    left = [(model, why_it)]
    tried: set[str] = set()
    while left and len(tried) < MOST_MODELS:
        current, how = left.pop(0)
        if current.id in tried:
            continue
        tried.add(current.id)
        rule = _rule(exchange, current, wants)
        if rule is not None and rule.model_id in tenant.models_by_id:
            left.insert(0, (tenant.models_by_id[rule.model_id], f"{how}rule '{rule.name}'; "))
            continue
        why = f"{how}rule '{rule.name}'; " if rule is not None else how
        for deployment, reason in _ordered(gateway, current, rule, wants, asking):
            yield Candidate(current, deployment, wants.note + why + reason)
        for fallback in current.model.routing.fallbacks:
            if fallback in tenant.models_by_id:
                left.append((tenant.models_by_id[fallback], f"fallback of {current.name}; "))


class Weighed:
    """Asks embedding models what the rules that a call comes to want to know, before it is chosen
    by them: into ``wants``. What cannot be told is left to the likeness in words."""

    __slots__ = ("_exchange", "_fallbacks", "_gateway", "_models", "_seen", "wants")

    def __init__(
        self, exchange: Exchange, gateway: Gateway, model: ModelRuntime, asking: Asking
    ) -> None:
        tenant: TenantRuntime = exchange.tenant  # type: ignore[assignment]
        self.wants = Wants(asking)
        self._exchange = exchange
        self._gateway = gateway
        self._models = tenant.models_by_id
        self._seen: set[str] = set()
        self._fallbacks: list[str] = [model.id]

    async def rules(self) -> None:
        """Of the next model, and of those that its rules lead to."""
        id_ = self._fallbacks.pop(0)
        while id_ in self._models and id_ not in self._seen and len(self._seen) < MOST_MODELS:
            self._seen.add(id_)
            model = self._models[id_]
            rule = await self._rule(model)
            id_ = "" if rule is None else rule.model_id
            if id_ not in self._models:
                self._fallbacks += model.model.routing.fallbacks

    async def fallbacks(self) -> None:
        """Of all models that are asked once others have failed."""
        while self._fallbacks:
            await self.rules()

    async def _rule(self, model: ModelRuntime) -> routing.Rule | None:
        for rule in model.model.routing.rules:
            for condition in rule.conditions:
                if condition.embedding_model and condition not in self.wants.meant:
                    await self._weigh(condition)
                if not _holds(condition, self._exchange, self.wants):
                    break
            else:
                return rule
        return None

    async def _weigh(self, condition: routing.Condition) -> None:
        wants, name = self.wants, condition.embedding_model
        if not wants.text.strip():
            wants.meant[condition] = 0
            return
        try:
            near = await self._gateway.meanings.near(
                self._exchange, self._gateway, condition, wants.text
            )
        except Untold as why:
            note = f"by words, as {name} {why}; "
        else:
            wants.meant[condition] = near
            note = f"meant by {name}; "
        if f" {name} " not in wants.note and f" {name};" not in wants.note:
            wants.note += note


# Rules


def _rule(exchange: Exchange, model: ModelRuntime, wants: Wants) -> routing.Rule | None:
    for rule in model.model.routing.rules:
        if all(_holds(condition, exchange, wants) for condition in rule.conditions):
            return rule
    return None


def _holds(condition: routing.Condition, exchange: Exchange, wants: Wants) -> bool:
    subject, values = condition.subject, condition.values
    if subject == "similarity":
        if condition in wants.meant:
            return wants.meant[condition] >= condition.least
        if condition.embedding_model and not wants.note:
            wants.note = f"by words, as {condition.embedding_model} was not asked; "
        return any(traits.likeness(wants.text, value) >= condition.least for value in values)
    if subject in ("prompt_tokens", "complexity"):
        number = wants.estimate.input_tokens
        if subject == "complexity":
            number = traits.complexity(wants.request, wants.text) if wants.request else 0
        bounds = [int(value) for value in values]
        if condition.operator == "at_most":
            return any(number <= bound for bound in bounds)
        return any(number >= bound for bound in bounds)
    found = _values(condition, exchange, wants)
    if subject == "application" and condition.operator != "contains":
        # Names are told apart by case.
        return found.isdisjoint(values) == (condition.operator == "is_not")
    if condition.operator == "contains":
        return any(value.lower() in one.lower() for one in found for value in values)
    same = not {one.lower() for one in found}.isdisjoint(value.lower() for value in values)
    return not same if condition.operator == "is_not" else same


def _values(condition: routing.Condition, exchange: Exchange, wants: Wants) -> set[str]:
    subject, request = condition.subject, wants.request
    if subject == "header":
        value = exchange.headers.get(condition.name.lower().encode())
        return set() if value is None else {value.decode("latin-1")}
    if subject == "metadata":
        value = ((request.metadata if request else None) or {}).get(condition.name)
        return set() if value is None else {str(value)}
    if subject == "language":
        return {traits.language(wants.text)}
    if subject == "content":
        return wants.contents
    if subject == "application":
        return set() if exchange.application is None else {exchange.application.name}
    return {"true" if request is not None and request.stream else "false"}


# What can serve the call, in order


def _ordered(
    gateway: Gateway,
    model: ModelRuntime,
    rule: routing.Rule | None,
    wants: Wants,
    asking: Asking,
) -> Iterator[tuple[DeploymentRuntime, str]]:
    fit = [one for one in model.deployments if _fits(one, model, rule, wants)]
    if not fit:
        return
    strategy = model.model.routing.strategy
    order, told = _STRATEGIES[type(strategy)](strategy, fit, gateway, model, wants)
    tokens = wants.estimate.tokens
    track = gateway.track
    spent = [one for one in order if track.exhausted(one.deployment, tokens)]
    ready = [one for one in order if one not in spent] if spent else order
    tried: list[str] = []
    for group, note in ((ready, ""), (spent, _SPENT)):
        while (deployment := gateway.balance.first(group, tried)) is not None:
            tried.append(deployment.id)
            yield deployment, told(deployment) + note


def _fits(
    one: DeploymentRuntime, model: ModelRuntime, rule: routing.Rule | None, wants: Wants
) -> bool:
    deployment, regions = one.deployment, model.model.routing.regions
    if rule is not None and rule.deployment_ids and one.id not in rule.deployment_ids:
        return False
    if regions and deployment.region not in regions:
        return False
    size = deployment.context_tokens
    if size is not None and wants.estimate.input_tokens // 2 > size:
        # The estimate counts each token twice (``proxy.ai.estimate``).
        return False
    return not deployment.abilities or wants.abilities() <= set(deployment.abilities)


Told = Callable[["DeploymentRuntime"], str]
Ordered = tuple[Sequence["DeploymentRuntime"], Told]


def _weighted(
    strategy: routing.Weighted,
    fit: list[DeploymentRuntime],
    gateway: Gateway,
    model: ModelRuntime,
    wants: Wants,
) -> Ordered:
    return _in_turn(fit, gateway, model), lambda one: "weighted"


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
    wants: Wants,
) -> Ordered:
    order = _in_turn(fit, gateway, model)
    order.sort(key=lambda one: one.deployment.priority)
    return order, lambda one: f"priority {one.deployment.priority}"


def _lowest_cost(
    strategy: routing.LowestCost,
    fit: list[DeploymentRuntime],
    gateway: Gateway,
    model: ModelRuntime,
    wants: Wants,
) -> Ordered:
    costs = {one.id: wants.estimate.cost_at(one.prices) for one in fit}

    def key(one: DeploymentRuntime) -> tuple[bool, int]:
        cost = costs[one.id]
        return cost is None, cost or 0

    def told(one: DeploymentRuntime) -> str:
        cost = costs[one.id]
        if cost is None:
            return "lowest cost: no price"
        return f"lowest cost: about {cost / 1e6:.6f} {one.prices.currency}"

    return sorted(_in_turn(fit, gateway, model), key=key), told


def _lowest_latency(
    strategy: routing.LowestLatency,
    fit: list[DeploymentRuntime],
    gateway: Gateway,
    model: ModelRuntime,
    wants: Wants,
) -> Ordered:
    track, first = gateway.track, strategy.measure == "first_token"

    def seconds(one: DeploymentRuntime) -> float:
        """What has not been seen yet is tried at once."""
        seen = track.of(one.id)
        if first:
            return seen.first_token or 0.0
        return 1 / seen.tokens_per_second if seen.tokens_per_second else 0.0

    order = _in_turn(fit, gateway, model)
    if strategy.explore and randrange(strategy.explore) == 0:
        return order, lambda one: "lowest latency: tried to see how quick it is"
    best = min(map(seconds, fit)) * (1 + strategy.within_percent / 100)
    order.sort(key=lambda one: 0.0 if seconds(one) <= best else seconds(one))

    def told(one: DeploymentRuntime) -> str:
        seen = track.of(one.id)
        if first and seen.first_token is not None:
            return f"lowest latency: first token in {seen.first_token * 1000:.0f} ms"
        if not first and seen.tokens_per_second is not None:
            return f"lowest latency: {seen.tokens_per_second:.0f} tokens a second"
        return "lowest latency: not yet seen"

    return order, told


def _least_busy(
    strategy: routing.LeastBusy,
    fit: list[DeploymentRuntime],
    gateway: Gateway,
    model: ModelRuntime,
    wants: Wants,
) -> Ordered:
    track = gateway.track
    order = _in_turn(fit, gateway, model)
    order.sort(key=lambda one: track.of(one.id).in_flight / one.weight)
    return order, lambda one: f"least busy: {track.of(one.id).in_flight} under way"


def _headroom(
    strategy: routing.Headroom,
    fit: list[DeploymentRuntime],
    gateway: Gateway,
    model: ModelRuntime,
    wants: Wants,
) -> Ordered:
    track: Track = gateway.track
    order = _in_turn(fit, gateway, model)
    order.sort(key=lambda one: -track.headroom(one.deployment))
    return order, lambda one: f"headroom: {track.headroom(one.deployment):.0%} left"


_STRATEGIES: dict[type, Callable[..., Ordered]] = {
    routing.Weighted: _weighted,
    routing.Priority: _priority,
    routing.LowestCost: _lowest_cost,
    routing.LowestLatency: _lowest_latency,
    routing.LeastBusy: _least_busy,
    routing.Headroom: _headroom,
}
