"""What the dashboard's charts draw, as plain data for ``usage.js``.

A point's address leads to the calls behind it, the same for every chart: ``urls`` has one for
each place on the time axis, and a line may add a parameter of its own (``more``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.utils.timezone import localtime

from analytics.admin import text
from analytics.admin.figures import calls_url
from analytics.admin.state import EPOCH, State, as_text
from analytics.queries import Point, Totals

STEPS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}


@dataclass(frozen=True)
class Drawn:
    """A point of a series with what takes a while to find out."""

    start: datetime
    totals: Totals
    latency: list[int | None]
    """Median, 95th and 99th percentile in microseconds."""
    url: str
    """Of the calls behind it."""


def drawn(state: State, points: list[Point], interval: str) -> list[Drawn]:
    step = STEPS[interval]
    address = calls_url(state, start=EPOCH, end=EPOCH).replace(_query(EPOCH, EPOCH), "{}")
    return [
        Drawn(
            point.start,
            point.totals,
            point.totals.percentiles(0.5, 0.95, 0.99),
            address.replace("{}", _query(point.start, point.start + step)),
        )
        for point in points
    ]


def charts(points: list[Drawn], interval: str) -> dict[str, Any]:
    """``labels`` and ``urls`` by point, and for each chart its lines."""
    totals = [point.totals for point in points]
    latencies = [[_milliseconds(value) for value in point.latency] for point in points]
    return {
        "labels": [_label(point.start, interval, len(points)) for point in points],
        "titles": [text.moment(point.start) for point in points],
        "urls": [point.url for point in points],
        "charts": {
            "calls": [
                line("2xx, 3xx", [t.calls - t.errors for t in totals], "good"),
                line("4xx", [t.client_errors for t in totals], "warn", "class=4"),
                line("5xx", [t.server_errors for t in totals], "bad", "class=5"),
            ],
            "latency": [
                line(label, [values[place] for values in latencies], colour)
                for place, (label, colour) in enumerate(
                    (("Median", "first"), ("95 %", "second"), ("99 %", "third"))
                )
            ],
            "tokens": [
                line("In", [t.input_tokens for t in totals], "first"),
                line("Out", [t.output_tokens for t in totals], "second"),
            ],
            "cost": _money([one.cost for one in totals]),
            "saved": _money([one.saved for one in totals]),
        },
    }


def _money(sums: list[dict[str, int]]) -> list[dict[str, Any]]:
    """A line for each currency."""
    currencies = sorted({currency for one in sums for currency in one})
    colours = ("first", "second", "third") * len(currencies)
    return [
        line(currency, [one.get(currency, 0) / 1_000_000 for one in sums], colour)
        for currency, colour in zip(currencies, colours, strict=False)
    ]


def line(label: str, values: list[Any], colour: str, more: str = "") -> dict[str, Any]:
    """``colour`` names one of the theme's in ``usage.js``; ``more`` is added to addresses."""
    return {"label": label, "values": values, "colour": colour, "more": more}


def rows(points: list[Drawn]) -> list[dict[str, str]]:
    """The same points as a table, for those whom a chart tells nothing. Latest first."""
    return [
        {
            "when": text.moment(point.start),
            "url": point.url,
            "calls": text.count(point.totals.calls),
            "client_errors": text.count(point.totals.client_errors),
            "server_errors": text.count(point.totals.server_errors),
            "p50": text.duration(point.latency[0]),
            "p95": text.duration(point.latency[1]),
            "p99": text.duration(point.latency[2]),
            "tokens": f"{text.short(point.totals.input_tokens)} / "
            f"{text.short(point.totals.output_tokens)}",
            "cost": text.costs(point.totals.cost, point.totals.unpriced),
            "saved": text.costs(point.totals.saved),
        }
        for point in reversed(points)
        if point.totals.calls
    ]


def _query(start: datetime, end: datetime) -> str:
    """A range as it stands in an address."""
    return urlencode({"from": as_text(start), "to": as_text(end)})


def _label(start: datetime, interval: str, points: int) -> str:
    local = localtime(start)
    if interval == "day":
        return f"{local.day} {local:%b}"
    several_days = interval == "hour" and points > 24
    return f"{local.day} {local:%b %H:%M}" if several_days else f"{local:%H:%M}"


def _milliseconds(microseconds: int | None) -> float | None:
    """None where there were no calls: the line is broken there."""
    return None if microseconds is None else round(microseconds / 1000, 2)
