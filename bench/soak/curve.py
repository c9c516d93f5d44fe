"""The memory of a worker over time, as lines of text and as an SVG."""

from __future__ import annotations

from typing import Any

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 760, 260, 60, 30
_BAR = 40


def line(sample: dict[str, Any], most: float) -> str:
    """One sample; ``most`` megabytes fill the bar."""
    bar = "#" * round(min(1.0, sample["rss_mb"] / most) * _BAR)
    return (
        f"{sample['at']:6.0f} s {sample['rss_mb']:7.2f} MB  {bar:<{_BAR}}  "
        f"{sample['fds']:4} files {sample['clients']:4} clients {sample['upstreams']:4} upstream "
        f"{sample['share']:4.0%} of a core  {sample['calls']:,} calls"
    )


def svg(samples: list[dict[str, Any]], first: float, most: float = 0.05) -> str:
    """From 0 megabytes up, with the band in which the end may lie."""
    end = max(sample["at"] for sample in samples) or 1
    top = max(first * (1 + most), *(sample["rss_mb"] for sample in samples)) * 1.1

    def x(seconds: float) -> float:
        return round(_LEFT + seconds / end * (_WIDTH - _LEFT - 10), 1)

    def y(megabytes: float) -> float:
        return round((_HEIGHT - _BOTTOM) * (1 - megabytes / top), 1)

    points = " ".join(f"{x(sample['at'])},{y(sample['rss_mb'])}" for sample in samples)
    band = y(first * (1 + most))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect x="{_LEFT}" y="{band}" width="{_WIDTH - _LEFT - 10}" '
        f'height="{round(y(first * (1 - most)) - band, 1)}" fill="#dcefdc"/>',
        f'<path d="M{_LEFT} 0V{y(0)}H{_WIDTH - 10}" fill="none" stroke="#888"/>',
        f'<polyline points="{points}" fill="none" stroke="#1f5fa8" stroke-width="2"/>',
    ]
    for part in range(5):
        value = top * part / 4
        parts.append(
            f'<text x="{_LEFT - 6}" y="{y(value) + 10}" text-anchor="end">{value:.0f} MB</text>'
        )
        seconds = end * part / 4
        anchor = "end" if part == 4 else "middle"
        parts.append(
            f'<text x="{x(seconds)}" y="{_HEIGHT - 10}" text-anchor="{anchor}">'
            f"{seconds / 60:.1f} min</text>"
        )
    return "\n".join([*parts, "</svg>\n"])
