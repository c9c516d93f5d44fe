"""What can be chosen in the filters: the tenant's own APIs, applications, models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.apps import apps

from analytics.admin.state import State
from analytics.names import names
from analytics.queries import DIMENSIONS, NOTHING, Filters

MOST = 500
"""A longer list is cut; what is chosen is in it whatever its place."""
ALWAYS = ("api", "application", "model")
"""The others appear only where the address filters by them."""
_MODELS = {
    "api": "Api",
    "application": "Application",
    "plan": "Plan",
    "model": "AIModel",
    "provider": "Provider",
    "deployment": "Deployment",
    "prompt": "Prompt",
}
LABELS = {
    "api": "API",
    "application": "Application",
    "plan": "Plan",
    "model": "Model",
    "provider": "Provider",
    "deployment": "Deployment",
    "prompt": "Prompt",
}


@dataclass(frozen=True)
class Choice:
    """A select: ``options`` are (what stands in the address, name, chosen)."""

    name: str
    label: str
    options: list[tuple[str, str, bool]]


def choices(filters: Filters, always: Sequence[str] = ALWAYS) -> list[Choice]:
    """A select for each filter that is ``always`` there, or set; must be called in the tenant's
    schema."""
    return [
        Choice(name, LABELS[name], _options(name, getattr(filters, name)))
        for name in DIMENSIONS
        if name in always or getattr(filters, name) is not None
    ]


def carried(state: State, *asked: str) -> list[tuple[str, str]]:
    """What a filter form must carry on unseen. A range of its own is in its two inputs."""
    return state.hidden("from", "to", *DIMENSIONS, *asked)


def _options(name: str, chosen: UUID | None) -> list[tuple[str, str, bool]]:
    model: Any = apps.get_model("catalog", _MODELS[name])
    if name == "deployment":
        ordered = model.objects.select_related("model", "provider")
        ordered = ordered.order_by("model__name", "provider__name")
    else:
        ordered = model.objects.order_by("name")
    rows = {row.pk: str(row) for row in ordered[:MOST]}
    if chosen is not None and chosen != NOTHING and chosen not in rows:
        rows |= names(name, [chosen])
    known = [(str(pk), text, pk == chosen) for pk, text in rows.items()]
    return [("none", "None", chosen == NOTHING), *known]
