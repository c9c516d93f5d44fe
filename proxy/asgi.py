"""The ASGI callable of the data plane: start and stop, wiring, and the reserved paths.

``/healthz`` says that the process runs, ``/readyz`` that it has snapshots to serve from;
both answer on any host, and no API can take their paths.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

from contract.secrets import Sealer
from proxy.exchange import Receive, Scope, Send
from proxy.gateway import Gateway
from proxy.limits import Limiter
from proxy.settings import Settings
from proxy.snapshot import Holder, Watcher
from proxy.upstream.pool import Pool
from proxy.usage.journal import Journal
from proxy.usage.ship import Shipper

logger = logging.getLogger(__name__)


class Application:
    """One worker. Needs the server to run the lifespan protocol."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.gateway: Gateway | None = None
        self._holder = Holder()
        self._stack = AsyncExitStack()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        if scope["type"] != "http":
            return self._lifespan(receive, send)
        path = scope["path"]
        if self.gateway is None or path == "/healthz" or path == "/readyz":
            return self._probe(path, send)
        return self.gateway(scope, receive, send)

    async def _probe(self, path: str, send: Send) -> None:
        ready = path == "/healthz" or self._holder.loaded
        body = b"ok\n" if ready else b"No snapshot has been loaded yet.\n"
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
        ]
        status = 200 if ready else 503
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

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
        journal = Journal(settings.journal, settings.segment_bytes)
        self._stack.callback(journal.close)
        shipper = Shipper(journal, settings.redis_url)
        shipper.start()
        self._stack.push_async_callback(shipper.close)
        watcher = Watcher(self._holder, settings.redis_url, settings.snapshots, sealer)
        await watcher.start()
        self._stack.push_async_callback(watcher.close)
        limiter = Limiter(settings.redis_url)
        await limiter.start()
        self._stack.push_async_callback(limiter.close)
        pool = Pool()
        self._stack.callback(pool.close)
        self.gateway = Gateway(holder=self._holder, limiter=limiter, pool=pool, journal=journal)
        self._stack.callback(self.gateway.close)
        _spare_collector()

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
