"""The names, now, of what records refer to by id."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.apps import apps

from analytics.models import UsageRecord

# Kind -> its model in the catalogue, and what the model's text asks for besides.
_KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "api": ("Api", ()),
    "route": ("Route", ("api",)),
    "application": ("Application", ()),
    "key": ("ApiKey", ()),
    "plan": ("Plan", ()),
    "model": ("AIModel", ()),
    "provider": ("Provider", ()),
    "deployment": ("Deployment", ("model", "provider")),
    "prompt": ("Prompt", ()),
}
KINDS = tuple(_KINDS)
"""What a record refers to; the field is the kind with ``_id``."""

Names = dict[str, dict[UUID, str]]


def names(kind: str, ids: Iterable[UUID]) -> dict[UUID, str]:
    """A name for every id: what the thing calls itself in the current tenant's schema.

    One that is not there is ``deleted (1a2b3c4d)``. Raises KeyError for an unknown kind. The
    catalogue cannot be read inside ``analytics.access.tenant_session``.
    """
    wanted = set(ids)
    model, related = _KINDS[kind]
    rows = apps.get_model("catalog", model).objects.select_related(*related)
    found = {row.pk: str(row) for row in rows.filter(pk__in=wanted)} if wanted else {}
    return {id_: found.get(id_) or f"deleted ({id_.hex[:8]})" for id_ in wanted}


def names_in(records: Iterable[UsageRecord], known: Names | None = None) -> Names:
    """By kind, the names of all that these records refer to; at most one query a kind.

    ``known`` are names from before, which are added to and returned. A model is called what
    it was called when the call was made.
    """
    found = {kind: {} for kind in KINDS} if known is None else known
    rows = list(records)
    for kind in KINDS:
        ids = {id_ for row in rows if (id_ := getattr(row, f"{kind}_id")) is not None}
        found[kind].update(names(kind, ids - found[kind].keys()))
    for row in rows:
        if row.model_id is not None and row.model:
            found["model"][row.model_id] = row.model
    return found
