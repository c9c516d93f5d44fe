"""A trend so small that it has no axes: calls as bars, of which a part has failed."""

from __future__ import annotations

from dataclasses import dataclass

from analytics.admin import text
from analytics.queries import Point

WIDTH, HEIGHT = 112, 28
_GAP = 1
_LEAST = 1.5
"""What is there at all can be seen."""


@dataclass(frozen=True)
class Sparkline:
    """``good`` and ``bad`` are paths of an SVG of ``WIDTH`` by ``HEIGHT``: what was answered,
    from the bottom up, and on top of it what was answered with 5xx."""

    good: str
    bad: str
    told: str
    width: int = WIDTH
    height: int = HEIGHT


def sparkline(points: list[Point]) -> Sparkline | None:
    """None where there is nothing to draw."""
    most = max((point.totals.calls for point in points), default=0)
    if not most:
        return None
    slot = WIDTH / len(points)
    good, bad = [], []
    for place, point in enumerate(points):
        calls, failed = point.totals.calls, point.totals.server_errors
        if not calls:
            continue
        whole = max(_LEAST, HEIGHT * calls / most)
        above = min(whole, max(_LEAST, whole * failed / calls)) if failed else 0.0
        if whole > above:
            good.append(_bar(place * slot, HEIGHT, whole - above, slot - _GAP))
        if above:
            bad.append(_bar(place * slot, HEIGHT - whole + above, above, slot - _GAP))
    return Sparkline("".join(good), "".join(bad), _told(points, most))


def _bar(left: float, bottom: float, height: float, width: float) -> str:
    return f"M{left:.1f} {bottom:.1f}v{-height:.1f}h{width:.1f}v{height:.1f}z"


def _told(points: list[Point], most: int) -> str:
    peak = next(point for point in points if point.totals.calls == most)
    failed = sum(point.totals.server_errors for point in points)
    told = f"Most: {text.count(most)} calls from {text.moment(peak.start)}"
    return f"{told}; {text.count(failed)} with 5xx in all" if failed else told
