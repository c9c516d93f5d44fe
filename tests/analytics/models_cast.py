"""Models of a tenant that are served here and there, and calls of them."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace
from typing import Any

from catalog.models import AIModel, Deployment, Provider
from tests.analytics.usage import happen

STREAM = {"streamed": True, "first_byte_us": 200_000, "total_us": 1_200_000}


def cast(tenant: Any) -> SimpleNamespace:
    """``fast`` is served by North, with a price, and by South, without; ``slow`` by South."""
    with tenant:
        north, south = (Provider.objects.create(name=name) for name in ("North", "South"))
        fast, slow = (
            AIModel.objects.create(name=name, abilities=["chat"]) for name in ("fast", "slow")
        )
        return SimpleNamespace(
            tenant=tenant,
            north=north,
            south=south,
            fast=fast,
            slow=slow,
            fast_north=Deployment.objects.create(
                model=fast,
                provider=north,
                provider_model="fast-1",
                region="EU",
                input_price="0.25",
                output_price="2",
            ),
            fast_south=Deployment.objects.create(
                model=fast, provider=south, provider_model="fast-s"
            ),
            slow_south=Deployment.objects.create(
                model=slow, provider=south, provider_model="slow-s", input_price=0, output_price=0
            ),
        )


def use(
    them: SimpleNamespace, deployment: Any, at: datetime, count: int = 1, **fields: Any
) -> None:
    """Calls that the deployment was asked for last."""
    given = {
        "model_id": deployment.model_id,
        "model": deployment.model.name,
        "provider_id": deployment.provider_id,
        "deployment_id": deployment.pk,
    }
    happen(them.tenant, at, count, **given | fields)
