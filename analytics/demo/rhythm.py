"""When calls come: days that grow, quiet weekends, busy hours, and what went wrong when."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from uuid import UUID

SLOTS = 96
SLOT_SECONDS = 86_400 // SLOTS
_WEEKDAYS = (1.0, 1.08, 1.1, 1.05, 0.92, 0.48, 0.42)


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Between two seconds of a day a share of an API's calls fail, and waiting takes longer;
    between two others a share of an application's calls are limited."""

    fails_from: int = -1
    fails_to: int = -1
    fails_api: UUID | None = None
    fails_rate: float = 0.0
    slower: float = 1.0
    limits_from: int = -1
    limits_to: int = -1
    limits_application: UUID | None = None
    limits_rate: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Day:
    """``slots`` adds up, over the quarters of an hour, the share of the day's calls."""

    start: datetime
    calls: int
    slots: tuple[float, ...]
    trouble: Trouble


def days(
    now: datetime,
    count: int,
    records: int,
    dice: random.Random,
    apis: Sequence[UUID],
    applications: Sequence[UUID],
) -> list[Day]:
    """``count`` days in UTC up to ``now``, the last of them unfinished, ``records`` in all."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    whole = [_curve(slot) for slot in range(SLOTS)]
    passed = max(1, int((now - today).total_seconds() / SLOT_SECONDS))
    starts = [today - timedelta(days=back) for back in range(count - 1, -1, -1)]
    weights = [
        _WEEKDAYS[start.weekday()] * (1 + 0.6 * number / count) * dice.uniform(0.93, 1.07)
        for number, start in enumerate(starts)
    ]
    weights[-1] *= sum(whole[:passed]) / sum(whole)
    shares = _whole_numbers(records, weights)
    return [
        Day(
            start=start,
            calls=calls,
            slots=_cumulated(whole[:passed] if start == today else whole),
            trouble=_trouble(dice, apis, applications),
        )
        for start, calls in zip(starts, shares, strict=True)
    ]


def _curve(slot: int) -> float:
    """Low at night, high from morning to evening, with a dip at noon."""
    hour = slot / SLOTS * 24
    work = math.exp(-(((hour - 10.5) / 2.8) ** 2)) + 1.1 * math.exp(-(((hour - 15.5) / 3.2) ** 2))
    return 0.18 + work + 0.3 * math.exp(-(((hour - 20.5) / 1.8) ** 2))


def _cumulated(weights: Sequence[float]) -> tuple[float, ...]:
    total = sum(weights)
    return tuple(part / total for part in accumulate(weights)) if total else (1.0,)


def _whole_numbers(total: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers in proportion to the weights, which add up to ``total`` exactly."""
    scale = total / sum(weights)
    bounds = [round(part * scale) for part in accumulate(weights)]
    bounds[-1] = total
    return [high - low for low, high in zip([0, *bounds], bounds, strict=False)]


def _trouble(dice: random.Random, apis: Sequence[UUID], applications: Sequence[UUID]) -> Trouble:
    """One day in five something fails for a while, one in four an application overdoes it."""
    fails, limits = dice.random() < 0.2, dice.random() < 0.25
    api, application = dice.choice(apis), dice.choice(applications)
    at, length, rate = dice.randrange(7, 20), dice.randrange(8, 50), dice.uniform(0.25, 0.7)
    busy, share = dice.randrange(8, 18), dice.uniform(0.15, 0.5)
    minute = dice.randrange(60)
    return Trouble(
        fails_from=at * 3600 + minute * 60 if fails else -1,
        fails_to=at * 3600 + (minute + length) * 60 if fails else -1,
        fails_api=api,
        fails_rate=rate,
        slower=2.5 if fails else 1.0,
        limits_from=busy * 3600 if limits else -1,
        limits_to=busy * 3600 + 2400 if limits else -1,
        limits_application=application,
        limits_rate=share,
    )
