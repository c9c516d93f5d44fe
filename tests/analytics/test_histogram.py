"""Percentiles from buckets, against those of the durations themselves."""

from __future__ import annotations

import math
import random
from decimal import Decimal

import pytest

from analytics.histogram import BUCKETS, GROWTH, bucket, pack, percentile, unpack

OFF = math.sqrt(GROWTH) - 1
"""How far off a percentile may be: half a bucket."""


def counted(durations: list[int]) -> list[int]:
    counts = [0] * BUCKETS
    for duration in durations:
        counts[bucket(duration)] += 1
    return counts


def exactly(durations: list[int], share: float) -> int:
    """The nearest-rank percentile."""
    return sorted(durations)[max(1, math.ceil(len(durations) * share)) - 1]


def test_each_bucket_holds_what_it_says() -> None:
    assert [bucket(0), bucket(1)] == [0, 1]
    for duration in [1, 2, 3, 10, 999, 1000, 123_456, 60_000_000]:
        index = bucket(duration)
        assert GROWTH ** (index - 1) <= duration < GROWTH**index


def test_buckets_grow_with_the_duration_and_never_run_out() -> None:
    indexes = [bucket(duration) for duration in range(20_000)]
    assert indexes == sorted(indexes)
    assert bucket(7 * 60_000_000) < BUCKETS - 1
    assert bucket(10**15) == BUCKETS - 1


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.95, 0.99, 1.0])
@pytest.mark.parametrize("size", [1, 2, 10, 1000])
def test_percentiles_are_within_half_a_bucket(share: float, size: int) -> None:
    rng = random.Random(size)
    for spread in (0.1, 1, 2):
        durations = [1 + int(rng.lognormvariate(9, spread)) for _ in range(size)]
        found = percentile(counted(durations), share)
        assert found == pytest.approx(exactly(durations, share), rel=OFF + 0.001)


def test_nothing_has_no_percentile() -> None:
    assert percentile([], 0.5) is None
    assert percentile([0] * BUCKETS, 0.5) is None


def test_calls_that_took_no_time() -> None:
    assert percentile([3, 1], 0.5) == 0


def test_merged_histograms_have_the_percentiles_of_all() -> None:
    rng = random.Random(1)
    parts = [[rng.randrange(1, 10**6) for _ in range(100)] for _ in range(5)]
    merged = [sum(column) for column in zip(*map(counted, parts), strict=True)]
    assert merged == counted([duration for part in parts for duration in part])


# As one number


@pytest.mark.parametrize(
    "counts",
    [
        {},
        {0: 1},
        {5: 7},
        {0: 1, 1: 2, 231: 3},
        {100: 999_999_999_999, 101: 1},
        {index: index + 1 for index in range(BUCKETS)},
    ],
)
def test_a_histogram_comes_back_from_its_number(counts: dict[int, int]) -> None:
    back = unpack(Decimal(pack(counts)))
    assert {index: count for index, count in enumerate(back) if count} == counts
    assert not back or back[-1]


def test_zero_counts_leave_no_trace() -> None:
    assert unpack(Decimal(pack({3: 0}))) == []
    assert unpack(Decimal(pack({3: 1, 9: 0}))) == [0, 0, 0, 1]


@pytest.mark.django_db
def test_postgresql_adds_histograms_up_as_numbers() -> None:
    from django.db import connection

    rng = random.Random(2)
    parts = [{rng.randrange(BUCKETS): rng.randrange(1, 10**6) for _ in range(30)} for _ in range(9)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(part::numeric) FROM unnest(%s::text[]) AS part",
            [[pack(part) for part in parts]],
        )
        (total,) = cursor.fetchone()
    added = [sum(part.get(index, 0) for part in parts) for index in range(BUCKETS)]
    assert unpack(total) == added[: max(index for index, count in enumerate(added) if count) + 1]
