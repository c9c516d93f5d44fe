"""Providers, deployments and models of a tenant with what a call needs of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from time import time

from contract.quirks import Quirks
from contract.routing import Weighted
from contract.secrets import Sealer, SealError, provider_context
from contract.snapshot import AIModel, Deployment, Prices, Provider
from proxy.ai import reasons
from proxy.ai.compiled import Destination
from proxy.ai.declared import limits_of
from proxy.ai.strategies import turns
from proxy.balance import sequence

logger = logging.getLogger(__name__)


class ProviderRuntime:
    """``credential`` is in the clear and must not be logged; None where there is none."""

    __slots__ = ("credential", "destination", "id", "provider")

    def __init__(self, provider: Provider, credential: str | None) -> None:
        self.id = provider.id
        self.provider = provider
        self.credential = credential
        self.destination = Destination(provider, credential)


class DeploymentRuntime:
    """``turn`` and ``over``: what is said of it where turns are taken by weight, and of what is
    passed over for it then. ``key``: its name over all tenants; ``limits``: what it declares;
    ``quirks``: what it cannot be told in OpenAI's formats."""

    __slots__ = (
        "deployment",
        "id",
        "key",
        "limits",
        "over",
        "provider",
        "quirks",
        "turn",
        "weight",
    )

    def __init__(self, deployment: Deployment, provider: ProviderRuntime, tenant_id: str) -> None:
        self.id = deployment.id
        self.key = f"{tenant_id}:{deployment.id}"
        self.limits = limits_of(tenant_id, deployment)
        self.weight = deployment.weight
        self.deployment = deployment
        self.provider = provider
        self.quirks: Quirks | None = provider.destination.preset.quirks_of(
            deployment.based_on or deployment.model, deployment.quirks
        )
        self.turn = reasons.ONLY
        self.over = ""

    @property
    def prices(self) -> Prices:
        """Those that hold now."""
        return self.prices_at(time()) if self.deployment.later_prices else self.deployment.prices

    def prices_at(self, moment: float) -> Prices:
        """Those that hold at a Unix time, as far as they are known now."""
        prices = self.deployment.prices
        for later in self.deployment.later_prices:
            if later.since <= moment:
                prices = later
        return prices


class ModelRuntime:
    """``order`` is one round of the balancing over its deployments; ``plain``: that is all there is
    to know for choosing one; ``watched``: there is something to be seen to while it is called;
    ``means``: a rule that its calls may come to compares meanings (``find_meanings``); ``reach``:
    the ids of the other models that its calls may come to, ``further`` what their deployments cost,
    and ``several``: in more than one of all their accounts responses may be kept
    (``find_reach``)."""

    __slots__ = (
        *("deployments", "further", "id", "means", "model", "name", "order", "plain"),
        *("reach", "several", "watched"),
    )

    def __init__(
        self, model: AIModel, providers: dict[str, ProviderRuntime], tenant_id: str
    ) -> None:
        self.id = model.id
        self.name = model.name
        self.model = model
        self.deployments = tuple(
            DeploymentRuntime(item, providers[item.provider_id], tenant_id)
            for item in model.deployments
        )
        if len(self.deployments) > 1:
            self._tell_turns()
        self.order: tuple[DeploymentRuntime, ...] = sequence(self.deployments)
        routing = model.routing
        self.reach: tuple[str, ...] = ()
        self.further: tuple[Prices, ...] = ()
        self.several = False
        self.watched = routing.on_break != "error" or routing.compare_with != ""
        self.means = any(
            condition.embedding_model for rule in routing.rules for condition in rule.conditions
        )
        self.plain = (
            isinstance(routing.strategy, Weighted)
            and not (routing.rules or routing.fallbacks or routing.regions)
            and not any(map(_is_bounded, model.deployments))
        )

    def _tell_turns(self) -> None:
        all_ = self.deployments
        for one in all_:
            one.turn = f"weighted: {turns(one, all_)}"
            one.over = reasons.passed_over(
                (other for other in all_ if other is not one), lambda other: turns(other, all_)
            )


def find_meanings(models: Mapping[str, ModelRuntime]) -> None:
    """Settles ``means`` and with it ``watched``: rules and fallbacks lead to others' rules."""
    found = {id_ for id_, model in models.items() if model.means}
    more = found
    while more:
        more = {id_ for id_, model in models.items() if id_ not in found and found & _next(model)}
        found |= more
    for id_ in found:
        models[id_].means = models[id_].watched = True


def find_reach(models: Mapping[str, ModelRuntime]) -> None:
    """Settles ``reach``, ``further`` and ``several``."""
    for model in models.values():
        if len(model.deployments) == 1 and model.plain:
            continue
        reach = [model.id]
        for id_ in reach:  # It grows meanwhile.
            more = {other for other in _next(models[id_]) if other in models}
            reach += sorted(more.difference(reach))
        model.reach = tuple(reach[1:])
        model.further = tuple(one.prices for id_ in model.reach for one in models[id_].deployments)
        places = (one for id_ in reach for one in models[id_].deployments)
        model.several = len({one.provider.id for one in places if keeps(one)}) > 1


def keeps(one: DeploymentRuntime) -> bool:
    """It is asked for responses as they come, which its account may keep."""
    to = one.provider.destination
    return "responses" in to.wire.speaks(to, "chat")


def _next(model: ModelRuntime) -> set[str]:
    routing = model.model.routing
    return {*routing.fallbacks, *(rule.model_id for rule in routing.rules)}


def _is_bounded(deployment: Deployment) -> bool:
    """There are calls that it cannot serve."""
    return bool(deployment.abilities or deployment.context_tokens)


def credential(provider: Provider, tenant_id: str, sealer: Sealer | None) -> str | None:
    if provider.credential is None or sealer is None:
        return None
    try:
        return sealer.open(provider.credential, provider_context(tenant_id))
    except SealError as error:
        # One provider without a credential is no reason to refuse the whole snapshot.
        logger.error("Provider %s of tenant %s: %s", provider.id, tenant_id, error)
        return None
