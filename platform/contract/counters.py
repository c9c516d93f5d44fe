"""What the counters of limits hold in Valkey, and how they are read.

A counter (``keys.limit_counter``) is a hash:

- of a sliding window: a field for each slot, a sixtieth of the window, by its number since
  the epoch, and ``n``, their sum, and ``f``, the first slot that ``n`` still holds
- of a calendar period: ``u``, what gateways counted, ``b``, what had been used before
  they began, as written from the records of usage, and ``p``, what batches that are not over
  may use

Beside it (``keys.limit_held``) is what calls under way have reserved, by worker: a field
with the worker's name holds the amount, one with ``d:`` before the name until when it
counts, in Unix microseconds; workers renew that for as long as they live. Concurrency has
nothing but this.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

SLOTS = 60

Fields = Mapping[bytes, bytes]


class Reading(Struct, frozen=True):
    """In the limit's own unit: calls, tokens, or micro-units of a currency.

    ``free_at``: of a sliding window, when all that was used is free again, in Unix
    microseconds; 0 where nothing is used.
    """

    used: int
    reserved: int
    free_at: int = 0


def read(counter: Fields, held: Fields, window: int, now: int) -> Reading:
    """``window`` in seconds, 0 for calendar periods and concurrency; ``now`` in Unix
    microseconds by Valkey's clock."""
    free_at = 0
    pending = 0
    if window:
        oldest = slot_at(now, window) - SLOTS
        slots = {int(name): int(value) for name, value in counter.items() if name.isdigit()}
        filled = [slot for slot, value in slots.items() if slot >= oldest and value]
        used = sum(slots[slot] for slot in filled)
        if filled:
            free_at = (max(filled) + SLOTS + 1) * window * 1_000_000 // SLOTS
    else:
        used = int(counter.get(b"u", 0)) + int(counter.get(b"b", 0))
        pending = int(counter.get(b"p", 0))
    reserved = pending + sum(
        int(value)
        for name, value in held.items()
        if not name.startswith(b"d:") and int(held.get(b"d:" + name, 0)) > now
    )
    return Reading(used, reserved, free_at)


def slot_at(now: int, window: int) -> int:
    return now * SLOTS // (window * 1_000_000)
