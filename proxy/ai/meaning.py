"""How near a question is in meaning to example prompts.

Both are embedded by one of the tenant's models, at its deployment with the lowest ``priority`` that
can be called, and compared by cosine. Vectors of two deployments are never compared, since they
may be of two models. The examples' are asked for once and kept: anew where the condition, the
deployment or its provider's address changes. A question's are kept for a while by its digest.

``Meanings`` is mutable state shared between calls, and nothing in it between tenants. It is bounded
for each tenant and in all. Calls that want the same vectors at once ask once: what these cost is
paid by the first of them (``Exchange.embedded``).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha256
from operator import mul
from time import monotonic, perf_counter_ns
from typing import TYPE_CHECKING

from contract.routing import LONGEST_EXAMPLE, MOST_EXAMPLES
from proxy.ai import cost
from proxy.ai.embedding import Vectors, embed
from proxy.ai.errors import AnswerUnreadable, ModelUnavailable
from proxy.errors import GatewayError

if TYPE_CHECKING:
    from array import array

    from contract.routing import Condition
    from contract.snapshot import Prices
    from proxy.ai.middle import Usage
    from proxy.ai.runtime import DeploymentRuntime, ModelRuntime
    from proxy.exchange import Exchange
    from proxy.gateway import Gateway
    from proxy.runtime import TenantRuntime

SECONDS = 1.5
"""How long a call waits for vectors, the examples' and the question's together."""
REST_SECONDS = 5.0
"""How long an embedding model is not asked again after it has failed."""
LONGEST = 8000
"""Characters of a question that are embedded."""
LIFETIME = 600.0
"""Seconds for which a question's vector is kept."""
TENANT_BYTES = 2_097_152
TENANTS = 32
"""Of each of the last so many tenants, so many bytes of vectors are kept in a worker."""
_OVERHEAD = 400
"""Bytes that an entry takes besides its numbers."""


class Untold(Exception):
    """It cannot be told. The text says why, in words that follow the model's name."""


class _Kept:
    """``bill``: what they cost, until some call has paid it. ``until``: None for always."""

    __slots__ = ("bill", "size", "until", "vectors")

    def __init__(
        self, vectors: Vectors, bill: tuple[Prices, Usage] | None, until: float | None
    ) -> None:
        self.vectors = vectors
        self.bill = bill
        self.until = until
        self.size = sum(_OVERHEAD + len(vector) * vector.itemsize for vector in vectors)


class _Flight:
    """Vectors that are asked for. Once nobody waits for them any more they are given up."""

    __slots__ = ("key", "task", "waiting")

    def __init__(self, key: bytes, task: asyncio.Task[_Kept]) -> None:
        self.key = key
        self.task = task
        self.waiting = 0


class _Shelf:
    """What is kept of a tenant's, what was used last at the end."""

    __slots__ = ("_clock", "_kept", "_size", "flights", "rests")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._size = 0
        self.flights: dict[bytes, _Flight] = {}
        self.rests: dict[str, float] = {}
        """Until when an embedding model is not asked, by id."""

    def get(self, key: bytes) -> _Kept | None:
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept.until is not None and kept.until <= self._clock():
            self.drop(key)
            return None
        self._kept.move_to_end(key)
        return kept

    def made(self, vectors: Vectors, bill: tuple[Prices, Usage], lifetime: float | None) -> _Kept:
        return _Kept(vectors, bill, None if lifetime is None else self._clock() + lifetime)

    def fly(self, key: bytes, task: asyncio.Task[_Kept]) -> _Flight:
        flight = self.flights[key] = _Flight(key, task)
        task.add_done_callback(lambda task: self._landed(flight))
        return flight

    def give_up(self, flight: _Flight) -> None:
        flight.task.cancel()
        # Whoever comes next is not to join it.
        self.flights.pop(flight.key, None)

    def _landed(self, flight: _Flight) -> None:
        task = flight.task
        if self.flights.get(flight.key) is flight:
            del self.flights[flight.key]
        if not task.cancelled() and task.exception() is None:
            self._put(flight.key, task.result())

    def _put(self, key: bytes, kept: _Kept) -> None:
        self.drop(key)
        self._kept[key] = kept
        self._size += kept.size
        while self._size > TENANT_BYTES and len(self._kept) > 1:
            self.drop(next(iter(self._kept)))

    def drop(self, key: bytes) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._size -= kept.size

    def failed(self, model_id: str) -> None:
        now = self._clock()
        self.rests = {id_: until for id_, until in self.rests.items() if until > now}
        self.rests[model_id] = now + REST_SECONDS


class Meanings:
    """One for each worker."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._shelves: OrderedDict[str, _Shelf] = OrderedDict()

    async def near(
        self, exchange: Exchange, gateway: Gateway, condition: Condition, text: str
    ) -> int:
        """0 to 100: how near ``text``, which is not empty, comes to one of the condition's
        examples. Raises Untold."""
        tenant: TenantRuntime = exchange.tenant  # type: ignore[assignment]
        model = tenant.models.get(condition.embedding_model)
        if model is None or "embeddings" not in model.model.abilities:
            raise Untold("is not there")
        shelf = self._shelf(tenant.id)
        if shelf.rests.get(model.id, 0.0) > self._clock():
            raise Untold("has just failed")
        values = condition.values[:MOST_EXAMPLES]
        examples = tuple(value[:LONGEST_EXAMPLE] for value in values if value.strip())
        if not examples:
            return 0
        wanted = _Wanted(exchange, gateway, tenant, shelf, examples, text[:LONGEST])
        try:
            question, shown = await wanted.of(model)
        except TimeoutError:
            shelf.failed(model.id)
            raise Untold(f"took longer than {SECONDS} s") from None
        except GatewayError as error:
            shelf.failed(model.id)
            raise Untold(f"failed ({error.code})") from None
        return _nearest(question[0], shown)

    def _shelf(self, tenant_id: str) -> _Shelf:
        shelf = self._shelves.get(tenant_id)
        if shelf is None:
            shelf = self._shelves[tenant_id] = _Shelf(self._clock)
            if len(self._shelves) > TENANTS:
                self._shelves.popitem(last=False)
        else:
            self._shelves.move_to_end(tenant_id)
        return shelf


class _Wanted:
    """The vectors that one call wants."""

    __slots__ = ("_examples", "_exchange", "_gateway", "_shelf", "_tenant", "_text")

    def __init__(
        self,
        exchange: Exchange,
        gateway: Gateway,
        tenant: TenantRuntime,
        shelf: _Shelf,
        examples: tuple[str, ...],
        text: str,
    ) -> None:
        self._exchange = exchange
        self._gateway = gateway
        self._tenant = tenant
        self._shelf = shelf
        self._examples = examples
        self._text = text

    async def of(self, model: ModelRuntime) -> tuple[Vectors, Vectors]:
        """The question's and the examples'. Raises TimeoutError and GatewayErrors."""
        order = [one for one in model.deployments if one.weight > 0]
        order.sort(key=lambda one: one.deployment.priority)
        failure: GatewayError = ModelUnavailable()
        tried: list[str] = []
        until = asyncio.get_running_loop().time() + SECONDS
        while (deployment := self._gateway.balance.first(order, tried)) is not None:
            tried.append(deployment.id)
            try:
                return await self._at(deployment, until)
            except GatewayError as error:
                failure = error
        raise failure

    async def _at(self, deployment: DeploymentRuntime, until: float) -> tuple[Vectors, Vectors]:
        place, shelf = _place(deployment), self._shelf
        asked = place + sha256(self._text.encode()).digest()
        shown = place + _digest(self._examples)
        question, examples = shelf.get(asked), shelf.get(shown)
        if question is None or examples is None:
            began = perf_counter_ns()
            flights = []
            if question is None:
                flights.append(self._join(asked, deployment, (self._text,), LIFETIME))
            if examples is None:
                flights.append(self._join(shown, deployment, self._examples, None))
            try:
                async with asyncio.timeout_at(until):
                    for flight in flights:
                        await asyncio.shield(flight.task)
            finally:
                self._leave(flights)
                self._exchange.upstream_us += (perf_counter_ns() - began) // 1000
            question = question or flights[0].task.result()
            examples = examples or flights[-1].task.result()
        if len(question.vectors[0]) != len(examples.vectors[0]):
            # Another model answers there than before.
            shelf.drop(shown)
            raise AnswerUnreadable
        return question.vectors, examples.vectors

    def _join(
        self,
        key: bytes,
        deployment: DeploymentRuntime,
        texts: tuple[str, ...],
        lifetime: float | None,
    ) -> _Flight:
        flight = self._shelf.flights.get(key)
        if flight is None:
            asking = _fetch(self._gateway, self._tenant, self._shelf, deployment, texts, lifetime)
            flight = self._shelf.fly(key, asyncio.get_running_loop().create_task(asking))
        flight.waiting += 1
        return flight

    def _leave(self, flights: Sequence[_Flight]) -> None:
        """Pays for what has been answered, unless another call has."""
        for flight in flights:
            flight.waiting -= 1
            if not flight.task.done():
                if not flight.waiting:
                    self._shelf.give_up(flight)
            elif not flight.task.cancelled() and flight.task.exception() is None:
                kept = flight.task.result()
                if kept.bill is not None:
                    _pay(self._exchange, kept.bill)
                    kept.bill = None


def _pay(exchange: Exchange, bill: tuple[Prices, Usage]) -> None:
    """What follows may cost more: ``calls.account``."""
    exchange.embedded = [*(exchange.embedded or ()), bill]
    exchange.currency = bill[0].currency
    exchange.cost_micros = cost.sum_micros(*exchange.embedded)


async def _fetch(
    gateway: Gateway,
    tenant: TenantRuntime,
    shelf: _Shelf,
    deployment: DeploymentRuntime,
    texts: tuple[str, ...],
    lifetime: float | None,
) -> _Kept:
    vectors, usage = await embed(gateway, tenant, deployment, texts)
    return shelf.made(vectors, (deployment.prices, usage), lifetime)


def _nearest(question: array[float], examples: Vectors) -> int:
    cosine: float = max(sum(map(mul, question, example)) for example in examples)
    return min(100, round(100 * max(0.0, cosine)))


def _place(deployment: DeploymentRuntime) -> bytes:
    """Where vectors come from."""
    provider = deployment.provider.provider
    settings = (part for pair in sorted(provider.settings.items()) for part in pair)
    where = deployment.id, provider.id, provider.preset, provider.base_url
    return _digest((*where, deployment.deployment.model, *settings))


@lru_cache(maxsize=1024)
def _digest(texts: tuple[str, ...]) -> bytes:
    return sha256(repr(texts).encode()).digest()
