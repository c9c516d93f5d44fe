"""Figures as people read them."""

from __future__ import annotations

from datetime import datetime

from django.utils.timezone import localtime

NOTHING = "–"


def count(number: int | None) -> str:
    """``4,912,305``; a dash for None."""
    return NOTHING if number is None else f"{number:,}"


def about(number: int) -> str:
    """``about 4.9 million``; small numbers as they are."""
    for size, name in ((10**9, "billion"), (10**6, "million")):
        if number >= size:
            return f"about {number / size:.1f} {name}"
    return f"about {round(number, -2):,}" if number >= 10_000 else f"{number:,}"


def short(number: int | None) -> str:
    """``1.25M``, ``34,512``; for the cells of tables and the cards."""
    if number is None:
        return NOTHING
    for size, letter in ((10**9, "G"), (10**6, "M")):
        if number >= size:
            return f"{number / size:.2f}{letter}"
    return f"{number:,}"


def duration(microseconds: int | None) -> str:
    """``840 µs``, ``12.4 ms``, ``1.25 s``; a dash for None."""
    if microseconds is None:
        return NOTHING
    if microseconds < 1000:
        return f"{microseconds} µs"
    if microseconds < 1_000_000:
        milliseconds = microseconds / 1000
        return f"{milliseconds:.1f} ms" if milliseconds < 100 else f"{milliseconds:.0f} ms"
    return f"{microseconds / 1_000_000:.2f} s"


def money(micros: int | None, currency: str = "") -> str:
    """``12.34 USD``; with up to six decimals below one cent, as single calls cost."""
    if micros is None:
        return NOTHING
    amount = micros / 1_000_000
    tiny = micros and abs(amount) < 0.01
    figure = f"{amount:.6f}".rstrip("0") if tiny else f"{amount:,.2f}"
    return f"{figure} {currency}".strip()


def costs(cost: dict[str, int], unpriced: int = 0) -> str:
    """All currencies of a sum, side by side, and how many calls are not in it because what they
    cost is unknown: a sum of none but those is not told as zero."""
    told = [
        money(micros, currency)
        for currency, micros in sorted(cost.items())
        if micros or not unpriced
    ]
    if unpriced:
        told.append(f"{short(unpriced)} unpriced")
    return ", ".join(told) or NOTHING


def share(part: int, whole: int) -> str:
    """A percentage with as many decimals as a small one needs."""
    if not whole:
        return NOTHING
    percent = 100 * part / whole
    return f"{percent:.2f} %" if 0 < percent < 1 else f"{percent:.1f} %"


def size(number: int) -> str:
    """Bytes: ``812 B``, ``1.4 kB``."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if number >= unit:
            return f"{number / unit:.1f} {name}"
    return f"{number} B"


def moment(value: datetime, seconds: bool = False) -> str:
    """``21 Nov 2026, 03:17``, in the platform's time zone."""
    local = localtime(value)
    return (
        f"{local.day} {local:%b %Y, %H:%M:%S}" if seconds else f"{local.day} {local:%b %Y, %H:%M}"
    )


def instant(value: datetime) -> str:
    """``21 Nov 03:17:09``; for the rows of the log."""
    local = localtime(value)
    return f"{local.day} {local:%b %H:%M:%S}"


def change(now: float | None, before: float | None) -> str:
    """``+12 %`` against the period before; empty where there is nothing to compare."""
    if now is None or not before:
        return ""
    percent = 100 * (now - before) / before
    if percent > 999:
        return f"×{now / before:.0f}"
    return f"{percent:+.0f} %" if abs(percent) >= 0.5 else "±0 %"
