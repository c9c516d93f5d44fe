"""From the tables of models and deployments to the contract's: prices and routing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from catalog import models, named_applications
from catalog.library import prices_known
from catalog.models.prices import PRICE_FIELDS, PriceColumns
from catalog.models.routing import Strategy
from contract import routing as contract
from contract.snapshot import Deployment, PicturePrice, Prices, PriceStep

_STRATEGIES: dict[str, contract.Strategy] = {
    Strategy.WEIGHTED: contract.Weighted(),
    Strategy.PRIORITY: contract.Priority(),
    Strategy.LOWEST_COST: contract.LowestCost(),
    Strategy.LEAST_BUSY: contract.LeastBusy(),
    Strategy.HEADROOM: contract.Headroom(),
}


def deployment(row: models.Deployment, changes: Sequence[models.PriceChange]) -> Deployment:
    """``changes``: in the order of their time."""
    return Deployment(
        id=str(row.pk),
        provider_id=str(row.provider_id),
        model=row.provider_model,
        weight=row.weight,
        prices=prices(row),
        later_prices=tuple(prices(change, int(change.since.timestamp())) for change in changes),
        priority=row.priority,
        region=row.region,
        context_tokens=row.context_tokens,
        max_output_tokens=row.max_output_tokens,
        abilities=tuple(sorted(row.abilities)),
        requests_per_minute=row.requests_per_minute,
        tokens_per_minute=row.tokens_per_minute,
        based_on=row.based_on,
        quirks=row.quirks,
    )


def prices(row: PriceColumns, since: int = 0) -> Prices:
    """``since``: Unix time."""
    units = {name.removesuffix("_price"): micros(getattr(row, name)) for name in PRICE_FIELDS}
    steps = tuple(
        PriceStep(step["unit"], int(step["above"]), micros(Decimal(str(step["price"]))) or 0)
        for step in row.price_steps
    )
    pictures = tuple(
        PicturePrice(one["size"], one["quality"], micros(Decimal(str(one["price"]))) or 0)
        for one in row.picture_prices
    )
    return Prices(
        **units,
        currency=row.currency,
        steps=steps,
        pictures=pictures,
        since=since,
        batch_percent=row.batch_percent,
    )


def in_force(row: models.Deployment, at: datetime | None = None) -> PriceColumns:
    """What holds the prices of then, or of now: the last change that has begun, or the deployment
    itself. Asks for ``price_changes``."""
    at = at or timezone.now()
    past = [change for change in row.price_changes.all() if change.since <= at]
    return max(past, key=lambda change: change.since, default=row)


def price_known(row: models.Deployment, currency: str | None = None) -> bool:
    """Whether calls to it have a cost now, in this currency or any. Asks for ``price_changes`` and
    ``model``."""
    current = prices(in_force(row))
    known = prices_known(current, row.model.abilities)
    return known and currency in (None, current.currency)


def micros(price: Decimal | None) -> int | None:
    """Exact: the column keeps six decimal places."""
    return None if price is None else int(price.scaleb(6))


def rules() -> QuerySet:
    return models.RoutingRule.objects.prefetch_related("deployments").order_by(
        "position", "created_at"
    )


def routing(
    row: models.AIModel,
    own: Sequence[models.RoutingRule],
    known: Collection[UUID],
    applications: Mapping[str, str],
) -> contract.Routing:
    """``known``: ids of the models that may be asked; others are left out. ``applications``: names
    by id of those that rules name."""
    askable = [one for one in own if one.target_id is None or one.target_id in known]
    return contract.Routing(
        strategy=_strategy(row),
        rules=tuple(_rule(one, applications) for one in askable),
        fallbacks=tuple(str(id_) for id_ in row.fallbacks if id_ in known and id_ != row.pk),
        unsupported=row.unsupported,
        regions=tuple(sorted(row.regions)),
        on_break=row.on_break,
        compare_with=str(row.compare_with_id) if row.compare_with_id in known else "",
    )


def _strategy(row: models.AIModel) -> contract.Strategy:
    if row.strategy in (Strategy.FIRST_TOKEN, Strategy.TOKENS_PER_SECOND):
        return contract.LowestLatency(row.strategy, row.within_percent, row.explore)
    return _STRATEGIES[row.strategy]


def _rule(row: models.RoutingRule, applications: Mapping[str, str]) -> contract.Rule:
    return contract.Rule(
        name=row.name,
        conditions=tuple(
            _condition(named_applications.told(condition, applications))
            for condition in row.conditions
        ),
        deployment_ids=tuple(sorted(str(one.pk) for one in row.deployments.all())),
        model_id="" if row.target_id is None else str(row.target_id),
    )


def _condition(said: dict) -> contract.Condition:
    return contract.Condition(
        subject=said["subject"],
        operator=said["operator"],
        values=tuple(str(value) for value in said["values"]),
        name=said.get("name", ""),
        least=int(said.get("least", 50)),
        embedding_model=said.get("embedding_model", ""),
    )


def embedding_models(rows: Iterable[models.RoutingRule]) -> set[str]:
    """The public names of those that the rules' conditions compare meanings with."""
    said = (condition.get("embedding_model", "") for row in rows for condition in row.conditions)
    return {name for name in said if name}
