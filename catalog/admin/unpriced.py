"""Deployments whose price is not known: calls to them have no cost, which is not a cost of 0."""

from __future__ import annotations

from catalog.ai_routing import price_known
from catalog.models import AIModel, Deployment

PREFETCH = ("deployments__provider", "deployments__price_changes")
LABELS = {"price unknown": "warning"}


def unpriced(model: AIModel) -> list[Deployment]:
    """Those in use. Asks for ``PREFETCH``."""
    found = []
    for row in model.deployments.all():
        row.model = model
        if row.enabled and not price_known(row):
            found.append(row)
    return found


def label(model: AIModel) -> str:
    """For the list of models."""
    if unpriced(model):
        return "price unknown"
    return "known" if any(row.enabled for row in model.deployments.all()) else "–"


def note(model: AIModel) -> str:
    """For the page of a model; empty where all prices are known."""
    places = ", ".join(f"{row.provider_model} at {row.provider}" for row in unpriced(model))
    if not places:
        return ""
    return f"Price unknown: {places}. Its calls are recorded without a cost."
