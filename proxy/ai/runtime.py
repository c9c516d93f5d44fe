"""Providers, deployments and models of a tenant with what a call needs of them."""

from __future__ import annotations

import logging

from contract.secrets import Sealer, SealError, provider_context
from contract.snapshot import AIModel, Deployment, Provider
from proxy.ai.compiled import Destination
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
    __slots__ = ("deployment", "id", "provider", "weight")

    def __init__(self, deployment: Deployment, provider: ProviderRuntime) -> None:
        self.id = deployment.id
        self.weight = deployment.weight
        self.deployment = deployment
        self.provider = provider


class ModelRuntime:
    """``order`` is one round of the balancing over its deployments."""

    __slots__ = ("deployments", "id", "model", "name", "order")

    def __init__(self, model: AIModel, providers: dict[str, ProviderRuntime]) -> None:
        self.id = model.id
        self.name = model.name
        self.model = model
        self.deployments = tuple(
            DeploymentRuntime(item, providers[item.provider_id]) for item in model.deployments
        )
        self.order: tuple[DeploymentRuntime, ...] = sequence(self.deployments)


def credential(provider: Provider, tenant_id: str, sealer: Sealer | None) -> str | None:
    if provider.credential is None or sealer is None:
        return None
    try:
        return sealer.open(provider.credential, provider_context(tenant_id))
    except SealError as error:
        # One provider without a credential is no reason to refuse the whole snapshot.
        logger.error("Provider %s of tenant %s: %s", provider.id, tenant_id, error)
        return None
