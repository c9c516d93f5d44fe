"""Records summed up in memory, so that a batch costs one upsert for each roll-up it touches."""

from __future__ import annotations

from collections.abc import Iterable
from operator import add, attrgetter

from analytics.histogram import bucket
from analytics.ingest.events import Call
from analytics.models.rollups import HISTOGRAMS, LEAST_WRITING_US, MEASURES
from contract.usage import UsageEvent

MINUTE = 60_000_000
STEPS = {"minute": MINUTE, "hour": 60 * MINUTE, "day": 1440 * MINUTE}
"""Microseconds in each interval; a day is one of UTC."""

Key = tuple[int, tuple[str, ...], tuple[str, ...], int, bool]
"""Start (Unix microseconds), ``Call.who``, ``Call.what``, status class and whether it is demo."""

_measures = attrgetter(*MEASURES)
_NONE = (0,) * len(MEASURES)


class Sums:
    """``rollups.MEASURES`` by their names; ``latency`` and ``first_token`` count the durations in
    each bucket of ``analytics.histogram``."""

    __slots__ = (*HISTOGRAMS, *MEASURES)

    def __init__(self, values: Iterable[int] = _NONE) -> None:
        for name, value in zip(MEASURES, values, strict=True):
            setattr(self, name, value)
        self.latency: dict[int, int] = {}
        self.first_token: dict[int, int] = {}

    @property
    def values(self) -> tuple[int, ...]:
        """In the order of ``MEASURES``."""
        return _measures(self)

    def plus(self, other: Sums) -> Sums:
        """A new one: either may be in use elsewhere."""
        sums = Sums(map(add, self.values, other.values))
        sums.latency = _both(self.latency, other.latency)
        sums.first_token = _both(self.first_token, other.first_token)
        return sums

    def stream(self, event: UsageEvent) -> None:
        """Counts how quick a model's answer was that came in pieces."""
        first = event.first_byte_us
        self.streams += 1
        self.first_token_us += first
        place = bucket(first)
        self.first_token[place] = self.first_token.get(place, 0) + 1
        writing, whole = event.total_us - first, not (event.abandoned or event.error_code)
        if event.output_tokens and whole and writing >= LEAST_WRITING_US:
            self.written_tokens += event.output_tokens
            self.writing_us += writing


def _both(one: dict[int, int], other: dict[int, int]) -> dict[int, int]:
    sums = one.copy()
    for place, count in other.items():
        sums[place] = sums.get(place, 0) + count
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
        sums.calls += 1
        sums.abandoned += event.abandoned
        sums.limited += status == 429
        sums.request_bytes += event.request_bytes
        sums.response_bytes += event.response_bytes
        sums.total_us += total
        sums.upstream_us += event.upstream_us
        sums.first_byte_us += event.first_byte_us
        latency, place = sums.latency, bucket(total)
        latency[place] = latency.get(place, 0) + 1
        tokens_in, tokens_out, cost = event.input_tokens, event.output_tokens, event.cost_micros
        sums.cached_tokens += event.cached_tokens or 0
        sums.reasoning_tokens += event.reasoning_tokens or 0
        sums.cache_write_tokens += event.cache_write_tokens or 0
        if event.streamed and event.first_byte_us and event.model_id and status < 400:
            sums.stream(event)
        if tokens_in is None and tokens_out is None and cost is None and event.measured is None:
            continue
        sums.input_tokens += tokens_in or 0
        sums.output_tokens += tokens_out or 0
        sums.cost_micros += cost or 0
        sums.unpriced += cost is None
        sums.saved_micros += event.saved_micros or 0
    return folded


def _coarser(finer: Folded, step: int) -> Folded:
    folded: Folded = {}
    for (start, *rest), sums in finer.items():
        key = (start - start % step, *rest)
        found = folded.get(key)
        folded[key] = sums if found is None else found.plus(sums)
    return folded
