"""What the tenant offers and how gateways see it: ``catalog.offered``, which this app may not
import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Protocol
from uuid import UUID


class Price(Protocol):
    input: Decimal | None
    output: Decimal | None
    currency: str
    known: bool
    besides: str


class Place(Protocol):
    """A deployment of a model."""

    id: UUID
    name: str
    provider_id: UUID
    provider: str
    region: str
    in_use: bool
    price: Price


class Offered(Protocol):
    """A model."""

    id: UUID
    name: str
    in_use: bool
    places: Sequence[Place]


class Seen(Protocol):
    """Something in the eyes of one gateway worker."""

    worker: str
    host: str
    state: str


class Catalogue(Protocol):
    def models(self) -> Sequence[Offered]: ...

    def seen(self, tenant_id: object) -> Mapping[str, Sequence[Seen]] | None: ...


_catalogue: list[Catalogue] = []


def read_from(source: Catalogue) -> None:
    """Says once, when the program starts, where the catalogue is."""
    _catalogue[:] = [source]


def catalogue() -> Catalogue:
    return _catalogue[0]
