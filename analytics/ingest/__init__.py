"""From the stream to the tables: each usage event is counted there exactly once.

Entries are read as a member of a consumer group, recorded and rolled up in one transaction,
and acknowledged after its commit. Whatever dies in between leaves entries that are read
again; an event that is recorded already is then left out of the roll-ups too. Several
ingesters may run at once.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep, time_ns

from django.conf import settings
from django.db import (
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
)

from analytics.ingest.events import Call, Unusable, parse
from analytics.ingest.store import store
from analytics.ingest.stream import Entry, Stream
from analytics.live import announce
from analytics.models import PoisonEntry

__all__ = ["BATCH", "Stream", "consume", "take_again"]

logger = logging.getLogger(__name__)

BATCH = 20_000
"""Entries in one transaction. The more there are, the fewer roll-ups are touched for each."""

TRIES = 3
PAUSE = 0.1
EARLY = timedelta(days=1)
"""How far ahead of ours the clock of a gateway may be."""

# Held against the data; and against nobody: deadlocks, lost connections, a server that restarts.
_REFUSED = (DataError, IntegrityError)
_PASSING = (OperationalError, InterfaceError)
_KEPT_OF_POISON = 64 * 1024
Parsed = tuple[Entry, Call]
Refused = tuple[Entry, str]

_MICROSECONDS = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def consume(
    stream: Stream, *, seconds: float = 20.0, batch: int = BATCH, now: datetime | None = None
) -> int:
    """Takes entries until there are none or ``seconds`` are over; returns how many calls were new.

    First what this consumer left unfinished, then what consumers that died did, then the rest.
    Raises django.db.OperationalError and tenants.valkey.Unreachable without a server; the
    entries at hand are then taken up again by the next call.
    """
    deadline, new = monotonic() + seconds, 0
    with _collector_paused():
        for source in (stream.unfinished, stream.claim, stream.read):
            while monotonic() < deadline and (entries := source(batch)):
                new += _take(stream, entries, now)
    return new


@contextmanager
def _collector_paused() -> Iterator[None]:
    """A batch is a hundred thousand objects and no cycle: looking for one, again and again,
    took a third of all the ingester's time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _take(stream: Stream, entries: Sequence[Entry], now: datetime | None) -> int:
    """Records one batch, sets aside what cannot be recorded, and only then acknowledges."""
    oldest, newest = _limits(now)
    calls: list[Parsed] = []
    poison: list[Refused] = []
    for entry in entries:
        if entry.body is None:
            continue
        try:
            calls.append((entry, parse(entry.body, oldest, newest)))
        except Unusable as problem:
            poison.append((entry, str(problem)))
    new = _store(calls, poison)
    _set_aside(poison)
    stream.finish(entries)
    if new:
        announce({call.event.tenant_id for call in new})
    return len(new)


def _limits(now: datetime | None) -> tuple[int, int]:
    """The Unix microseconds between which a call can have been."""
    present = time_ns() // 1000 if now is None else (now - _EPOCH) // _MICROSECONDS
    kept = timedelta(days=settings.USAGE_RETENTION_DAYS)
    return present - kept // _MICROSECONDS, present + EARLY // _MICROSECONDS


def _store(calls: Sequence[Parsed], poison: list[Refused]) -> list[Call]:
    """Stores the calls; of those that PostgreSQL refuses it finds the culprits by halving.

    Raises what is not the data's fault. That includes a refusal of each single call of
    several: then it is the tables that are wrong.
    """
    if not calls:
        return []
    try:
        return _try(calls, TRIES)
    except _REFUSED:
        new, refused = _halve(calls)
        if len(refused) == len(calls) > 1:
            raise
        poison.extend(refused)
        return new


def _try(calls: Sequence[Parsed], tries: int) -> list[Call]:
    for attempt in range(1, tries + 1):
        try:
            return store([call for _, call in calls])
        except (*_REFUSED, *_PASSING) as error:
            if attempt == tries:
                raise
            logger.warning("Storing %d calls is tried again: %s", len(calls), error)
        connection.close_if_unusable_or_obsolete()
        sleep(PAUSE * attempt)
    raise AssertionError("never reached")


def _halve(calls: Sequence[Parsed]) -> tuple[list[Call], list[Refused]]:
    """What could be stored, and what is refused even alone."""
    try:
        return _try(calls, 1), []
    except _REFUSED as error:
        if len(calls) == 1:
            return [], [(calls[0][0], f"PostgreSQL refused it: {str(error).strip()}")]
    middle = len(calls) // 2
    (new, refused), (more, others) = _halve(calls[:middle]), _halve(calls[middle:])
    return new + more, refused + others


def _set_aside(poison: Sequence[Refused]) -> None:
    rows = [
        PoisonEntry(
            entry_id=entry.id.decode(), reason=reason, body=(entry.body or b"")[:_KEPT_OF_POISON]
        )
        for entry, reason in poison
    ]
    if rows:
        logger.warning("%d usage entries were set aside: %s", len(rows), rows[0].reason)
        PoisonEntry.objects.bulk_create(rows, ignore_conflicts=True)


def take_again(stream: Stream, entries: Iterable[PoisonEntry]) -> int:
    """Puts what was set aside back into the stream; returns how many entries that were.

    For when the cause is gone. What still cannot be recorded is set aside anew. Raises
    redis.RedisError; what was put back by then is no longer among those set aside.
    """
    count = 0
    for entry in entries:
        stream.put(bytes(entry.body))
        entry.delete()
        count += 1
    return count
