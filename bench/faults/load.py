"""A steady load of calls to a service, chats and streams, each with a number of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from itertools import count

import httpx

from bench.faults.ledger import Ledger

RATE = 100
"""Calls per second: of ten, seven go to the service, two are chats and one is a stream."""
_PATIENCE = 10.0


class Load:
    """Clients and upstream, in an event loop in a thread of their own.

    ``outcomes`` counts statuses; 0 is a call without an answer. ``numbers`` are given in
    order, so that ``next_number`` tells the calls before from those after.
    """

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.outcomes: Counter[int] = Counter()
        self.codes: Counter[str] = Counter()
        """Codes of the errors with which the gateway answered."""
        self.recent: deque[tuple[float, int]] = deque(maxlen=1000)
        """When a call began (``time.monotonic``), and how it ended."""
        self.url = self.key = ""
        self._numbers = count(1)
        self.next_number = 1
        self._running: asyncio.Task[None] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.do(self._listen())

    def do(self, coroutine):
        """Runs it in the loop and returns what it returns."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    async def _listen(self) -> None:
        server = await asyncio.start_server(self.ledger.serve, "127.0.0.1", 0)
        self.ledger.port = server.sockets[0].getsockname()[1]
        self._server = server

    def start(self) -> None:
        async def begin() -> None:
            self._running = asyncio.create_task(self._run())

        self.do(begin())

    def stop(self) -> None:
        """Returns when all calls have ended."""

        async def end() -> None:
            if self._running is not None:
                self._running.cancel()
                await asyncio.gather(self._running, return_exceptions=True)
                self._running = None

        self.do(end())

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def number(self) -> int:
        number = next(self._numbers)
        self.next_number = number + 1
        return number

    async def _run(self) -> None:
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=50)
        under_way: set[asyncio.Task[None]] = set()
        async with httpx.AsyncClient(
            base_url=self.url, timeout=_PATIENCE, limits=limits, trust_env=False
        ) as client:
            began = time.monotonic()
            try:
                for turn in count():
                    await asyncio.sleep(began + turn / RATE - time.monotonic())
                    task = asyncio.create_task(self._call(client, self.number(), turn % 10))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
            finally:
                await asyncio.gather(*under_way)

    async def _call(self, client: httpx.AsyncClient, number: int, kind: int) -> None:
        began, status = time.monotonic(), 0
        headers = {"Authorization": f"Bearer {self.key}", "User-Agent": f"faults/{number}"}
        try:
            if kind < 7:
                answer = await client.get(f"/ledger/{number}", headers=headers)
            else:
                answer = await client.post(
                    "/v1/chat/completions", headers=headers, json=question(stream=kind == 9)
                )
            status = answer.status_code
            if status >= 400:
                self.codes[_code(answer)] += 1
        except httpx.HTTPError:
            status = 0
        self.outcomes[status] += 1
        self.recent.append((began, status))

    def well_since(self, moment: float) -> bool:
        """Whether calls are answered that began after ``moment``: the last ten all were."""
        last = [status for began, status in list(self.recent)[-10:] if began > moment]
        return len(last) == 10 and set(last) == {200}

    async def leave_streams(self, streams: int) -> dict[int, float]:
        """Opens streams and leaves each in its midst; when (``time.monotonic``), by number."""
        left: dict[int, float] = {}

        async def one() -> None:
            number = self.number()
            headers = {"Authorization": f"Bearer {self.key}", "User-Agent": f"faults/{number}"}
            async with (
                httpx.AsyncClient(base_url=self.url, timeout=_PATIENCE, trust_env=False) as client,
                client.stream(
                    "POST", "/v1/chat/completions", headers=headers, json=question(stream=True)
                ) as answer,
            ):
                assert answer.status_code == 200, await answer.aread()
                pieces = 0
                async for _ in answer.aiter_lines():
                    pieces += 1
                    if pieces == 6:
                        break
            left[number] = time.monotonic()

        await asyncio.gather(*(one() for _ in range(streams)))
        return left


def question(*, stream: bool) -> dict[str, object]:
    asked: dict[str, object] = {
        "model": "ledger-chat",
        "messages": [{"role": "user", "content": "Are you counting?"}],
    }
    return asked | {"stream": True, "stream_options": {"include_usage": True}} if stream else asked


def _code(answer: httpx.Response) -> str:
    try:
        told = answer.json()
    except ValueError:
        return "?"
    return str((told.get("error") or told).get("code", "?"))
