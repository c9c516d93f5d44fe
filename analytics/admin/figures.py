"""The dashboard's cards and tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from analytics.admin import text
from analytics.admin.choices import LABELS
from analytics.admin.state import State
from analytics.queries import Group, Totals

WORSE, BETTER, NEUTRAL = "worse", "better", ""


@dataclass(frozen=True)
class Card:
    """A figure with its change against the period before and the calls behind it."""

    label: str
    value: str
    url: str
    change: str = ""
    tone: str = NEUTRAL
    note: str = ""
    note_url: str = ""


def calls_url(state: State, **changes: Any) -> str:
    """The call log for a state."""
    return reverse("usage:calls") + state.query(**changes)


def cards(state: State, now: Totals, before: Totals) -> list[Card]:
    url = calls_url(state)
    return [
        Card(
            "Calls",
            text.short(now.calls),
            url,
            text.change(now.calls, before.calls),
            note=f"{text.count(now.limited)} over a limit" if now.limited else "",
            note_url=calls_url(state, status=429),
        ),
        _errors(state, now, before),
        *(
            Card(
                label,
                text.duration(value),
                calls_url(state, slower_ms=f"{(value or 0) / 1000:g}"),
                text.change(value, old),
                _tone(value, old),
            )
            for label, value, old in (
                ("Median latency", now.p50_us, before.p50_us),
                ("95th percentile", now.p95_us, before.p95_us),
                ("99th percentile", now.p99_us, before.p99_us),
            )
        ),
        *(
            Card(label, text.short(value), url, text.change(value, old))
            for label, value, old in (
                ("Tokens in", now.input_tokens, before.input_tokens),
                ("Tokens out", now.output_tokens, before.output_tokens),
            )
        ),
        *_costs(state, now, before),
        *_savings(state, now, before),
    ]


def _errors(state: State, now: Totals, before: Totals) -> Card:
    difference = 100 * (now.server_error_rate - before.server_error_rate)
    told = bool(now.calls and before.calls)
    return Card(
        "Error rate",
        text.share(now.server_errors, now.calls),
        calls_url(state, **{"class": 5}),
        f"{difference:+.1f} points" if told and abs(difference) >= 0.05 else "±0" if told else "",
        (WORSE if difference > 0 else BETTER) if told and abs(difference) >= 0.05 else NEUTRAL,
        note=f"4xx: {text.share(now.client_errors, now.calls)}" if now.calls else "",
        note_url=calls_url(state, **{"class": 4}),
    )


def _costs(state: State, now: Totals, before: Totals) -> list[Card]:
    """One for each currency."""
    calls = "call" if now.unpriced == 1 else "calls"
    note = f"{text.count(now.unpriced)} {calls} without a price" if now.unpriced else ""
    currencies = sorted(currency for currency in now.cost if currency) or [""]
    return [_cost(state, now, before, currency, note) for currency in currencies]


def _cost(state: State, now: Totals, before: Totals, currency: str, note: str) -> Card:
    micros = now.cost.get(currency)
    if now.unpriced and not micros:
        micros = None  # It is not nothing: it is unknown.
    return Card(
        f"Cost, {currency}" if currency else "Cost",
        text.money(micros),
        calls_url(state),
        text.change(micros, before.cost.get(currency)),
        note=note,
    )


def _savings(state: State, now: Totals, before: Totals) -> list[Card]:
    """One for each currency in which models that are compared with others saved something."""
    return [
        Card(
            f"Saved, {currency}",
            text.money(saved),
            calls_url(state),
            text.change(saved, before.saved.get(currency)),
            note=f"{text.share(saved, saved + spent)} of what it would have cost"
            if (spent := now.cost.get(currency, 0)) and saved > 0
            else "",
        )
        for currency, saved in sorted(now.saved.items())
    ]


def _tone(now: int | None, before: int | None) -> str:
    """Of a figure that should be small; changes under a twentieth have none."""
    if now is None or not before or abs(now - before) < before / 20:
        return NEUTRAL
    return WORSE if now > before else BETTER


def table(state: State, by: str, groups: list[Group]) -> dict[str, Any]:
    """The largest groups with a bar each, as long as its share of the largest."""
    most = max((group.totals.calls for group in groups), default=0)
    return {
        "title": f"Top {LABELS[by] + 's' if by == 'api' else LABELS[by].lower() + 's'}",
        "column": LABELS[by],
        "rows": [
            {
                "name": group.name,
                "url": calls_url(state, **{by: group.id}),
                "focus": reverse("admin:index") + state.query(**{by: group.id}),
                "calls": text.short(group.totals.calls),
                "share": round(group.totals.calls / most, 3) if most else 0,
                "errors": text.share(group.totals.server_errors, group.totals.calls),
                "errors_url": calls_url(state, **{by: group.id, "class": 5}),
                "erring": group.totals.server_errors > 0,
                "p95": text.duration(group.totals.p95_us),
                "cost": text.costs(group.totals.cost, group.totals.unpriced),
            }
            for group in groups
        ],
    }
