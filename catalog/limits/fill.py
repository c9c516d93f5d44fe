"""Counters of calendar days and months, filled from the records of usage.

Gateways count in Valkey, in a counter's field ``u``. What it cannot know, because Valkey was
emptied or because the limit is younger than its period, goes into ``b`` from here: what the
records say, less ``u``. That counts nothing twice, since whatever ``u`` counted is in the records
or on its way there; and as more of them arrive a later filling only raises it. So a counter is
filled twice, the second time when usage that was held up in a gateway's journal has come in.

The tenant's mark (``contract.keys.limits_rebuilt``) is set after the first filling. It tells
which kinds of limits were filled and when to do it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from hashlib import sha256
from itertools import chain, islice
from time import time
from typing import Any
from uuid import UUID

import msgspec

from catalog import store
from catalog.limits import users
from catalog.limits.counters import Counted, counted, placed
from catalog.limits.source import records
from contract import keys
from contract.periods import KEPT_SECONDS, Period, period_at
from contract.snapshot import TenantSnapshot

AGAIN_SECONDS = 60
"""Between the two fillings. A gateway ships its journal at most 5 s after Valkey is back."""

NOTHING = "none"
_CHUNK = 500

_FILL = """
for i, key in ipairs(KEYS) do
  local used = tonumber(redis.call('HGET', key, 'u')) or 0
  local before = tonumber(redis.call('HGET', key, 'b')) or 0
  local missing = tonumber(ARGV[2 * i - 1]) - used
  if missing > before then
    redis.call('HSET', key, 'b', string.format('%.0f', missing))
    redis.call('EXPIREAT', key, ARGV[2 * i])
  end
end
"""


def due(snapshot: TenantSnapshot, *, first: bool) -> bool:
    """Before a snapshot is stored: whether it has calendar limits that are to be filled after.

    The mark then says so too, for a worker, should this process not get so far. A tenant
    whose mark is lost is left to ``rebuild_lost``, which first waits for usage that is not
    recorded yet; ``first`` says that it never had one. Raises StoreError.
    """
    mark = read_mark(store.client().get(keys.limits_rebuilt(snapshot.tenant_id)))
    kinds = kinds_of(snapshot)
    changed = first if mark is None else mark[0] != kinds
    if changed and kinds != NOTHING:
        set_mark(snapshot.tenant_id, kinds, again=0)
        return True
    if changed or (mark is None and kinds == NOTHING):
        set_mark(snapshot.tenant_id, kinds)
    return False


def fill_twice(snapshot: TenantSnapshot) -> int:
    """``fill`` now, and once more later by a worker."""
    filled = fill(snapshot)
    set_mark(snapshot.tenant_id, kinds_of(snapshot), again=AGAIN_SECONDS)
    return filled


def fill(snapshot: TenantSnapshot) -> int:
    """Writes what was used in the current day and month; returns how many counters hold any."""
    if kinds_of(snapshot) == NOTHING:
        return 0
    now, filled = time(), 0
    periods = {kind: period_at(kind, snapshot.time_zone, now) for kind in ("day", "month")}
    with closing(users.used(snapshot, periods, records())) as theirs:
        found = chain(_known(snapshot, periods), theirs)
        while chunk := list(islice(found, _CHUNK)):
            names = [name for name, _, _ in chunk]
            values = [
                value
                for _, period, total in chunk
                for value in (total, periods[period].end + KEPT_SECONDS)
            ]
            store.client().eval(_FILL, len(names), *names, *values)
            filled += len(chunk)
    return filled


def _known(snapshot: TenantSnapshot, periods: dict[str, Period]) -> Iterator[tuple[str, str, int]]:
    """All but end users' counters that hold anything: name, kind of its period, amount."""
    calendar = [one for one in counted(snapshot) if one.limit.period]
    if not calendar:
        return
    sums = _Sums(snapshot, periods, {one.limit.period for one in calendar})
    for one in calendar:
        if total := sums.of(one):
            period = one.limit.period
            yield one.name(snapshot.tenant_id, periods[period].name), period, total


class _Sums:
    """A tenant's usage in the current periods, looked up by the columns of its records."""

    def __init__(
        self, snapshot: TenantSnapshot, periods: dict[str, Period], needed: set[str]
    ) -> None:
        day = datetime.fromtimestamp(periods["day"].start, UTC)
        month = datetime.fromtimestamp(periods["month"].start, UTC)
        open_apis = [api.id for api in snapshot.apis if not api.key_required]
        since = month if "month" in needed else day
        self._rows = records().used(UUID(snapshot.tenant_id), since, day, open_apis)
        self._by: dict[tuple[str, ...], dict[tuple[str, ...], list[Any]]] = {}

    def of(self, one: Counted) -> int:
        limit = one.limit
        columns, values = tuple(zip(*one.ids, strict=True)) or ((), ())
        rows = self._grouped(columns).get(values, ())
        return sum(
            getattr(row, limit.measure)
            for row in rows
            if (row.later or limit.period == "month")
            and (limit.measure != "cost" or row.currency == limit.currency)
        )

    def _grouped(self, columns: tuple[str, ...]) -> dict[tuple[str, ...], list[Any]]:
        if columns not in self._by:
            groups = self._by[columns] = {}
            for row in self._rows:
                key = tuple(getattr(row, column) for column in columns)
                groups.setdefault(key, []).append(row)
        return self._by[columns]


def kinds_of(snapshot: TenantSnapshot) -> str:
    """What is counted in calendar periods: its digest changes where a filling is needed."""
    kinds = {
        (place, place_id, limit.scope, limit.measure, limit.period, limit.currency)
        for place, place_id, limit in placed(snapshot)
        if limit.period
    }
    if not kinds:
        return NOTHING
    text = msgspec.json.encode([snapshot.time_zone, sorted(kinds)])
    return sha256(text).hexdigest()[:16]


def read_mark(value: bytes | None) -> tuple[str, float] | None:
    """The kinds and when to fill again, 0 for never."""
    if value is None:
        return None
    kinds, _, again = value.decode().partition(":")
    return kinds, float(again or 0)


def set_mark(tenant_id: str, kinds: str, *, again: float | None = None) -> None:
    """``again``: in how many seconds a worker is to fill the counters; None for never."""
    when = 0 if again is None else time() + again
    store.client().set(keys.limits_rebuilt(tenant_id), f"{kinds}:{when:.0f}")
