"""What a page shows, read from its address and written back into the addresses it links to.

The address is all there is: opened elsewhere it shows the same. What cannot be understood is
left out, and the page says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from analytics.queries import DIMENSIONS, NOTHING, Filters, Range

RANGES: dict[str, tuple[str, timedelta, timedelta]] = {
    "1h": ("1 hour", timedelta(hours=1), timedelta(minutes=1)),
    "24h": ("24 hours", timedelta(hours=24), timedelta(hours=1)),
    "7d": ("7 days", timedelta(days=7), timedelta(hours=1)),
    "30d": ("30 days", timedelta(days=30), timedelta(days=1)),
}
"""Name: label, length, and the step to which its bounds are rounded, up to the next one.

So the chart's points are whole intervals; the last one is still being filled.
"""
DEFAULT = "24h"
LONGEST = timedelta(days=400)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

_CLASSES = {"2", "3", "4", "5"}


@dataclass(frozen=True)
class State:
    """``chosen`` is a name of ``RANGES``, or "custom"."""

    chosen: str
    rng: Range
    filters: Filters
    columns: dict[str, Any] = field(default_factory=dict)
    """Filters of the call log beyond ``filters``; their names are those in the address."""
    problems: tuple[str, ...] = ()
    """What was not understood, a sentence each."""

    @property
    def before(self) -> Range:
        """As much of the period before as has passed of this one."""
        length = self.rng.length
        passed = max(min(self.rng.end, _up(timezone.now(), timedelta(minutes=1))), self.rng.start)
        return Range(
            self.rng.start - length, max(passed, self.rng.start + timedelta(minutes=1)) - length
        )

    @property
    def record_filters(self) -> dict[str, Any]:
        """``columns`` as keyword arguments of ``queries.records``."""
        found = dict(self.columns)
        slower = found.pop("slower_ms", None)
        if slower is not None:
            found["slower_than_us"] = round(slower * 1000)
        if "abandoned" in found:
            found["abandoned"] = True
        return found

    def query(self, **changes: Any) -> str:
        """This state as ``?name=value…``; a change to None takes a parameter away.

        Changing ``start`` and ``end`` (datetimes) makes a range of its own.
        """
        values = self._values()
        start, end = changes.pop("start", None), changes.pop("end", None)
        if start is not None:
            values.pop("range", None)
            values |= {"from": as_text(start), "to": as_text(end)}
        if "range" in changes:
            values.pop("from", None)
            values.pop("to", None)
        values |= {name: _id_text(value) for name, value in changes.items()}
        return "?" + urlencode({name: str(value) for name, value in values.items() if value})

    def hidden(self, *names: str) -> list[tuple[str, str]]:
        """The parameters that a form must carry on, without those it asks for itself."""
        values = self._values().items()
        return [(name, str(value)) for name, value in values if value and name not in names]

    def _values(self) -> dict[str, Any]:
        if self.chosen == "custom":
            values: dict[str, Any] = {"from": as_text(self.rng.start), "to": as_text(self.rng.end)}
        else:
            values = {"range": self.chosen}
        values |= {name: _id_text(getattr(self.filters, name)) for name in DIMENSIONS}
        values["class"] = self.filters.status_class
        values["demo"] = None if self.filters.include_demo else "no"
        return values | self.columns


def read(params: Mapping[str, str], *, now: datetime | None = None) -> State:
    """The state that an address asks for. Never raises: see ``State.problems``."""
    problems: list[str] = []
    chosen, rng = _range(params, now or timezone.now(), problems)
    return State(
        chosen=chosen,
        rng=rng,
        filters=Filters(
            **{name: _value(params, name, _id, problems) for name in DIMENSIONS},
            status_class=_value(params, "class", _status_class, problems),
            include_demo=params.get("demo") != "no",
        ),
        columns=_columns(params, problems),
        problems=tuple(problems),
    )


def relative(name: str, now: datetime) -> Range:
    _, length, step = RANGES[name]
    end = _up(now, step)
    return Range(end - length, end)


def _up(at: datetime, step: timedelta) -> datetime:
    """The next bound of a step that is after ``at``."""
    return at - (at - EPOCH) % step + step


def _range(params: Mapping[str, str], now: datetime, problems: list[str]) -> tuple[str, Range]:
    if params.get("from") or params.get("to"):
        try:
            return "custom", _custom(params.get("from", ""), params.get("to", ""), now)
        except ValueError as error:
            problems.append(f"{error} Shown are the last {RANGES[DEFAULT][0]}.")
            return DEFAULT, relative(DEFAULT, now)
    name = params.get("range") or DEFAULT
    if name not in RANGES:
        known = ", ".join(RANGES)
        problems.append(
            f"There is no range “{name[:40]}” (there are {known}). "
            f"Shown are the last {RANGES[DEFAULT][0]}."
        )
        name = DEFAULT
    return name, relative(name, now)


def _custom(start_text: str, end_text: str, now: datetime) -> Range:
    """Raises ValueError with a sentence. Without an offset times are UTC."""
    start, end = _moment(start_text), _moment(end_text) if end_text else _up(now, MICROSECOND)
    if start >= end:
        raise ValueError("The range must end after it starts.")
    if end - start > LONGEST:
        raise ValueError(f"A range has at most {LONGEST.days} days.")
    return Range(start, end)


def _moment(text: str) -> datetime:
    wrong = f"“{text[:40]}” is not a time such as 2026-03-09T14:30."
    try:
        value = parse_datetime(text) or parse_datetime(f"{text}T00:00")
    except ValueError:
        raise ValueError(wrong) from None
    if value is None or not 2000 <= value.year <= 2999:
        raise ValueError(wrong)
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)


def as_text(value: datetime) -> str:
    """In UTC, without what is zero; what an ``<input type=datetime-local>`` understands."""
    text = value.astimezone(UTC).replace(tzinfo=None).isoformat()
    return text[:-3] if text.endswith(":00") and len(text) == 19 else text


def _value(
    params: Mapping[str, str], name: str, kind: Callable[[str], Any], problems: list[str]
) -> Any:
    text = params.get(name, "").strip()
    if not text:
        return None
    try:
        return kind(text)
    except ValueError:
        problems.append(f"The filter “{name}” was left out: “{text[:40]}” is nothing it knows.")
        return None


def _id(text: str) -> UUID:
    return NOTHING if text == "none" else UUID(text)


def _id_text(value: Any) -> Any:
    """As ``_id`` reads it; anything else as it is."""
    return "none" if value == NOTHING else value


def _status_class(text: str) -> int:
    if text not in _CLASSES:
        raise ValueError
    return int(text)


def _status(text: str) -> int:
    if not 100 <= int(text) <= 599:
        raise ValueError
    return int(text)


def _text(text: str) -> str:
    if "\0" in text or len(text) > 512:
        raise ValueError
    return text


def _milliseconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1e9:  # also refuses what is not a number
        raise ValueError
    return int(value) if value == int(value) else value


def _attempts(text: str) -> int:
    if not 0 <= int(text) < 1 << 15:
        raise ValueError
    return int(text)


def _yes(text: str) -> str:
    if text != "yes":
        raise ValueError
    return text


def _columns(params: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    kinds: dict[str, Callable[[str], Any]] = {
        "status": _status,
        "error_code": _text,
        "request_id": UUID,
        "method": lambda text: _text(text).upper(),
        "path": _text,
        "key": UUID,
        "route": UUID,
        "slower_ms": _milliseconds,
        "min_attempts": _attempts,
        "abandoned": _yes,
    }
    found = {name: _value(params, name, kind, problems) for name, kind in kinds.items()}
    return {name: value for name, value in found.items() if value is not None}
