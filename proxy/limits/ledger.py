"""What this worker holds in one Valkey, and what it has still to report there.

A settlement says how much is held no longer and how much was used. Settlements of one turn
travel together; each batch is numbered, and sent again after a lost connection until it is
answered, so it counts once. What is held is renewed every few seconds: a worker that died
stops doing so, and its holdings come back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from itertools import islice

from msgspec import Struct

from contract.keys import limits_settled
from proxy.limits.counts import Counts
from proxy.limits.items import Counter
from proxy.limits.link import Link, heed
from proxy.limits.scripts import HOLD, LEASE_SECONDS, SETTLE
from proxy.valkey import Part, Redirected

RENEW_SECONDS = LEASE_SECONDS / 4
IN_FLIGHT = 2
BATCH = 500
"""Counters in one script call."""
AGAIN_SECONDS = 0.1
"""Until a settlement is tried again that a node could not take."""
MOST_DUE = 50_000
"""Counters with something to report that are kept while Valkey is away."""


class Due:
    """To report of one counter: ``freed`` is held no longer, ``used`` was spent."""

    __slots__ = ("counter", "freed", "used")

    def __init__(self, counter: Counter) -> None:
        self.counter = counter
        self.freed = 0
        self.used = 0


class Handover(Struct):
    """What one ledger hands to another when a tenant's keys have moved."""

    held: list[tuple[Counter, int]]
    doubtful: list[Counter]
    flying: dict[int, list[Due]]
    due: list[Due]


class Ledger:
    def __init__(
        self, worker: str, link: Link, counts: Counts, numbers: Iterator[int], *, apart: bool
    ) -> None:
        """``numbers``: shared by all ledgers of the worker. ``apart``: tenants may not share a
        script call, as in a cluster."""
        self.worker = worker
        self._link = link
        self._counts = counts
        self._numbers = numbers
        self._apart = apart
        self._loop = asyncio.get_running_loop()
        self._held: dict[str, tuple[Counter, int]] = {}
        self._doubtful: dict[str, Counter] = {}
        self._due: dict[str, Due] = {}
        self._flying: dict[int, list[Due]] = {}
        """Batches that are not answered, by number."""
        self._scheduled = False

    # Holding

    def add(self, counter: Counter, amount: int) -> None:
        """The script holds so much more for this worker."""
        known = self._held.get(counter.key)
        self._held[counter.key] = (counter, amount + (known[1] if known is not None else 0))

    def forget(self, counter: Counter, amount: int) -> None:
        """So much is held no longer, which a settlement or ``restore`` will say."""
        left = self._held.pop(counter.key, (counter, 0))[1] - amount
        if left > 0:
            self._held[counter.key] = (counter, left)

    def doubt(self, counter: Counter) -> None:
        """Valkey may hold more than is noted here, until ``restore`` says what is true."""
        self._doubtful[counter.key] = counter

    def renew(self) -> None:
        self._hold((counter for counter, _ in self._held.values()), 0)

    def restore(self) -> None:
        """After a new connection: first what was not answered, then what is held now."""
        for number, batch in self._flying.items():
            self._send(number, batch)
        counters = self._doubtful
        counters |= {key: counter for key, (counter, _) in self._held.items()}
        counters |= {key: due.counter for key, due in self._due.items()}
        self._doubtful = {}
        self._hold(counters.values(), 1)
        self._flush()

    def _amount(self, counter: Counter) -> int:
        """What is held, and what is no longer and has still to be reported."""
        held, due = self._held.get(counter.key), self._due.get(counter.key)
        return (held[1] if held is not None else 0) + (due.freed if due is not None else 0)

    def _hold(self, counters: Iterable[Counter], replace: int) -> None:
        tenants: dict[str, list[Counter]] = {}
        for counter in counters:
            tenants.setdefault(counter.tenant_id if self._apart else "", []).append(counter)
        for held in tenants.values():
            for start in range(0, len(held), BATCH):
                some = held[start : start + BATCH]
                keys = {counter.held: place for place, counter in enumerate(some, 1)}
                arguments: list[Part] = [self.worker, replace, *map(self._amount, some)]
                # After a failure the next connection restores.
                self._link.call(HOLD, keys, arguments).add_done_callback(heed)

    # Moving, in a cluster

    def tenants(self) -> set[str]:
        counters = [counter for counter, _ in self._held.values()]
        counters += self._doubtful.values()
        counters += [due.counter for due in self._due.values()]
        counters += [due.counter for batch in self._flying.values() for due in batch]
        return {counter.tenant_id for counter in counters}

    def hand_over(self, tenant_id: str) -> Handover:
        """Takes out all of a tenant."""
        handover = Handover([], [], {}, [])
        for key, entry in list(self._held.items()):
            if entry[0].tenant_id == tenant_id:
                handover.held.append(self._held.pop(key))
        for key, counter in list(self._doubtful.items()):
            if counter.tenant_id == tenant_id:
                handover.doubtful.append(self._doubtful.pop(key))
        for key, due in list(self._due.items()):
            if due.counter.tenant_id == tenant_id:
                handover.due.append(self._due.pop(key))
        for number, batch in list(self._flying.items()):
            if batch[0].counter.tenant_id == tenant_id:
                handover.flying[number] = self._flying.pop(number)
        return handover

    def adopt(self, handover: Handover, *, moved: bool) -> None:
        """Takes over what another ledger handed over.

        ``moved``: what Valkey held has moved too, as it does unless the other node was lost.
        It is then not replaced, since checks may be under way here that add to it.
        """
        self._flying = dict(sorted((self._flying | handover.flying).items()))
        for counter, amount in handover.held:
            self.add(counter, amount)
        for counter in handover.doubtful:
            self.doubt(counter)
        for due in handover.due:
            self._report(due.counter, due.freed, due.used)
        if self._link.usable:
            for number, batch in handover.flying.items():
                self._send(number, batch)
            self._hold([counter for counter, _ in handover.held], int(not moved))
            doubtful, self._doubtful = self._doubtful, {}
            self._hold(doubtful.values(), 1)

    # Settling

    def settle(self, counter: Counter, freed: int, used: int) -> None:
        self.forget(counter, freed)
        self._report(counter, freed, used)

    def _report(self, counter: Counter, freed: int, used: int) -> None:
        due = self._due.get(counter.key)
        if due is None:
            if len(self._due) >= MOST_DUE:
                self._due.pop(next(iter(self._due)))
                self._counts.lost += 1
            due = self._due[counter.key] = Due(counter)
        due.freed += freed
        due.used += used
        if not self._scheduled and len(self._flying) < IN_FLIGHT:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        while self._due and self._link.usable and len(self._flying) < IN_FLIGHT:
            self._next()

    def _next(self) -> None:
        """Sends the next batch: of one tenant only where they are kept apart."""
        first = next(iter(self._due.values())).counter.tenant_id
        some = islice(
            (d for d in self._due.values() if not self._apart or d.counter.tenant_id == first),
            BATCH,
        )
        batch = list(some)
        for due in batch:
            del self._due[due.counter.key]
        number = next(self._numbers)
        self._flying[number] = batch
        self._send(number, batch)

    def _send(self, number: int, batch: list[Due]) -> None:
        keys: dict[str, int] = {}
        arguments: list[Part] = [self.worker]
        tenants: dict[str, list[Due]] = {}
        for due in batch:
            tenants.setdefault(due.counter.tenant_id, []).append(due)
        for tenant_id, some in tenants.items():
            seen = keys.setdefault(limits_settled(tenant_id, self.worker), len(keys) + 1)
            arguments += (seen, number, len(some))
            for due in some:
                counter = due.counter
                key = keys.setdefault(counter.key, len(keys) + 1)
                held = keys.setdefault(counter.held, len(keys) + 1) if counter.held else 0
                arguments += (key, held, counter.window, due.freed, due.used)
        call = self._link.call(SETTLE, keys, arguments)
        call.add_done_callback(lambda done: self._answered(done, number))

    def _answered(self, done: asyncio.Future[int], number: int) -> None:
        error = done.exception()
        if error is None:
            self._flying.pop(number, None)
            self._flush()
        elif isinstance(error, Redirected) and number in self._flying:
            # It was not looked at. Whoever has the keys now will be told when that is known.
            for due in self._flying.pop(number):
                known = self._due.setdefault(due.counter.key, Due(due.counter))
                known.freed += due.freed
                known.used += due.used
            self._loop.call_later(AGAIN_SECONDS, self._flush)

    async def close(self) -> None:
        """Returns when all is reported or the link is lost."""
        while (self._due or self._flying) and self._link.usable:
            self._flush()
            await asyncio.sleep(0.01)
