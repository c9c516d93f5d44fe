"""Records summed up in memory, so that a batch costs one upsert for each roll-up it touches."""

from __future__ import annotations

from collections.abc import Iterable

from analytics.histogram import bucket
from analytics.ingest.events import Call
from analytics.models.rollups import MEASURES

MINUTE = 60_000_000
STEPS = {"minute": MINUTE, "hour": 60 * MINUTE, "day": 1440 * MINUTE}
"""Microseconds in each interval; a day is one of UTC."""

Key = tuple[int, tuple[str, ...], tuple[str, ...], int, bool]
"""Start (Unix microseconds), ``Call.who``, ``Call.what``, status class and whether it is demo."""


class Sums:
    """``values`` are those of ``rollups.MEASURES``, in that order; ``latency`` counts the
    durations in each bucket of ``analytics.histogram``."""

    __slots__ = ("latency", "values")

    def __init__(self) -> None:
        self.values = [0] * len(MEASURES)
        self.latency: dict[int, int] = {}

    def plus(self, other: Sums) -> Sums:
        """A new one: either may be in use elsewhere."""
        sums = Sums()
        sums.values = [a + b for a, b in zip(self.values, other.values, strict=True)]
        sums.latency = self.latency.copy()
        for place, count in other.latency.items():
            sums.latency[place] = sums.latency.get(place, 0) + count
        return sums


Folded = dict[Key, Sums]


def fold(calls: Iterable[Call], demo: bool = False) -> dict[str, Folded]:
    """The sums of these calls by minute, hour and day.

    Where an hour has one minute only, both have the same ``Sums``; so for days.
    """
    minutes = _by_minute(calls, demo)
    hours = _coarser(minutes, STEPS["hour"])
    return {"minute": minutes, "hour": hours, "day": _coarser(hours, STEPS["day"])}


def _by_minute(calls: Iterable[Call], demo: bool) -> Folded:
    folded: Folded = {}
    for _, who, what, event, _ in calls:
        at, status, total = event.at, event.status, event.total_us
        key = (at - at % MINUTE, who, what, status // 100, demo)
        sums = folded.get(key)
        if sums is None:
            sums = folded[key] = Sums()
        values, latency = sums.values, sums.latency
        values[0] += 1
        values[1] += event.abandoned
        values[2] += status == 429
        values[3] += event.request_bytes
        values[4] += event.response_bytes
        values[5] += total
        values[6] += event.upstream_us
        values[7] += event.first_byte_us
        place = bucket(total)
        latency[place] = latency.get(place, 0) + 1
        tokens_in, tokens_out, cost = event.input_tokens, event.output_tokens, event.cost_micros
        values[10] += event.cached_tokens or 0
        values[11] += event.reasoning_tokens or 0
        if tokens_in is None and tokens_out is None and cost is None:
            continue
        values[8] += tokens_in or 0
        values[9] += tokens_out or 0
        values[12] += cost or 0
        values[13] += cost is None
    return folded


def _coarser(finer: Folded, step: int) -> Folded:
    folded: Folded = {}
    for (start, *rest), sums in finer.items():
        key = (start - start % step, *rest)
        found = folded.get(key)
        folded[key] = sums if found is None else found.plus(sums)
    return folded
