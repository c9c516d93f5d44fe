"""Counts of calls, taken from the usage events as they are written.

So a call is counted once, by the same rule as in the usage records, and none of the calls'
own code knows of it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import Any

from contract.usage import UsageEvent
from proxy.usage.journal import Journal
from proxy.usage.slots import Slot

MOST_APIS = 5_000
"""Combinations of tenant, API and status class that are counted apart; the others together."""
MOST_MODELS = 1_000
"""The same for tenant, model and currency."""

OTHER = "(other)"
"""Stands for the ids of what is no longer counted apart."""

BOUNDS_US = (
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
)  # fmt: skip
"""Upper ends of the buckets of all durations, in microseconds."""


class Durations:
    """A histogram: calls by bucket, the last being beyond all bounds, and their sum."""

    __slots__ = ("counts", "sum_us")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_US) + 1)
        self.sum_us = 0

    def add(self, us: int) -> None:
        self.counts[bisect_left(BOUNDS_US, us)] += 1
        self.sum_us += us


class Times:
    """``upstream`` is of the calls that went to one, ``gateway`` is what is left of the whole."""

    __slots__ = ("first_byte", "gateway", "upstream")

    def __init__(self) -> None:
        self.first_byte = Durations()
        self.upstream = Durations()
        self.gateway = Durations()


class Model:
    """``retries`` are requests to providers beyond the first of a call."""

    __slots__ = (
        "cached_tokens",
        "calls",
        "cost_micros",
        "input_tokens",
        "output_tokens",
        "retries",
    )

    def __init__(self) -> None:
        self.calls = self.retries = self.cost_micros = 0
        self.input_tokens = self.output_tokens = self.cached_tokens = 0


class Tally:
    def __init__(self) -> None:
        self.calls: dict[tuple[str, str, int], list[int]] = {}
        """By tenant id, API id and hundreds of the status: calls, bytes in, bytes out."""
        self.models: dict[tuple[str, str, str], Model] = {}
        """By tenant id, public model name and currency."""
        self.times = {
            (kind, streamed): Times()
            for kind in ("http", "model", "prompt")
            for streamed in (False, True)
        }
        self.codes: Counter[str] = Counter()

    def count(self, event: UsageEvent) -> None:
        key = (event.tenant_id, event.api_id, event.status // 100)
        row = self.calls.get(key) or self._row(key)
        row[0] += 1
        row[1] += event.request_bytes
        row[2] += event.response_bytes
        kind = "prompt" if event.prompt_id else "model" if event.model_id else "http"
        times = self.times[kind, event.streamed]
        times.first_byte.add(event.first_byte_us)
        times.gateway.add(max(0, event.total_us - event.upstream_us))
        if event.upstream_us:
            times.upstream.add(event.upstream_us)
        if event.error_code:
            self.codes[event.error_code] += 1
        if event.model_id:
            self._count_model(event)

    def _row(self, key: tuple[str, str, int]) -> list[int]:
        if len(self.calls) >= MOST_APIS:
            key = (OTHER, OTHER, key[2])
        return self.calls.setdefault(key, [0, 0, 0])

    def _count_model(self, event: UsageEvent) -> None:
        key = (event.tenant_id, event.model, event.currency)
        if key not in self.models and len(self.models) >= MOST_MODELS:
            key = (OTHER, OTHER, event.currency)
        model = self.models.setdefault(key, Model())
        model.calls += 1
        model.retries += max(0, (event.attempts or 0) - 1)
        model.input_tokens += event.input_tokens or 0
        model.output_tokens += event.output_tokens or 0
        model.cached_tokens += event.cached_tokens or 0
        model.cost_micros += event.cost_micros or 0


class CountedJournal(Journal):
    """A journal that counts what is written to it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.tally = Tally()

    def append(self, event: UsageEvent, slot: Slot | None = None) -> None:
        super().append(event, slot)
        self.tally.count(event)
