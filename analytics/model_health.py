"""How the tenant's models and their deployments are: health now, and figures over a range.

Figures come from the roll-ups alone, so that they cost the same however many calls there were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from analytics.catalogue import Offered, Place, Seen, catalogue
from analytics.names import names
from analytics.queries import NOTHING, Axis, Filters, Point, Range, Totals, cover
from analytics.queries.intervals import add_up_along, points
from analytics.queries.ranges import ceil, floor, kept_since
from analytics.queries.sums import add_up

HEALTH = ("down", "degraded", "unknown", "healthy", "off", "deleted")
"""Worst first. ``degraded``: in use, and something is held against it, or against some of its
deployments. ``unknown``: what workers tell cannot be read. ``off``: switched off."""
ATTENTION = frozenset({"down", "degraded"})

_OF_STATE = {
    "down": "down",
    "open": "down",
    "half-open": "degraded",
    "resting": "degraded",
    "failing": "degraded",
    "healthy": "healthy",
}
_BARS = 32
_TRENDS = [
    (source, timedelta(minutes=minutes))
    for source, minutes in (
        *(("minute", minutes) for minutes in (1, 2, 5, 10, 30)),
        *(("hour", 60 * hours) for hours in (1, 2, 3, 6, 12)),
        *(("day", 1440 * days) for days in (1, 2, 3, 7, 14, 30, 90, 365)),
    )
]
"""What one point of a trend can stand for, and the roll-ups it is put together from."""


@dataclass(frozen=True)
class Line:
    """What is told of a model or a deployment. ``health`` is one of ``HEALTH``; empty where
    there is nothing that could be healthy, as for calls that no deployment was asked for."""

    id: UUID
    name: str
    health: str
    totals: Totals
    trend: list[Point] = field(default_factory=list)

    @property
    def cost(self) -> dict[str, int] | None:
        """Micro-units by currency; None where all that is known is that it is unknown."""
        if not self.totals.unpriced:
            return self.totals.cost
        return {name: micros for name, micros in self.totals.cost.items() if micros} or None


@dataclass(frozen=True)
class DeploymentLine(Line):
    place: Place | None = None
    """None where it is deleted, or for the calls that had none."""
    seen: Sequence[Seen] = ()
    """The worst opinion first; none where all is well as far as workers know."""


@dataclass(frozen=True)
class ModelLine(Line):
    deployments: list[DeploymentLine] = field(default_factory=list)

    @property
    def unpriced_now(self) -> bool:
        """Whether a deployment in use has no price."""
        places = [line.place for line in self.deployments if line.place is not None]
        return any(place.in_use and not place.price.known for place in places)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which models, in which order. ``health`` is one of ``HEALTH``, or ``attention``."""

    q: str = ""
    health: str = ""
    unpriced: bool = False
    sort: str = "calls"
    ascending: bool | None = None
    """None: as it is most useful, the worst or largest first."""
    page: int = 1
    page_size: int = 50


@dataclass(frozen=True)
class Overview:
    lines: list[ModelLine]
    """Of the page."""
    count: int
    """On all pages."""
    offered: int
    """Models that there are, whatever was asked for."""
    page: int
    pages: int
    calls: int
    """Of all models, also of those that ``Wanted`` leaves out."""
    covered: Range
    along: Axis
    step: timedelta
    """What one point of a trend stands for."""


def _worst(line: Line) -> int | None:
    return HEALTH.index(line.health) if line.health else None


SORTS: dict[str, tuple[Callable[[Line], Any], bool]] = {
    "name": (lambda line: line.name.lower(), True),
    "health": (_worst, True),
    "calls": (lambda line: line.totals.calls, False),
    "errors": (lambda line: line.totals.server_error_rate if line.totals.calls else None, False),
    "p50": (lambda line: line.totals.p50_us, False),
    "p95": (lambda line: line.totals.p95_us, False),
    "first_token": (lambda line: line.totals.p50_first_token_us, False),
    "speed": (lambda line: line.totals.tokens_per_second, True),
    "cost": (lambda line: sum(line.cost.values()) if line.cost else None, False),
}
"""What lines are sorted by, and whether the smallest come first unless it is asked otherwise.
Lines without such a figure come last either way."""


def overview(
    tenant_id: UUID,
    rng: Range,
    filters: Filters,
    wanted: Wanted,
    trend: Sequence[str] = ("calls", "server_errors"),
) -> Overview:
    """Must be called in the tenant's schema. Filters by model, provider and deployment leave
    other lines out; all others narrow the figures only. ``trend``: the sums that its points have.
    """
    filters = replace(filters, any_model=True)
    offered = catalogue().models()
    seen = catalogue().seen(tenant_id)
    covered = cover(rng)
    found = add_up(tenant_id, covered, filters, keys=["model_id", "deployment_id"])
    lines = [line for line in _lines(offered, seen, filters, found) if _matches(line, wanted)]
    lines = ordered(lines, wanted)
    pages = max(1, -(-len(lines) // wanted.page_size))
    page = min(max(wanted.page, 1), pages)
    shown = lines[(page - 1) * wanted.page_size : page * wanted.page_size]
    along, step = trend_axis(rng)
    return Overview(
        lines=_with_trends(tenant_id, shown, filters, along, wanted, trend),
        count=len(lines),
        offered=len(offered),
        page=page,
        pages=pages,
        calls=sum(totals.calls for totals in found.values()),
        covered=covered,
        along=along,
        step=step,
    )


def trend_axis(rng: Range) -> tuple[Axis, timedelta]:
    """At most ``_BARS`` points, give or take one, the last of which may be cut short."""
    for source, step in _TRENDS:
        if rng.length <= step * _BARS and (source == "day" or rng.start >= kept_since(source)):
            break
    start, end = floor(rng.start, source), ceil(rng.end, source)
    count = -(-(end - start) // step)
    return Axis(tuple(start + step * place for place in range(count)), end, source), step


def ordered(lines: Iterable[Any], wanted: Wanted) -> list[Any]:
    key, ascending = SORTS[wanted.sort]
    if wanted.ascending is not None:
        ascending = wanted.ascending
    by_name = sorted(lines, key=lambda line: line.name.lower())
    known = [line for line in by_name if key(line) is not None]
    unknown = [line for line in by_name if key(line) is None]
    return sorted(known, key=key, reverse=not ascending) + unknown


def _matches(line: ModelLine, wanted: Wanted) -> bool:
    if wanted.q and not any(
        wanted.q.lower() in name.lower()
        for name in (line.name, *(one.name for one in line.deployments))
    ):
        return False
    if wanted.unpriced and not (line.unpriced_now or line.totals.unpriced):
        return False
    if not wanted.health:
        return True
    asked = ATTENTION if wanted.health == "attention" else {wanted.health}
    return any(one.health in asked for one in (line, *line.deployments))


def _lines(
    offered: Sequence[Offered],
    seen: Any,
    filters: Filters,
    found: dict[tuple[UUID, UUID], Totals],
) -> Iterable[ModelLine]:
    """Of the models that there are, and of those that were called and are no more."""
    called: dict[UUID, dict[UUID, Totals]] = {}
    for (model, deployment), totals in found.items():
        called.setdefault(model, {})[deployment] = totals
    deleted = names("model", called.keys() - {model.id for model in offered})
    named = {place.id: _name(place) for model in offered for place in model.places}
    named[NOTHING] = "No deployment"
    gone = {id_ for by_place in called.values() for id_ in by_place} - named.keys()
    named |= names("deployment", gone)
    for model in offered:
        if filters.model not in (None, model.id):
            continue
        places = [place for place in model.places if _asked(place, filters)]
        sums = called.get(model.id, {})
        narrowed = filters.provider is not None or filters.deployment is not None
        if not (places or sums) and narrowed:
            continue
        lines = [_deployment(place, seen, sums.get(place.id)) for place in places]
        lines += _placeless(sums, {place.id for place in places}, named)
        health = _model_health(model, lines)
        yield ModelLine(model.id, model.name, health, _sum(sums), deployments=lines)
    for id_, name in deleted.items():
        lines = _placeless(called[id_], set(), named)
        yield ModelLine(id_, name, "deleted", _sum(called[id_]), deployments=lines)


def _asked(place: Place, filters: Filters) -> bool:
    return filters.provider in (None, place.provider_id) and filters.deployment in (None, place.id)


def _name(place: Place) -> str:
    return f"{place.provider} · {place.name}"


def _deployment(place: Place, seen: Any, totals: Totals | None) -> DeploymentLine:
    opinions = (seen or {}).get(str(place.id), [])
    if not place.in_use:
        health, opinions = "off", []
    elif seen is None:
        health = "unknown"
    else:
        health = _OF_STATE[opinions[0].state] if opinions else "healthy"
    return DeploymentLine(
        place.id, _name(place), health, totals or Totals(), place=place, seen=opinions
    )


def _placeless(
    sums: dict[UUID, Totals], known: set[UUID], named: dict[UUID, str]
) -> Iterable[DeploymentLine]:
    for id_, totals in sums.items():
        if id_ not in known:
            health = "" if id_ == NOTHING else "deleted"
            yield DeploymentLine(id_, named[id_], health, totals)


def _model_health(model: Offered, lines: Sequence[DeploymentLine]) -> str:
    if not model.in_use:
        return "off"
    states = {line.health for line in lines if line.place is not None and line.place.in_use}
    if states <= {"down"}:  # none at all, too: calls are answered with an error
        return "down"
    if "unknown" in states:
        return "unknown"
    return "healthy" if states == {"healthy"} else "degraded"


def _sum(sums: dict[UUID, Totals]) -> Totals:
    return sum(sums.values(), Totals())


def _with_trends(
    tenant_id: UUID,
    lines: list[ModelLine],
    filters: Filters,
    along: Axis,
    wanted: Wanted,
    sums: Sequence[str],
) -> list[ModelLine]:
    ids = [line.id for line in lines]
    if not any(line.totals.calls for line in lines):
        found = {}
    else:
        by, only = ["model_id", "deployment_id"], ("model_id", ids)
        found = add_up_along(tenant_id, along, filters, by=by, only=only, sums=sums)

    def whole(line: ModelLine) -> ModelLine:
        places = [
            replace(place, trend=points(along, found, line.id, place.id))
            for place in ordered(line.deployments, wanted)
        ]
        trend = [
            Point(start, sum((place.trend[number].totals for place in places), Totals()))
            for number, start in enumerate(along.starts)
        ]
        return replace(line, trend=trend, deployments=places)

    return [whole(line) for line in lines]
