"""What a finished batch used, recorded once and counted against limits once.

Whoever first asks through the gateway for a batch that is over, or for its answers, has the file
of its answers read and a usage record written. The record's id and moment follow from the batch
alone, and of records with the same id and moment the tables hold one
(``analytics.ingest.store``): several workers may write it, and a worker may write it again, and it
counts once. Then the batch's bill is closed (``bills``), which whoever comes second finds done. A
worker that is killed before that has done nothing that the next one does not do again. What a
worker remembers only spares it the reading.
"""

from __future__ import annotations

import hashlib
import logging
from time import time
from typing import TYPE_CHECKING, Any

import msgspec

from contract.usage import BATCH, UsageEvent
from proxy.ai import usages
from proxy.ai.batches import bills, keepers
from proxy.ai.batches.places import Desk
from proxy.ai.cost import Exact, batch_micros, exact
from proxy.ai.errands import Place
from proxy.ai.errors import ProviderSays

if TYPE_CHECKING:
    from contract.snapshot import Prices
    from proxy.ai.batches.marks import Mark

logger = logging.getLogger(__name__)

OLDEST_SECONDS = 30 * 86_400
"""A batch that is over for longer is not recorded any more: its record might have been, and have
been dropped with its day."""


class Sum:
    """Of a batch's answers. ``cost`` is in millionths of a micro-unit, at the prices of calls that
    are made one by one; None where one is unknown."""

    def __init__(self, prices: Prices, format: str) -> None:  # noqa: A002
        self.prices = prices
        self._read = usages.reader(format)
        self.input_tokens = self.output_tokens = 0
        self.cached_tokens = self.reasoning_tokens = 0
        self.cost: Exact | None = 0
        self.answers = self.unreported = 0

    @property
    def tokens(self) -> int | None:
        return None if self.unreported else self.input_tokens + self.output_tokens

    @property
    def cost_micros(self) -> int | None:
        return batch_micros(self.prices, self.cost) if self.answers else 0

    def add(self, body: bytes) -> None:
        self.answers += 1
        usage = self._read(body)
        cost = exact(self.prices, usage) if usage is not None else None
        self.cost = None if cost is None or self.cost is None else self.cost + cost
        if usage is None or usage.input_tokens is None or usage.output_tokens is None:
            self.unreported += 1
        if usage is not None:
            self.input_tokens += usage.input_tokens or 0
            self.output_tokens += usage.output_tokens or 0
            self.cached_tokens += usage.cached_tokens or 0
            self.reasoning_tokens += usage.reasoning_tokens or 0


async def record(desk: Desk, place: Place, batch: dict[str, Any], mark: Mark) -> None:
    """``batch`` as the provider tells of it, ``mark`` the batch's own. Does nothing while it is
    under way. Raises AnswerUnreadable, UsageUnrecordable, LimitsUnavailable and what ``Desk.ask``
    raises: then it is not recorded, and will be when it is asked for again."""
    identifier, ended = batch.get("id"), _ended(batch)
    if not isinstance(identifier, str) or ended is None:
        return
    if not time() - OLDEST_SECONDS < ended <= time():
        return
    id_ = record_id(desk.tenant.id, place.deployment.provider.id, identifier)
    state = desk.gateway.batches
    async with state.turn(id_):
        if state.has_recorded(id_):
            return
        total = await _read(desk, place, batch, ended)
        if total is None:
            logger.error("The answers of batch %s are gone: its usage is unknown.", identifier)
        else:
            if batch.get("output_file_id"):
                _write(desk, place, id_, ended, total, mark)
            await bills.close(desk, mark.bill, total, ended)
        state.recorded(id_)


async def _read(desk: Desk, place: Place, batch: dict[str, Any], ended: int) -> Sum | None:
    """None where the answers were deleted, and not through the gateway."""
    keeper = keepers.of(place)
    total = Sum(place.deployment.prices_at(ended), keeper.format(batch))
    output = batch.get("output_file_id")
    if not isinstance(output, str) or not output:
        return total
    try:
        async for body in keeper.answers(desk, place, batch):
            total.add(body)
    except ProviderSays as error:
        if error.answered in (404, 410):
            return None
        raise
    return total


def _ended(batch: dict[str, Any]) -> int | None:
    """The Unix second at which it came to its end. Where there are answers it is the same whenever
    it is asked for; where there are none, nothing is recorded by it."""
    if batch.get("status") not in ("completed", "expired", "cancelled", "failed"):
        return None
    value = batch.get(f"{batch['status']}_at")
    if type(value) is int:
        return value
    return None if batch.get("output_file_id") else int(time())


def record_id(tenant_id: str, provider_id: str, batch_id: str) -> str:
    named = msgspec.msgpack.encode((tenant_id, provider_id, batch_id))
    return hashlib.sha256(named).hexdigest()[:32]


def _write(desk: Desk, place: Place, id_: str, ended: int, total: Sum, mark: Mark) -> None:
    exchange, journal = desk.exchange, desk.gateway.journal
    subscription = exchange.subscription
    event = UsageEvent(
        id=id_,
        at=ended * 1_000_000,
        tenant_id=desk.tenant.id,
        method=BATCH,
        path=exchange.path[:512],
        status=200,
        api_id=place.api.id,
        application_id=exchange.caller.application_id if exchange.caller is not None else "",
        key_id=mark.key,
        plan_id=subscription.plan_id if subscription is not None else "",
        model_id=place.model.id,
        model=place.model.name,
        provider_id=place.deployment.provider.id,
        deployment_id=place.deployment.id,
        input_tokens=total.input_tokens,
        output_tokens=total.output_tokens,
        cached_tokens=total.cached_tokens,
        reasoning_tokens=total.reasoning_tokens,
        cost_micros=total.cost_micros,
        currency=total.prices.currency,
        attempts=0,
        end_user=mark.user,
        routed=f"batch of {total.answers} answers",
    )
    # The slot makes sure that there is room. Should the worker end here, what it holds must not
    # stand in the record's place, nor be counted beside it: it is another call's, and used nothing.
    slot = journal.begin(msgspec.structs.replace(exchange.event(), id=desk.gateway.next_id()))
    journal.append(event, slot)
