"""The use of limits, as tables and bars."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog.admin.cells import section
from catalog.limits import use as limit_use
from catalog.limits.counters import Counted, counted, named
from catalog.limits.policies import limit_policy, tier_policies
from catalog.limits.use import MOST, Use
from catalog.models import ApiKey, Application, Limit
from catalog.models.limits import quantity
from catalog.store import StoreError
from contract.policies import Limit as Policy
from contract.snapshot import TenantSnapshot
from tenants.models import Tenant

SHOWN = 10
"""Rows of an application's page."""

UNREADABLE = "The counters cannot be read now: Valkey does not answer."
NOBODY = {
    Limit.Per.USER: "Counted for each end user as it calls.",
    Limit.Per.SUBSCRIPTION: "No approved subscription.",
    Limit.Per.KEY: "No API key.",
}


def _in_force(tenant: Tenant) -> TenantSnapshot:
    """Remembered on the request's tenant, for a page with several tables. Raises StoreError."""
    if "_in_force" not in tenant.__dict__:
        tenant._in_force = limit_use.in_force(tenant)
    return tenant._in_force


class Uses:
    """The use of a page's limits, read in one go; ``problem`` where it cannot be read."""

    def __init__(self, tenant: Tenant, limits: Iterable[Limit]) -> None:
        self.problem = ""
        self._found: dict[tuple, list[Use]] = {}
        wanted = {_key(row) for row in limits}
        try:
            self.snapshot = _in_force(tenant)
            chosen: dict[tuple, list[Counted]] = {}
            for one in counted(self.snapshot):
                key = one.place, one.place_id, one.limit
                if key in wanted and len(chosen.setdefault(key, [])) < MOST:
                    chosen[key].append(one)
            every = [one for those in chosen.values() for one in those]
            for use in limit_use.read_all(self.snapshot, every):
                one = use.counted
                self._found.setdefault((one.place, one.place_id, one.limit), []).append(use)
        except StoreError:
            self.problem = UNREADABLE

    def of(self, row: Limit) -> list[Use]:
        """Fullest first."""
        return sorted(self._found.get(_key(row), []), key=lambda use: -use.share)

    def cell(self, row: Limit) -> str:
        """For a list: the fullest of the limit's counters."""
        if self.problem:
            return "cannot be read"
        uses = self.of(row)
        if not uses:
            return NOBODY.get(Limit.Per(row.per), "Not in force.")
        fullest = uses[0]
        if len(uses) == 1:
            return meter(fullest)
        if not fullest.share:
            return format_html('<span class="console-quiet">None of {} is used.</span>', len(uses))
        name = names_of(self.snapshot, [fullest])[fullest.counted.identifier]
        return format_html(
            '<span class="console-use">{}<span class="console-quiet">{}, the fullest of {}</span>'
            "</span>",
            meter(fullest),
            name,
            f"the first {MOST}" if len(uses) == MOST else len(uses),
        )


def _key(row: Limit) -> tuple:
    place_id = getattr(row, f"{row.place}_id") if row.place else ""
    return row.place, str(place_id), limit_policy(row)


def amount(use: Use, units: int) -> str:
    limit = use.counted.limit
    if limit.measure == "cost":
        return quantity("cost", Decimal(units).scaleb(-6), limit.currency)
    return f"{units:,}"


def meter(use: Use) -> SafeString:
    """A bar with its numbers; the bar is for the eye alone."""
    taken = use.used + use.reserved
    level = "full" if use.share >= 1 else "high" if use.share >= 0.8 else "low"
    return format_html(
        '<span class="console-meter console-meter-{}"><progress max="100" value="{}" '
        'aria-hidden="true"></progress><span>{} of {}</span></span>',
        level,
        min(100, round(use.share * 100)),
        amount(use, taken),
        amount(use, use.counted.limit.amount),
    )


def names_of(snapshot: TenantSnapshot, uses: Sequence[Use]) -> dict[str, str]:
    """What is counted, by id; keys by how they begin."""
    found = {"": "all calls", **named(snapshot)}
    keys = [use.counted.identifier for use in uses if use.counted.scope == "key"]
    found |= {str(key.pk): str(key) for key in ApiKey.objects.filter(pk__in=keys)}
    return {use.counted.identifier: found.get(use.counted.identifier, "deleted") for use in uses}


def limit_section(uses: Uses, row: Limit) -> dict[str, Any]:
    """Everything that one limit counts."""
    rows = [] if uses.problem else _rows(uses.snapshot, uses.of(row))
    none = NOBODY.get(Limit.Per(row.per), "The gateways do not count it yet.")
    return section("Use now", _HEADERS, rows, empty=uses.problem or none)


def application_section(tenant: Tenant, application: Application) -> dict[str, Any]:
    """Every limit on the application's calls, wherever it is set; the fullest first."""

    def chosen(snapshot: TenantSnapshot) -> list[Counted]:
        return limit_use.of_application(snapshot, str(application.pk))

    found = _section(tenant, "Limits on its calls", chosen, "Its calls are not limited.")
    if len(found["rows"]) > SHOWN:
        found["title"] += f": the {SHOWN} fullest of {len(found['rows'])}"
        found["rows"] = found["rows"][:SHOWN]
    return found


def tier_section(tenant: Tenant) -> dict[str, Any]:
    """What the platform's operator set for the whole tenant."""
    limits = [policy for policy in tier_policies(tenant) if isinstance(policy, Policy)]

    def chosen(snapshot: TenantSnapshot) -> list[Counted]:
        return [Counted(limit, "", "", "tenant", "", ()) for limit in limits]

    return _section(tenant, "Set by your account tier", chosen, "It sets no limits on calls.")


_HEADERS = ["Counted for", "Limit on", "Used", "Under way", "Left", "Starts again"]


def _section(
    tenant: Tenant, title: str, chosen: Callable[[TenantSnapshot], list[Counted]], empty: str
) -> dict[str, Any]:
    try:
        snapshot = _in_force(tenant)
        uses = limit_use.read_all(snapshot, chosen(snapshot)[:MOST])
    except StoreError:
        return section(title, _HEADERS, [], empty=UNREADABLE)
    uses.sort(key=lambda use: -use.share)
    return section(title, _HEADERS, _rows(snapshot, uses), empty=empty)


def _rows(snapshot: TenantSnapshot, uses: Sequence[Use]) -> list[list[Any]]:
    names = names_of(snapshot, uses)
    return [
        [
            _counted_for(use, names),
            _limit_text(use),
            meter(use),
            amount(use, use.reserved) if use.reserved else "–",
            amount(use, use.remaining),
            _again(use, snapshot.time_zone),
        ]
        for use in uses
    ]


def _counted_for(use: Use, names: dict[str, str]) -> str:
    one = use.counted
    scope = {"key": "API key", "api": "API"}.get(one.scope, one.scope.capitalize())
    if one.scope == "tenant":
        return "The whole tenant"
    return f"{scope}: {names[one.identifier]}"


def _limit_text(use: Use) -> str:
    limit = use.counted.limit
    windows = {1: "second", 60: "minute", 3600: "hour", 86_400: "24 hours"}
    if limit.period:
        return f"{_unit(use)} per calendar {limit.period}"
    return f"{_unit(use)} per {windows[limit.window]}" if limit.window else "calls at once"


def _unit(use: Use) -> str:
    limit = use.counted.limit
    return limit.currency if limit.measure == "cost" else limit.measure


def _again(use: Use, time_zone: str) -> str:
    if use.counted.limit.measure == "concurrency":
        return "as calls end"
    if use.resets_at is None:
        return "–"
    local = use.resets_at.astimezone(ZoneInfo(time_zone))
    if use.counted.limit.window:
        return f"bit by bit, by {date_format(local, 'H:i:s')}"
    return f"{date_format(local, 'j M, H:i')} ({time_zone})"
