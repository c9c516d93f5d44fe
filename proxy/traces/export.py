"""Sends the spans of calls to a collector, in batches, by OTLP over HTTP with JSON.

Source: OpenTelemetry protocol specification 1.x. Calls never wait for it: at most
``MOST_WAITING`` calls are held, and what comes beyond is dropped and counted. A collector
that is away or overloaded is tried again after a pause that doubles; what it refuses for
good is dropped.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections import deque
from urllib.parse import urlsplit

import msgspec

from contract.snapshot import Target, Timeouts
from proxy.errors import UpstreamError
from proxy.settings import Traces
from proxy.traces import spans
from proxy.upstream.pool import Pool

logger = logging.getLogger(__name__)

MOST_WAITING = 4096
BATCH = 128
"""Calls in one request: 3 ms to put together."""
INTERVAL = 0.5
"""Seconds that spans wait at most while the collector answers."""
LONGEST_PAUSE = 30.0
CLOSE_SECONDS = 1.0

_AGAIN = (429, 502, 503, 504)
_TIMEOUTS = Timeouts(connect=5.0, first_byte=10.0, idle=10.0)
_ANSWER_LIMIT = 65536

_encode = msgspec.json.Encoder().encode


class Refused(Exception):
    """The collector wants none of this, now or later."""


class Exporter:
    """``exported`` and ``dropped`` count calls. ``start`` it, ``close`` it at the end."""

    def __init__(self, settings: Traces) -> None:
        """Raises ValueError for an endpoint that is no address."""
        self.exported = 0
        self.dropped = 0
        self._target, self._path = _address(settings.endpoint)
        self._headers = [
            (b"content-type", b"application/json"),
            *((name.lower().encode(), value.encode()) for name, value in settings.headers),
        ]
        self._resource = {
            "service.name": settings.service,
            "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
            "host.name": socket.gethostname(),
        }
        self._pool = Pool()
        self._queue: deque[spans.Traced] = deque()
        self._full = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def take(self, call: spans.Traced) -> None:
        """Queues a call that is over."""
        queue = self._queue
        if len(queue) >= MOST_WAITING:
            self.dropped += 1
            return
        queue.append(call)
        if len(queue) >= BATCH:
            self._full.set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(INTERVAL):
                    await self._full.wait()
            except TimeoutError:
                pass
            self._full.clear()
            await self._drain()

    async def _drain(self) -> None:
        """Sends all that waits, however long that takes."""
        pause = INTERVAL
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            try:
                await self._send(batch)
            except asyncio.CancelledError:
                self._put_back(batch)
                raise
            except Refused as error:
                self.dropped += len(batch)
                logger.error("The collector refuses traces: %s", error)
            except UpstreamError as error:
                self._put_back(batch)
                if pause == INTERVAL:
                    logger.warning("Traces wait, the collector does not answer: %s", error.detail)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            except Exception:
                # The outermost boundary of this task: exporting must go on.
                self.dropped += len(batch)
                logger.exception("Traces could not be sent.")
            else:
                self.exported += len(batch)
                pause = INTERVAL

    def _put_back(self, batch: list[spans.Traced]) -> None:
        room = max(0, MOST_WAITING - len(self._queue))
        self.dropped += max(0, len(batch) - room)
        self._queue.extendleft(reversed(batch[:room]))

    async def _send(self, batch: list[spans.Traced]) -> None:
        """Raises UpstreamError where it is worth another try, and Refused."""
        body = _encode(spans.request(batch, self._resource))
        response = await self._pool.send(
            self._target, "POST", self._path, self._headers, body, _TIMEOUTS, private_ok=True
        )
        try:
            answer = await response.read(_ANSWER_LIMIT)
        finally:
            response.close()
        if response.status in _AGAIN:
            raise UpstreamError(f"It answered {response.status}.")
        if not 200 <= response.status < 300:
            raise Refused(f"{response.status} {answer[:200]!r}")

    async def close(self) -> None:
        """Sends what is left if that is quick."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._drain()
        except TimeoutError:
            logger.warning("The traces of %d calls are not exported.", len(self._queue))
        self._pool.close()


def _address(endpoint: str) -> tuple[Target, bytes]:
    """The collector, and the path of its traces, from an address such as ``http://host:4318``."""
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"HUBPO_OTLP_ENDPOINT must be like http://collector:4318: {endpoint!r}.")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    path = parts.path.rstrip("/") + "/v1/traces"
    if parts.scheme == "https":
        return Target("collector", "https", parts.hostname, port), path.encode()
    return Target("collector", "http", parts.hostname, port), path.encode()
