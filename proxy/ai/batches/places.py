"""Where files and batches are: deployments whose providers take them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from proxy.ai.batches.errors import BatchesUnavailable
from proxy.ai.batches.marks import Marks
from proxy.ai.errands import Errand, Place

if TYPE_CHECKING:
    from proxy.exchange import Exchange
    from proxy.gateway import Gateway
    from proxy.runtime import DeploymentRuntime, ModelRuntime


def takes(deployment: DeploymentRuntime) -> bool:
    to = deployment.provider.destination
    return bool(to.wire.speaks(to, "batches"))


class Desk(Errand):
    """What one call needs to know of its application's files and batches."""

    def __init__(self, exchange: Exchange, gateway: Gateway, found: Iterator[Place]) -> None:
        """``found``: all deployments of models that the application may use."""
        super().__init__(exchange, gateway)
        signer = gateway.batches.signer
        if signer is None:
            raise BatchesUnavailable("The gateway has no secret to sign ids with.")
        usable = list(found)
        self.places = {place.deployment.id: place for place in usable if takes(place.deployment)}
        self._models = {place.model.id for place in usable}
        self.marks = Marks(signer, self.tenant.id, self.application_id)

    def uses(self, model: ModelRuntime) -> bool:
        """The application may."""
        return model.id in self._models
