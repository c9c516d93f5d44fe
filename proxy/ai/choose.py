"""Which deployments a call is tried at, in which order, and why.

A model's rules come first: the first that holds names some of its deployments, or another model.
Of these, those that cannot serve the call are left out: other regions, too little context,
abilities that they lack. The model's strategy puts the rest in order; what its provider's rate
limits would refuse, as far as it has told, comes last and is not asked. When all have failed, the
model's fallbacks are gone through in the same way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from contract import routing
from proxy.ai import reasons, traits
from proxy.ai.estimate import Estimate, input_tokens, output_tokens, without_answer
from proxy.ai.meaning import Untold
from proxy.ai.strategies import ordered, turns

if TYPE_CHECKING:
    from proxy.ai.asking import Asking
    from proxy.ai.middle import Request
    from proxy.ai.runtime import DeploymentRuntime, ModelRuntime
    from proxy.exchange import Exchange
    from proxy.gateway import Gateway
    from proxy.runtime import TenantRuntime

MOST_MODELS = 8
"""Models that one call may come to through rules and fallbacks."""
_GENERATES = ("chat", "count")
"""Operations whose requests say what a model is to answer: counting goes where that would."""


class Candidate(NamedTuple):
    """``why``, and what was passed over for it (``over``), are told in the usage record and, on
    request, in the answer's head. ``wait``: it is not to be asked for so many seconds."""

    model: ModelRuntime
    deployment: DeploymentRuntime
    why: str
    over: str = ""
    wait: float = 0.0


class Wants:
    """What a call needs of a deployment. Read from the request where it can be."""

    __slots__ = (
        *("_complexity", "_language", "alike", "contents", "estimate", "meant", "note", "request"),
        *("schema", "text"),
    )

    def __init__(self, asking: Asking) -> None:
        self.estimate = estimated(asking)
        self.meant: dict[routing.Condition, int] = {}
        """How near in meaning it is to the examples of those conditions where that was told."""
        self.alike: dict[routing.Condition, int] = {}
        """How near in words, as far as that was looked at."""
        self.note = ""
        """What is to be said of that, with ``; `` behind it."""
        self._complexity: int | None = None
        self._language: str | None = None
        self.text = ""
        self.contents: set[str] = set()
        self.schema = False
        self.request: Request | None = None
        if asking.door.operation in _GENERATES and asking.format in asking.formats:
            request = self.request = asking.request
            self.text = traits.question(request)
            self.contents = traits.contents(request, self.text)
            self.schema = request.output is not None and request.output.kind == "schema"

    @property
    def complexity(self) -> int:
        if self._complexity is None:
            request = self.request
            self._complexity = traits.complexity(request, self.text) if request else 0
        return self._complexity

    @property
    def language(self) -> str:
        if self._language is None:
            self._language = traits.language(self.text)
        return self._language

    def near(self, condition: routing.Condition) -> int:
        """How much alike an example it is, 0 to 100: in meaning where that was told."""
        if condition in self.meant:
            return self.meant[condition]
        near = self.alike.get(condition)
        if near is None:
            near = 0
            for value in condition.values:
                near = max(near, traits.likeness(self.text, value))
                if near >= condition.least:
                    break
            self.alike[condition] = near
        return near

    def abilities(self) -> set[str]:
        named = {"images": "vision", "audio": "audio", "files": "files", "tools": "tools"}
        needed = {named[content] for content in self.contents if content in named}
        return needed | {"json_schema"} if self.schema else needed


def estimated(asking: Asking) -> Estimate:
    body = asking.body
    if asking.door.operation == "chat":
        return Estimate(input_tokens(body), output_tokens(body), ())
    if asking.door.operation == "count":
        return Estimate(input_tokens(body), 0, ())
    return without_answer(body, asking.door.ability)


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
        only = model.order[0]
        if only.key not in gateway.track.low:
            return (Candidate(model, only, only.turn, only.over),)
    return _plain(gateway, model, asking)


def _plain(gateway: Gateway, model: ModelRuntime, asking: Asking) -> Iterator[Candidate]:
    """By weight: the commonest, and so the shortest."""
    tried: list[str] = []
    spent: dict[DeploymentRuntime, float] = {}
    several, track, output = len(model.deployments) > 1, gateway.track, 0
    if several or track.low:
        estimate = estimated(asking)
        asking.tokens, output = estimate.tokens, estimate.output_tokens
    while (deployment := gateway.balance.pick(model.id, model.order, tried)) is not None:
        tried.append(deployment.id)
        if wait := track.wait(deployment.key, asking.tokens, output):
            spent[deployment] = wait
        else:
            over = _not_now(gateway, model, tried, spent) if several else ""
            yield Candidate(model, deployment, deployment.turn, over)
    for deployment, wait in spent.items():
        yield Candidate(model, deployment, reasons.SPENT, wait=wait)


def _not_now(
    gateway: Gateway,
    model: ModelRuntime,
    tried: list[str],
    spent: Collection[DeploymentRuntime],
) -> str:
    """What was passed over for the last of ``tried``, where turns are taken by weight."""
    if len(tried) == 1 and not gateway.health.circuits:
        for one in model.deployments:
            if one.id == tried[0]:
                return one.over

    def because(one: DeploymentRuntime) -> str:
        if one in spent:
            return reasons.SPENT
        return turns(one, model.deployments) + reasons.ill(one, gateway.health)

    left = [one for one in model.deployments if one in spent or one.id not in tried]
    return reasons.passed_over(left, because)


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
    left = [(model, why_it, "")]
    tried: set[str] = set()
    while left and len(tried) < MOST_MODELS:
        current, how, missed = left.pop(0)
        if current.id in tried:
            continue
        tried.add(current.id)
        rule, others = _rule(exchange, current, wants)
        if others:
            missed += f"; rules of {current.name} that did not hold: {reasons.listed(others)}"
        if rule is not None:
            how += f"rule '{rule.name}' ({_because(rule, exchange, wants)})"
            if rule.model_id in tenant.models_by_id:
                other = tenant.models_by_id[rule.model_id]
                how += f" asks {other.name} in place of {current.name}; "
                left.insert(0, (other, how, missed))
                continue
            how += "; "
        fit, unfit = _split(current, rule, wants)
        waits = _waits(gateway, fit, wants.estimate)
        for deployment, reason, over in _ordered(gateway, current, fit, unfit, waits, wants):
            yield Candidate(current, deployment, f"{wants.note}{how}{reason}", over + missed)
        for deployment in fit:
            if deployment.id in waits:
                yield Candidate(current, deployment, reasons.SPENT, wait=waits[deployment.id])
        why = f"fallback of {current.name}; "
        if not fit and unfit:
            why = f"fallback of {current.name}, of which none fits{_told(current, unfit)}; "
        for fallback in current.model.routing.fallbacks:
            if fallback in tenant.models_by_id:
                left.append((tenant.models_by_id[fallback], why, ""))


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


def _rule(
    exchange: Exchange, model: ModelRuntime, wants: Wants
) -> tuple[routing.Rule | None, list[str]]:
    """The one that holds, and the names of those before it."""
    missed: list[str] = []
    for rule in model.model.routing.rules:
        if all(_holds(condition, exchange, wants) for condition in rule.conditions):
            return rule, missed
        missed.append(rule.name + _how_near(rule, wants))
    return None, missed


def _how_near(rule: routing.Rule, wants: Wants) -> str:
    """Of a rule that did not hold, how near it came in likeness where that was looked at."""
    for condition in rule.conditions:
        if condition in wants.meant or condition in wants.alike:
            return f" ({wants.near(condition)} % alike)"
    return ""


def _because(rule: routing.Rule, exchange: Exchange, wants: Wants) -> str:
    """What the call has that each of its conditions asks for. What clients say in headers and
    metadata is not repeated: it may be secret."""
    return ", ".join(_found(one, exchange, wants) for one in rule.conditions) or "always"


def _found(condition: routing.Condition, exchange: Exchange, wants: Wants) -> str:
    subject = condition.subject
    if subject in ("header", "metadata"):
        return f"{subject} {condition.name}"
    if subject == "prompt_tokens":
        return f"prompt estimated at {wants.estimate.input_tokens} tokens"
    if subject == "complexity":
        return f"complexity {wants.complexity}"
    if subject == "similarity":
        return f"{wants.near(condition)} % alike"
    if subject == "stream":
        return "stream" if condition.values == ("true",) else "no stream"
    found = _values(condition, exchange, wants)
    if subject == "content":
        named = found.intersection(condition.values)
        return ", ".join(sorted(named) or [f"no {value}" for value in condition.values])
    return f"{subject} {', '.join(found) or 'unknown'}"


def _holds(condition: routing.Condition, exchange: Exchange, wants: Wants) -> bool:
    subject, values = condition.subject, condition.values
    if subject == "similarity":
        if condition.embedding_model and not wants.note and condition not in wants.meant:
            wants.note = f"by words, as {condition.embedding_model} was not asked; "
        return wants.near(condition) >= condition.least
    if subject in ("prompt_tokens", "complexity"):
        number = wants.estimate.input_tokens
        if subject == "complexity":
            number = wants.complexity
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
        return {wants.language}
    if subject == "content":
        return wants.contents
    if subject == "application":
        return set() if exchange.application is None else {exchange.application.name}
    return {"true" if request is not None and request.stream else "false"}


# What can serve the call, in order


def _split(
    model: ModelRuntime, rule: routing.Rule | None, wants: Wants
) -> tuple[list[DeploymentRuntime], dict[str, str]]:
    """The deployments that can serve the call, and by id what is wrong with the others."""
    fit, unfit = [], {}
    for one in model.deployments:
        if problem := why_unfit(one, model, rule, wants):
            unfit[one.id] = problem
        else:
            fit.append(one)
    return fit, unfit


def why_unfit(
    one: DeploymentRuntime, model: ModelRuntime, rule: routing.Rule | None, wants: Wants
) -> str:
    """Why it cannot serve the call; empty where it can."""
    deployment, regions = one.deployment, model.model.routing.regions
    if rule is not None and rule.deployment_ids and one.id not in rule.deployment_ids:
        return "not named by the rule"
    if regions and deployment.region.lower() not in map(str.lower, regions):
        return f"in {deployment.region or 'no region'}, not in {' or '.join(regions)}"
    size = deployment.context_tokens
    if size is not None and wants.estimate.input_tokens // 2 > size:
        # The estimate counts each token twice (``proxy.ai.estimate``).
        return f"context of {size} tokens for about {wants.estimate.input_tokens // 2}"
    if deployment.abilities and (lacks := wants.abilities().difference(deployment.abilities)):
        return f"lacks {', '.join(sorted(lacks))}"
    return ""


def _told(model: ModelRuntime, unfit: Mapping[str, str]) -> str:
    """Of a model that none of its deployments can stand for."""
    told = [f"{reasons.name(one)}: {unfit[one.id]}" for one in model.deployments]
    return f" ({reasons.listed(told)})"


def _waits(
    gateway: Gateway, fit: Iterable[DeploymentRuntime], estimate: Estimate
) -> dict[str, float]:
    """By id, of those that take calls and whose provider's limits would refuse this one now:
    seconds until they may not."""
    found = {}
    for one in fit:
        wait = gateway.track.wait(one.key, estimate.tokens, estimate.output_tokens)
        if wait and one.weight and gateway.health.healthy(one.id):
            found[one.id] = wait
    return found


def _ordered(
    gateway: Gateway,
    model: ModelRuntime,
    fit: list[DeploymentRuntime],
    unfit: Mapping[str, str],
    waits: Mapping[str, float],
    wants: Wants,
) -> Iterator[tuple[DeploymentRuntime, str, str]]:
    """Those that need not wait, each with why it is asked, and what is passed over for it."""
    if not fit:
        return
    order, reason, figure = ordered(fit, gateway, model, wants.estimate)
    ready = [one for one in order if one.id not in waits] if waits else order

    def because(one: DeploymentRuntime) -> str:
        if one.id in unfit:
            return unfit[one.id]
        if not one.weight:
            return "weight 0"
        used_up = f", {reasons.SPENT}" if one.id in waits else ""
        return figure(one) + used_up + reasons.ill(one, gateway.health)

    tried: list[str] = []
    while (deployment := gateway.balance.first(ready, tried)) is not None:
        tried.append(deployment.id)
        why = f"{reason}{figure(deployment)}"
        if len(fit) == 1:
            why = reasons.ONLY_FIT if unfit else reasons.ONLY
        left = [one for one in model.deployments if one.id not in tried]
        yield deployment, why, reasons.passed_over(left, because)
