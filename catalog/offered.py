"""The models that the tenant offers now: where each is served, and at what price."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db.models import Prefetch

from catalog.ai_routing import in_force, prices
from catalog.library import prices_known
from catalog.models import AIModel, Deployment
from catalog.models.prices import PriceColumns
from catalog.rule_words import apart_words
from catalog.target_states import seen

__all__ = ["Offered", "Place", "Price", "models", "seen"]


@dataclass(frozen=True)
class Price:
    """Of a million tokens; None where that is unknown."""

    input: Decimal | None
    output: Decimal | None
    currency: str
    known: bool
    """Whether calls can be given a cost. What makes no text needs no price for its output."""
    besides: str = ""
    """In words, what is billed otherwise than by the token."""


@dataclass(frozen=True)
class Place:
    """A deployment. ``name`` is the provider's for the model."""

    id: UUID
    name: str
    provider_id: UUID
    provider: str
    region: str
    in_use: bool
    price: Price


@dataclass(frozen=True)
class Offered:
    id: UUID
    name: str
    in_use: bool
    places: list[Place]


def models() -> list[Offered]:
    """All of the current tenant's, by name, with the prices that hold now."""
    deployments = (
        Deployment.objects.select_related("provider")
        .order_by("provider__name", "provider_model")
        .prefetch_related("price_changes")
    )
    rows = AIModel.objects.prefetch_related(Prefetch("deployments", queryset=deployments))
    return [
        Offered(row.pk, row.name, row.enabled, [_place(row, one) for one in row.deployments.all()])
        for row in rows
    ]


def _place(model: AIModel, row: Deployment) -> Place:
    return Place(
        id=row.pk,
        name=row.provider_model,
        provider_id=row.provider_id,
        provider=row.provider.name,
        region=row.region,
        in_use=row.enabled and row.provider.enabled and model.enabled,
        price=_price(in_force(row), model.abilities),
    )


def _price(row: PriceColumns, abilities: list[str]) -> Price:
    known = prices_known(prices(row), abilities)
    return Price(row.input_price, row.output_price, row.currency, known, apart_words(row))
