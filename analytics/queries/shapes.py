"""What is asked and what is answered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from uuid import UUID

from analytics import histogram
from analytics.models.rollups import NOTHING

__all__ = ["DIMENSIONS", "NOTHING", "Filters", "QueryError", "Totals"]

DIMENSIONS = {
    "api": "api_id",
    "application": "application_id",
    "plan": "plan_id",
    "model": "model_id",
    "provider": "provider_id",
    "deployment": "deployment_id",
    "prompt": "prompt_id",
}
"""What calls can be filtered and grouped by, with its column."""


class QueryError(Exception):
    """A question that has no answer. ``code`` is stable, the text says what to ask instead."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which calls. None means all; ``NOTHING`` means the calls that had no such thing."""

    api: UUID | None = None
    application: UUID | None = None
    plan: UUID | None = None
    model: UUID | None = None
    provider: UUID | None = None
    deployment: UUID | None = None
    prompt: UUID | None = None
    status_class: int | None = None
    """2, 3, 4 or 5."""
    include_demo: bool = True
    any_model: bool = False
    """Only calls of some model."""

    def ids(self) -> Iterator[tuple[str, UUID]]:
        """The columns that are filtered by, with the id that each must have."""
        for name, column in DIMENSIONS.items():
            if (value := getattr(self, name)) is not None:
                yield column, value


@dataclass(slots=True)
class Totals:
    """Sums over calls. Durations are in microseconds, cost in micro-units by currency."""

    calls: int = 0
    client_errors: int = 0
    """Answered with a status from 400 to 499."""
    server_errors: int = 0
    """Answered with a status of 500 or more."""
    limited: int = 0
    abandoned: int = 0
    request_bytes: int = 0
    response_bytes: int = 0
    total_us: int = 0
    upstream_us: int = 0
    first_byte_us: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0
    unpriced: int = 0
    """Calls that used tokens, or what else is billed, and whose cost is unknown: ``cost`` is
    without them."""
    cost: dict[str, int] = field(default_factory=dict)
    saved: dict[str, int] = field(default_factory=dict)
    """By currency too, of those in which something was; less than 0 where calls cost more."""
    streams: int = 0
    """Answers of models that came in pieces; the next figures are of these."""
    first_token_us: int = 0
    written_tokens: int = 0
    """Of those that came whole; so is ``writing_us``, which they took after their first piece."""
    writing_us: int = 0
    latency: int = 0
    """How long the calls took: a histogram in one number, see ``analytics.histogram``."""
    first_token: int = 0
    """How long the streams took to begin: as ``latency``."""

    def __add__(self, other: Totals) -> Totals:
        found = Totals(**{name: getattr(self, name) + getattr(other, name) for name in SUMS})
        found.cost = _both(self.cost, other.cost)
        found.saved = _both(self.saved, other.saved)
        return found

    @property
    def errors(self) -> int:
        return self.client_errors + self.server_errors

    @property
    def error_rate(self) -> float:
        """Share of the calls, 0 to 1; 0 without calls."""
        return self.errors / self.calls if self.calls else 0.0

    @property
    def server_error_rate(self) -> float:
        return self.server_errors / self.calls if self.calls else 0.0

    @property
    def tokens(self) -> int:
        """Input and output; cached and reasoning tokens are parts of these."""
        return self.input_tokens + self.output_tokens

    @property
    def mean_us(self) -> int | None:
        return self._mean(self.total_us)

    @property
    def mean_upstream_us(self) -> int | None:
        return self._mean(self.upstream_us)

    @property
    def mean_first_byte_us(self) -> int | None:
        return self._mean(self.first_byte_us)

    @property
    def p50_us(self) -> int | None:
        return self._percentile(0.50)

    @property
    def p95_us(self) -> int | None:
        return self._percentile(0.95)

    @property
    def p99_us(self) -> int | None:
        return self._percentile(0.99)

    @property
    def mean_first_token_us(self) -> int | None:
        return round(self.first_token_us / self.streams) if self.streams else None

    @property
    def p50_first_token_us(self) -> int | None:
        return histogram.percentile(histogram.unpack(self.first_token), 0.50)

    @property
    def p95_first_token_us(self) -> int | None:
        return histogram.percentile(histogram.unpack(self.first_token), 0.95)

    @property
    def tokens_per_second(self) -> float | None:
        """Between a stream's first and last piece; None where no stream says."""
        if not self.writing_us:
            return None
        return round(self.written_tokens / (self.writing_us / 1_000_000), 1)

    def percentiles(self, *shares: float) -> list[int | None]:
        """As the properties above, for as many shares as wanted at the cost of one."""
        counts = histogram.unpack(self.latency)
        return [histogram.percentile(counts, share) for share in shares]

    def _percentile(self, share: float) -> int | None:
        return histogram.percentile(histogram.unpack(self.latency), share)

    def _mean(self, total: int) -> int | None:
        return round(total / self.calls) if self.calls else None


SUMS = tuple(item.name for item in fields(Totals) if item.name not in ("cost", "saved"))
"""The fields of ``Totals`` that simply add up."""


def _both(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in one | other}
