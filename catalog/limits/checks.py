"""What limits in a snapshot must be like before any gateway gets to see them."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from catalog.limits.counters import placed
from contract.policies import Limit
from contract.snapshot import TenantSnapshot

LONGEST_WINDOW = 31 * 86_400

# place ("" for the tenant) -> what a limit there can be counted for
_SCOPES = {
    "": ("tenant", "api", "application", "key", "user"),
    "api": ("api", "subscription", "key", "user"),
    "plan": ("plan", "subscription", "application", "key", "user"),
    "application": ("application", "subscription", "key", "user"),
    "key": ("key", "user"),
}


def problems(snapshot: TenantSnapshot) -> Iterator[str]:
    """A sentence for each limit that cannot be counted."""
    try:
        ZoneInfo(snapshot.time_zone)
    except (KeyError, ValueError, OSError):
        yield f"{snapshot.time_zone} is no time zone."
    names = {"": "the tenant"} | {
        row.id: f"{kind} {row.name}"
        for kind, rows in (
            ("the API", snapshot.apis),
            ("the plan", snapshot.plans),
            ("the application", snapshot.applications),
        )
        for row in rows
    }
    models = {model.id for model in snapshot.models}
    users = {api.id for api in snapshot.apis if api.user_from}
    for place, place_id, limit in placed(snapshot):
        where = f"A limit on {limit.measure} of {names.get(place_id, f'the API key {place_id}')}"
        for problem in _contradictions(limit):
            yield f"{where} {problem}."
        if limit.then == "cheaper" and limit.fallback not in models:
            yield f"{where} drops to a model that is not there."
        if limit.scope not in _SCOPES[place]:
            yield f"{where} cannot be counted for each {limit.scope}."
        elif place == "api" and limit.scope == "user" and place_id not in users:
            yield f"{where} is for each end user, but the API names no end users."


def _contradictions(limit: Limit) -> Iterator[str]:
    if limit.amount < 1:
        yield "lets nothing through"
    if limit.then == "cheaper" and limit.measure != "cost":
        yield "drops to another model, which only one on cost can"
    if limit.measure == "concurrency":
        if limit.window or limit.period:
            yield "counts calls at once, which have neither a window nor a period"
    elif limit.window and limit.period:
        yield "has both a window and a period"
    elif not limit.window and not limit.period:
        yield "has neither a window nor a period"
    elif not 0 <= limit.window <= LONGEST_WINDOW:
        yield "has a window of more than a month, which is to be at most 31 days"
