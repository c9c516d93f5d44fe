"""The data plane as one object: start and stop, wiring, and the reserved paths.

``proxy.server`` calls it directly; to any other server it is an ASGI callable.
``/healthz`` says that the process runs, ``/readyz`` that it has snapshots to serve from;
both answer on any host, and no API can take their paths.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

from contract.secrets import Sealer, Signer
from proxy.ai.batches.shelf import Shelf
from proxy.ai.news import News
from proxy.ai.stored.holders import Holders
from proxy.errors import ClientGone, GatewayOverloaded
from proxy.exchange import Exchange, Headers, RequestHead
from proxy.gateway import Gateway
from proxy.limits import make_limiter
from proxy.observe import Observer
from proxy.pages import keep_large
from proxy.probe import Prober
from proxy.settings import Settings
from proxy.shapes import shaped
from proxy.snapshot import Holder, Watcher
from proxy.states import Teller
from proxy.sweeper import Sweeper
from proxy.usage.ship import Shipper

logger = logging.getLogger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class AsgiCall(Exchange):
    """One call as an ASGI server hands it over."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, identifier: str) -> None:
        head = RequestHead(list(scope["headers"]))
        super().__init__(
            identifier, scope["method"], scope["raw_path"], scope["query_string"], head
        )
        client = scope.get("client")
        self.client = client[0] if client else ""
        self.scheme = scope["scheme"]
        self.watched = False
        self.task = asyncio.current_task()
        self._receive = receive
        self._send = send

    async def receive(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.abandoned = True
            raise ClientGone
        self.body_done = not message.get("more_body", False)
        body: bytes = message.get("body", b"")
        return body

    async def watch(self) -> None:
        """Cancels the call when its client leaves. Only once its body has been read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self.finished and self.task is not None:
            self.abandoned = True
            self.task.cancel()

    def send_head(self, status: int, headers: Headers, length: int | None) -> Awaitable[None]:
        headers = [*headers, (b"x-request-id", self.id.encode())]
        if length is not None:
            headers.append((b"content-length", b"%d" % length))
        return self._send({"type": "http.response.start", "status": status, "headers": headers})

    def send_body(self, chunk: bytes) -> Awaitable[None]:
        return self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    def send_end(self, last: bytes) -> Awaitable[None]:
        return self._send({"type": "http.response.body", "body": last, "more_body": False})

    async def send_whole(self, status: int, headers: Headers, body: bytes, length: int) -> None:
        await self.send_head(status, headers, None if status in (204, 304) else length)
        await self.send_end(body)

    def drop(self) -> None:
        """The server drops a connection whose answer stays without its end."""


class Application:
    """One worker. Needs the server to run the lifespan protocol."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.gateway: Gateway | None = None
        self._holder = Holder()
        self._stack = AsyncExitStack()
        self._sweeper: Sweeper | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        if scope["type"] != "http":
            return self._lifespan(receive, send)
        path = scope["path"]
        if self.gateway is None or path == "/healthz" or path == "/readyz":
            return self._probe(path, send)
        return self._call(self.gateway, scope, receive, send)

    async def _call(self, gateway: Gateway, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = AsgiCall(scope, receive, send, gateway.next_id())
        if not gateway.load.room:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()

            def begin() -> None:
                if not turn.done():
                    turn.set_result(None)

            seconds = gateway.admit_in_turn(exchange, begin)
            if seconds:
                ai = exchange.raw_path.startswith(b"/v1/")
                headers, body = shaped(GatewayOverloaded(seconds), exchange.id, ai=ai)
                await exchange.respond(503, headers, body)
                return
            await turn
        gateway.active.add(exchange)
        try:
            await gateway.handle(exchange)
        finally:
            gateway.active.discard(exchange)

    def probe(self, path: str) -> tuple[int, Headers, bytes]:
        """Status, headers and body of the answer at a reserved path."""
        ready = path == "/healthz" or (self.gateway is not None and self._holder.loaded)
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
        if path == "/readyz" and self._sweeper is not None and self._sweeper.stopping:
            return 503, headers, b"This worker is stopping.\n"
        if ready:
            return 200, headers, b"ok\n"
        return 503, headers, b"No snapshot has been loaded yet.\n"

    async def _probe(self, path: str, send: Send) -> None:
        status, headers, body = self.probe(path)
        headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def forget(self, head: RequestHead) -> None:
        """It will not come again."""
        self._holder.known.pop(head, None)

    def sweeper(self, loop: asyncio.AbstractEventLoop) -> Sweeper:
        """What looks after the server's connections."""
        if self._sweeper is None:
            settings = self.settings
            self._sweeper = Sweeper(loop, settings.head_seconds, settings.stall_seconds)
            self._stack.callback(self._sweeper.close)
        return self._sweeper

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.start()
        except (OSError, ValueError) as error:
            logger.error("The gateway cannot start: %s", error)
            await self.stop()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def start(self) -> None:
        """Everything a call needs. Raises OSError and ValueError for settings that cannot work."""
        settings = self.settings
        sealer = Sealer(settings.secret_key)
        observer = Observer(settings)
        journal = observer.journal(settings.journal, settings.segment_bytes, settings.journal_bytes)
        self._stack.callback(journal.close)
        shipper = Shipper(journal, settings.redis_url)
        shipper.start()
        self._stack.push_async_callback(shipper.close)
        watcher = Watcher(self._holder, settings.redis_url, settings.snapshots, sealer)
        await watcher.start()
        self._stack.push_async_callback(watcher.close)
        limiter = make_limiter(settings.redis_url)
        await limiter.start()
        self._stack.push_async_callback(limiter.close)
        pool = observer.pool()
        self._stack.callback(pool.close)
        self.gateway = observer.gateway(
            holder=self._holder, limiter=limiter, pool=pool, journal=journal
        )
        self.gateway.load.most = settings.most_calls
        self.gateway.batches.signer = Signer(settings.secret_key)
        shelf = Shelf(settings.redis_url, sealer, settings.batch_bytes)
        self.gateway.batches.shelf = shelf
        self._stack.callback(shelf.close)
        self.gateway.holders = holders = Holders(settings.redis_url)
        self._stack.push_async_callback(holders.close)
        self._stack.callback(self.gateway.close)
        self._watch_targets(self.gateway)
        news = News(self.gateway.track, settings.redis_url)
        self._stack.push_async_callback(news.close)
        await observer.start(self.gateway, self.sweeper(asyncio.get_running_loop()))
        self._stack.push_async_callback(observer.close)
        _spare_collector()
        pages = asyncio.create_task(keep_large(self._holder))
        self._stack.callback(pages.cancel)

    def _watch_targets(self, gateway: Gateway) -> None:
        prober = Prober(self._holder, gateway.health)
        self._stack.push_async_callback(prober.close)
        url = self.settings.redis_url
        teller = Teller(self._holder, gateway.health, prober, url, gateway.worker)
        self._stack.push_async_callback(teller.close)

    async def stop(self) -> None:
        """In reverse: the calls are over by now, the journal is shipped last."""
        await self._stack.aclose()
        await asyncio.sleep(0)


def _spare_collector() -> None:
    """What is loaded now stays: the cycle collector need not look at it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def create(settings: Settings) -> Application:
    return Application(settings)
