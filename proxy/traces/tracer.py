"""Which calls are traced, and what is noted of those while they run.

``TracedGateway`` and ``TracedPool`` take the places of their plain forms where tracing is
on; the code of a call knows of neither.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Coroutine
from contextvars import ContextVar
from random import random
from time import perf_counter_ns
from typing import Any

from contract.snapshot import Target, Timeouts
from proxy.errors import GatewayError
from proxy.exchange import Exchange, RequestHead
from proxy.gateway import Gateway
from proxy.traces.context import field, new_span_id, new_trace_id, parse
from proxy.traces.export import Exporter
from proxy.traces.spans import Attempt, Traced
from proxy.upstream.pool import Lane, Pool, Response, Sender

MOST_TEXT = 512
"""Characters of a header field that a span tells."""

_TRACEPARENT = b"traceparent"


class Trace:
    """A sampled call under way. ``parent_id`` is the caller's span, or empty."""

    __slots__ = ("attempts", "parent_id", "span_id", "started", "state", "trace_id")

    def __init__(self, trace_id: str, parent_id: str, state: str, started: int) -> None:
        self.trace_id = trace_id
        self.span_id = new_span_id()
        self.parent_id = parent_id
        self.state = state
        self.started = started
        self.attempts: list[Attempt] = []

    def begin(self, target: Target, method: str, path: str) -> Attempt:
        attempt = Attempt(new_span_id(), target, method, path, self.now_us())
        self.attempts.append(attempt)
        return attempt

    def now_us(self) -> int:
        """Since the call's head arrived."""
        return (perf_counter_ns() - self.started) // 1000


_current: ContextVar[Trace | None] = ContextVar("trace", default=None)
"""The trace of the call whose task this is."""


class TracedGateway(Gateway):
    """``ratio``: of the calls that come without a trace, how many are sampled, 0 to 1."""

    def __init__(self, *, exporter: Exporter, ratio: float, **parts: Any) -> None:
        super().__init__(**parts)
        self._exporter = exporter
        self._ratio = ratio

    def handle(self, exchange: Exchange) -> Coroutine[Any, Any, None]:
        trace = self._sample(exchange)
        return super().handle(exchange) if trace is None else self._traced(trace, exchange)

    def _sample(self, exchange: Exchange) -> Trace | None:
        """The caller's decision holds; without one it is a matter of chance."""
        value = exchange.headers.get(_TRACEPARENT)
        parent = parse(value) if value is not None else None
        if parent is None:
            if random() >= self._ratio:
                return None
            return Trace(new_trace_id(), "", "", exchange.started)
        if not parent.sampled:
            return None
        state = exchange.headers.get(b"tracestate", b"")[:MOST_TEXT].decode("latin-1")
        return Trace(parent.trace_id, parent.span_id, state, exchange.started)

    async def _traced(self, trace: Trace, exchange: Exchange) -> None:
        # The upstream's parent is our span of the attempt, which the pool adds.
        pairs = [pair for pair in exchange.head.pairs if pair[0] != _TRACEPARENT]
        exchange.head = RequestHead(pairs)
        exchange.headers = exchange.head.fields
        _current.set(trace)
        try:
            await super().handle(exchange)
        finally:
            self._exporter.take(_noted(trace, exchange))


def _noted(trace: Trace, exchange: Exchange) -> Traced:
    """What the spans are made from, without the exchange and all that hangs on it."""
    return Traced(
        trace_id=trace.trace_id,
        span_id=trace.span_id,
        parent_id=trace.parent_id,
        state=trace.state,
        event=exchange.event(),
        scheme=exchange.scheme,
        host=exchange.headers.get(b"host", b"")[:MOST_TEXT].decode("latin-1"),
        client=exchange.client,
        agent=exchange.headers.get(b"user-agent", b"")[:MOST_TEXT].decode("latin-1"),
        tenant=exchange.tenant,
        attempts=trace.attempts,
    )


class TracedPool(Pool):
    """Sends each attempt of a sampled call with a ``traceparent`` of its own."""

    def call(
        self,
        lane: Lane,
        method: str,
        head: bytes,
        body: bytes | AsyncIterator[bytes],
        length: int | None,
        timeouts: Timeouts,
        until: float = 0.0,
        sender: Sender | None = None,
    ) -> Coroutine[Any, Any, Response]:
        trace = _current.get()
        if trace is None:
            return super().call(lane, method, head, body, length, timeouts, until, sender)
        return self._attempt(trace, lane, method, head, body, length, timeouts, until, sender)

    async def _attempt(
        self,
        trace: Trace,
        lane: Lane,
        method: str,
        head: bytes,
        body: bytes | AsyncIterator[bytes],
        length: int | None,
        timeouts: Timeouts,
        until: float = 0.0,
        sender: Sender | None = None,
    ) -> Response:
        path = head.split(b" ", 2)[1].partition(b"?")[0].decode("latin-1")
        attempt = trace.begin(lane.target, method, path)
        parent = field(trace.trace_id, attempt.span_id)
        head = b"%btraceparent: %b\r\n\r\n" % (head[:-2], parent)
        try:
            response = await super().call(lane, method, head, body, length, timeouts, until, sender)
        except GatewayError as error:
            attempt.error = error.code
            raise
        finally:
            attempt.ended_us = trace.now_us()
        attempt.status = response.status
        return response


def name_traces_in_logs() -> None:
    """What the gateway logs of a sampled call then tells its trace."""
    logging.getLogger(Gateway.__module__).addFilter(_name_trace)


def _name_trace(record: logging.LogRecord) -> bool:
    trace = _current.get()
    if trace is not None:
        record.msg = f"{record.msg} Trace {trace.trace_id}."
    return True
