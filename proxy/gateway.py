"""The whole call on one screen.

Tenant by host or key; API and route by path; application by key; subscription and
policies; then on to the upstream, the model or the prompt. Whatever happens, one usage
event is on disk before the answer is over.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import count
from secrets import token_hex
from time import perf_counter_ns
from typing import TYPE_CHECKING

from proxy import forward, identify
from proxy.ai import endpoints, prompts
from proxy.ai.batches.state import State
from proxy.ai.meaning import Meanings
from proxy.ai.track import Track
from proxy.balance import Balance
from proxy.bodies import Bodies
from proxy.errors import (
    ClientGone,
    GatewayError,
    GatewayStopping,
    InternalError,
    MethodNotAllowed,
    RouteNotFound,
    TenantSuspended,
)
from proxy.exchange import Exchange
from proxy.health import Health
from proxy.limits import AnyLimiter
from proxy.overload import Load, Share
from proxy.policies import Step, limit_report, subscription
from proxy.route import Listen, Path
from proxy.runtime import ApiRuntime, RouteRuntime
from proxy.shapes import render
from proxy.snapshot import Holder, Match, Site
from proxy.upstream.pool import Pool
from proxy.usage.journal import Journal

if TYPE_CHECKING:
    from proxy.ai.stored.holders import Holders
    from proxy.asgi import AsgiCall

logger = logging.getLogger(__name__)

_NO_ROUTE = "No route of this API answers at this path. Check it against the API's documentation."

WATCH_SECONDS = 0.25
"""A call that takes longer is watched for a client that leaves."""


_SERVE: dict[str, Callable[[Exchange, Gateway], Awaitable[None]]] = {
    "ai": endpoints.serve,
    "prompt": prompts.serve,
    "limits": limit_report.serve,
}
"""What answers APIs that are not forwarded, by their kind."""


class Gateway:
    """What a call needs, besides its tenant, to be answered."""

    def __init__(
        self, *, holder: Holder, limiter: AnyLimiter, pool: Pool, journal: Journal
    ) -> None:
        self.holder = holder
        self.limiter = limiter
        self.pool = pool
        self.journal = journal
        self.health = Health()
        self.balance = Balance(self.health)
        self.track = Track()
        self.meanings = Meanings()
        self.load = Load()
        self.load.start()
        self.bodies = Bodies()
        self.batches = State()
        self.holders: Holders | None = None
        """Of responses that providers keep."""
        self.active: set[AsgiCall] = set()
        """Calls whose server tells of a client that leaves only where it is asked."""
        self.worker = token_hex(8)
        """Unique over all workers and nodes."""
        self.strangers: Counter[str] = Counter()
        """By error code, calls refused before their tenant was known: there is no record."""
        self._numbers = count(1)
        self._loop = asyncio.get_running_loop()
        self._sweeper = self._loop.call_later(WATCH_SECONDS, self._sweep)
        self._watchers: set[asyncio.Task[None]] = set()

    def next_id(self) -> str:
        """Unique over all workers and nodes; in order within one."""
        return "%s%016x" % (self.worker, next(self._numbers))  # noqa: UP031 - faster

    async def handle(self, exchange: Exchange) -> None:
        exchange.entered = True
        exchange.journal = self.journal
        share: Share | None = None
        try:
            site = identify.site(exchange, self.holder)
            tenant = exchange.tenant = site[0]
            share = self.load.shares.get(tenant.id) or self.load.share(tenant.id)
            share.begun += 1
            share.in_flight += 1
            if tenant.suspended is not None:
                raise TenantSuspended(_suspension(tenant.suspended))
            api = self._route(exchange, site)
            identify.application(exchange, tenant, api)
            if exchange.abandoned:
                raise ClientGone
            if api.kind == "http":
                for step in self.steps(exchange, api):
                    waiting = step(exchange, self)
                    if waiting is not None:
                        await waiting
                await forward.http(exchange, self, api)
            else:
                await _SERVE[api.kind](exchange, self)
        except GatewayError as error:
            await self._refuse(exchange, error)
        except asyncio.CancelledError:
            if exchange.stopped:
                await self._refuse(exchange, GatewayStopping())
            elif not exchange.abandoned:
                raise
        except Exception:
            # The outermost boundary of a call: a fault ends this call and no other.
            logger.exception("Request %s failed.", exchange.id)
            await self._refuse(exchange, InternalError())
        finally:
            if not exchange.finished:
                exchange.drop()
            exchange.record()
            if share is not None:
                share.in_flight -= 1
            if exchange.holds:
                self.bodies.release(exchange)

    def admit_in_turn(self, exchange: Exchange, begin: Callable[[], object]) -> int:
        """To be asked while there is no ``load.room``. Where the call is taken, 0, and it is begun
        when its turn comes; else the seconds after which to ask again."""
        try:
            tenant_id = identify.site(exchange, self.holder)[0].id
        except GatewayError:
            tenant_id = ""
        return self.load.admit(tenant_id, self._loop.time(), begin)

    def _route(self, exchange: Exchange, site: Site) -> ApiRuntime:
        """Sets what a match holds. Raises RouteNotFound and MethodNotAllowed."""
        raw = exchange.raw_path
        listen = site[1]
        match = listen.remembered.get((exchange.method, raw))
        if match is None:
            match = find(listen, raw.decode("latin-1"), exchange)
            listen.remember(exchange.method, raw, match)
        exchange.api, exchange.route, exchange.rest, exchange.onward = match
        return match[0]

    async def admit(self, exchange: Exchange, api: ApiRuntime) -> None:
        """Subscription and policies of ``api``. Raises what they refuse with."""
        for step in self.steps(exchange, api):
            waiting = step(exchange, self)
            if waiting is not None:
                await waiting

    def steps(self, exchange: Exchange, api: ApiRuntime) -> tuple[Step, ...]:
        """The policies to pass. Sets the exchange's API, route, subscription and plan.

        Raises Forbidden where there is no approved subscription.
        """
        tenant = exchange.tenant
        route = exchange.route
        if tenant is None:
            raise RouteNotFound
        if route is None or route.api_id != api.id:
            exchange.api, route = api, api.base
            exchange.route = route
        if api.key_required:
            caller = exchange.caller
            found = subscription.require(caller, api)
            exchange.subscription = found
            return found.steps(route, caller)  # type: ignore[arg-type]
        return route.open_steps

    async def _refuse(self, exchange: Exchange, error: GatewayError) -> None:
        exchange.error_code = error.code
        # Its frames refer to it, and what they hold would wait for the cycle collector.
        error.__traceback__ = None
        if exchange.tenant is None:
            self.strangers[error.code] += 1
        if exchange.status or exchange.abandoned:
            # The answer has begun or nobody reads it. Without its end the server drops it.
            return
        headers, body = render(error, exchange)
        await exchange.respond(error.status, headers, body)

    # Clients that leave

    def _sweep(self) -> None:
        """Watching costs a task, so only the calls that take long are watched."""
        old = perf_counter_ns() - int(WATCH_SECONDS * 1e9)
        for exchange in self.active:
            if exchange.started < old and exchange.body_done and not exchange.watched:
                exchange.watched = True
                task = self._loop.create_task(exchange.watch())
                self._watchers.add(task)
                task.add_done_callback(self._watchers.discard)
        self._sweeper = self._loop.call_later(WATCH_SECONDS, self._sweep)

    def close(self) -> None:
        self.load.close()
        self._sweeper.cancel()
        for task in self._watchers:
            task.cancel()


def find(listen: Listen[ApiRuntime, Match], raw: str, exchange: Exchange) -> Match:
    """What answers at a raw path. Raises RouteNotFound and, with the API set, MethodNotAllowed."""
    path = Path(raw)
    found = listen.find(path.plain)
    if found is None or path.escapes:
        raise RouteNotFound
    if path.loose is not None and listen.find(path.loose) != found:
        raise RouteNotFound
    api, depth = found
    exchange.api = api
    if api.kind != "http":
        return api, api.base, path.below(depth), b""
    route, params = _find_route(api, path, depth, exchange.method)
    onward = path.below(depth) if route.rewrite is None else route.rewrite(params)
    return api, route, "", (onward if onward.startswith("/") else "/" + onward).encode()


def _find_route(
    api: ApiRuntime, path: Path, depth: int, method: str
) -> tuple[RouteRuntime, dict[str, str]]:
    allowed: set[str] = set()
    found = api.routes.find(path.plain[depth:], method, allowed)
    if found is None:
        if allowed:
            raise MethodNotAllowed(sorted(allowed | {"HEAD"} if "GET" in allowed else allowed))
        raise RouteNotFound(_NO_ROUTE)
    route, indexes = found
    if path.loose is not None:
        other = api.routes.find(path.loose[depth:], method, set())
        if other is None or other[0] is not route:
            raise RouteNotFound(_NO_ROUTE)
    if not indexes:
        return route, {}
    raw = path.raw[depth:]
    values = [raw[index] if index < len(raw) else "" for index in indexes]
    if route.tail and (rest := "/".join(raw[indexes[-1] :])):
        values[-1] = rest + "/" if path.slash else rest
    return route, dict(zip(route.names, values, strict=True))


def _suspension(reason: str) -> str:
    stop = "" if reason.endswith((".", "!", "?")) else "."
    return f"This tenant is suspended: {reason}{stop} Contact the platform's operator."
