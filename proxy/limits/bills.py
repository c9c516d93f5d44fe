"""What batches may use, from their creation until it is known what they used.

A call holds what it may use for as long as its worker lives (``ledger``). A batch outlives both, so
what it may use is kept with the counters, and beside them a bill (``keys.limit_bill``)
that says what was added where. Whoever learns first what the batch used closes the bill: one script
call takes out what was added and counts the use, and a second one finds it closed.

Where it counts. A sliding window has a batch at the moment of its creation: at first what it may
use, then, as long as that moment is in the window, what it used. A calendar period holds what it
may use apart from what was used (``p`` in ``contract.counters``), in each period in which it can
end in time; what it used is counted in the period in which it ended, as its record is, and nowhere
else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from contract.keys import limit_bill, limits_rebuilt
from proxy.limits.items import Counter, Item, Limits
from proxy.limits.link import Link
from proxy.limits.scripts import CLOSE_BILL, OPEN_BILL
from proxy.valkey import Part, ValkeyError, pack

KEPT_SECONDS = 45 * 86_400
"""After its creation, and once more after its end: longer than a batch is asked for."""


class Used(Struct, frozen=True):
    """None where it is not known: what the batch may use goes on counting."""

    tokens: int | None = 0
    cost: int | None = 0
    currency: str = ""

    def of(self, measure: str, currency: str) -> int | None:
        if measure == "tokens":
            return self.tokens
        return self.cost if currency == self.currency or self.cost is None else 0


class _Charge(Struct, frozen=True, array_like=True):
    """Against one limit. ``counters``: names and windows of those that the batch was added to."""

    measure: Any
    subject: str
    window: int
    period: Any
    currency: str
    time_zone: str
    counters: list[tuple[str, int]]

    def counter(self, tenant_id: str, moment: float) -> tuple[str, int]:
        item = Item(
            tenant_id,
            self.measure,
            self.subject,
            0,
            window=self.window,
            period=self.period,
            currency=self.currency,
            time_zone=self.time_zone,
        )
        found = item.counter(moment)
        return found.key, found.window


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[_Charge]).decode


class Bills:
    """``link``: to the Valkey that has a tenant's counters, if there is one now."""

    def __init__(self, worker: str, link: Callable[[str], Link | None]) -> None:
        self._worker = worker
        self._link = link

    async def open(self, bill: str, limits: Limits, units: Sequence[int], seconds: int) -> None:
        """Counts ``units`` of the limits of tokens and cost. ``seconds``: within which the batch
        ends. Raises ValkeyError: then it is not known whether they count.
        """
        link = self._usable(limits.tenant_id)
        now = link.now()
        keys = {limit_bill(limits.tenant_id, bill): 1}
        charges: list[_Charge] = []
        arguments: list[Part] = []
        for item, unit in zip(limits.items, units, strict=True):
            if not item.money:
                continue
            counters = _counters(item, now, seconds)
            charges.append(
                _Charge(
                    item.measure,
                    item.subject,
                    item.window,
                    item.period,
                    item.currency,
                    item.time_zone,
                    [(counter.key, counter.window) for counter in counters],
                )
            )
            for counter in counters:
                keys[counter.key] = len(keys) + 1
                arguments += (counter.window, unit)
        await _answer(
            link.call(OPEN_BILL, keys, [self._worker, KEPT_SECONDS, _encode(charges), *arguments])
        )

    async def close(self, tenant_id: str, bill: str, used: Used, ended: float) -> None:
        """Counts what the batch used in place of what it might have, if nobody has done so.

        ``ended``: Unix time. Raises ValkeyError: then it is to be done again.
        """
        link = self._usable(tenant_id)
        name = limit_bill(tenant_id, bill)
        known = await _answer(link.send(pack(("HGET", name, "open"))))
        counted: dict[str, tuple[int, int]] = {}
        for charge in _decode(known) if known is not None else ():
            units = used.of(charge.measure, charge.currency)
            if units is None:
                continue
            for key, window in charge.counters:
                counted[key] = (window, 0 if charge.period else units)
            if charge.period:
                key, window = charge.counter(tenant_id, ended)
                counted[key] = (window, units)
        keys = {name: 1, limits_rebuilt(tenant_id): 2}
        keys |= {key: place for place, key in enumerate(counted, 3)}
        arguments: list[Part] = [self._worker, KEPT_SECONDS, int(used != Used())]
        for pair in counted.values():
            arguments += pair
        await _answer(link.call(CLOSE_BILL, keys, arguments))

    def _usable(self, tenant_id: str) -> Link:
        link = self._link(tenant_id)
        if link is None or not link.usable:
            raise ValkeyError("Valkey is away.")
        return link


def _answer(sent: asyncio.Future[Any]) -> asyncio.Future[Any]:
    """The link needs its answer, also where the call that waits for it is over."""
    return asyncio.shield(sent)


def _counters(item: Item, now: float, seconds: int) -> list[Counter]:
    """Of each period from now on in which it may end."""
    item = replace(item)  # Which remembers the counter of the period that it is asked for.
    found = [item.counter(now)]
    while found[-1].until <= now + seconds:
        found.append(item.counter(found[-1].until))
    return found
