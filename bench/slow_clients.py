"""What slow clients cost the others: ``python -m bench.slow_clients``.

Normal calls go to one gateway worker at a steady rate, first alone, then beside 500 clients
that send a head, or a body, or take an answer, a byte a second. All but the worker is on a core
of its own. Printed are the latency of
the normal calls and how long the last of the slow clients was let go on.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from bench import tenants
from bench.cases import API_KEY, REST_GET
from bench.measure import Load, job
from bench.subjects.hubpo import valkey, worker
from bench.subjects.processes import LOAD_CORE, cpu_seconds, upstream

MEGABYTE = 1 << 20
LARGE = 64 * MEGABYTE
"""Bytes of the answer that is taken slowly: more than the kernel's buffers hold."""
GIVEN_UP = 60.0
"""Seconds after which a slow client that is still open counts as never closed."""
_HEAD = f"Host: bench.localhost\r\nX-API-Key: {API_KEY}\r\n"
_POST = f"POST {tenants.rest_path(1)}/item HTTP/1.1\r\n{_HEAD}Content-Length: {LARGE}\r\n\r\n"
_GET = f"GET {tenants.rest_path(1)}/item HTTP/1.1\r\n{_HEAD}"
KINDS = {"head": _GET + "X-Slow: ", "body": _POST, "read": _GET + "\r\n"}
"""What each kind of slow client begins with."""


async def _large(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The upstream of the slow: answers a GET with very much, reads a POST to its end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
            for _ in range(LARGE // 65536):
                writer.write(bytes(65536))
                await writer.drain()
        while await reader.read(65536):
            pass
    except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
        pass
    finally:
        writer.close()


class Refused(Exception):
    """The worker had too much to do."""


async def _slow(kind: str, port: int, offset: float) -> float:
    """Seconds until the gateway closed it. It begins ``offset`` seconds later than the first, so
    that not all move at the same moment. Raises Refused.
    """
    loop = asyncio.get_running_loop()
    await asyncio.sleep(offset)
    with socket.socket() as client:
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await loop.sock_connect(client, ("127.0.0.1", port))
        began = perf_counter()
        await loop.sock_sendall(client, KINDS[kind].encode())
        if kind == "read" and b" 503 " in await loop.sock_recv(client, 16):
            raise Refused
        while perf_counter() - began < GIVEN_UP:
            await asyncio.sleep(1)
            try:
                if kind == "read":
                    # What the kernel holds can still be read after the reset.
                    gone = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if gone or not await loop.sock_recv(client, 1):
                        break
                    continue
                await loop.sock_sendall(client, b"x")
                if client.recv(4096) == b"":
                    break
            except BlockingIOError:
                continue
            except ConnectionError:
                break
        return perf_counter() - began


async def _normal(port: int, rate: int, seconds: float) -> dict[str, Any]:
    work = job(port, [REST_GET.request(port)], REST_GET.answer)
    work |= {"rate": rate, "connections": 32, "warmup": 2.0, "seconds": seconds}
    load = Load("bench.steady", work)

    def run() -> dict[str, Any]:
        load.await_start()
        load.await_end()
        return load.result()

    return await asyncio.to_thread(run)


@asynccontextmanager
async def _gateway(work: Path) -> AsyncIterator[tuple[int, int]]:
    """The port and process id of a worker before a plain and a large upstream."""
    large = await asyncio.start_server(_large, "127.0.0.1", 0, backlog=1024)
    with upstream() as plain, valkey(work) as url:
        tenants.store(url, [tenants.small(plain, large.sockets[0].getsockname()[1])])
        with worker(url, work / "hubpo") as running:
            yield running
    large.close()


def _memory(pid: int) -> float:
    """Megabytes resident now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / MEGABYTE


def _line(name: str, figures: dict[str, Any], more: str = "") -> None:
    print(f"{name:22} p50 {figures['p50_ms']:6.2f} ms   p99 {figures['p99_ms']:6.2f} ms   {more}")


async def run(kinds: list[str], clients: int, rate: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory(prefix="hubpo-slow-") as directory:
        async with _gateway(Path(directory)) as (port, pid):
            for kind in kinds:
                _line("alone", await _normal(port, rate, seconds))
                before, spent = _memory(pid), cpu_seconds(pid)
                slow = [asyncio.create_task(_slow(kind, port, n / clients)) for n in range(clients)]
                await asyncio.sleep(5)
                busy = (cpu_seconds(pid) - spent) / 5
                beside = await _normal(port, rate, seconds)
                grown = _memory(pid) - before
                told = await asyncio.gather(*slow, return_exceptions=True)
                lasted = [each for each in told if not isinstance(each, Refused)]
                more = f"closed after {min(lasted):.0f} to {max(lasted):.0f} s, {grown:+.0f} MB, "
                more += f"{busy:.1%} of a core for these alone"
                _line(f"beside {len(lasted)} slow {kind}", beside, more)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--rate", type=int, default=1000, help="normal calls a second")
    parser.add_argument(
        "--seconds", type=float, default=18.0, help="long enough for them to be given up meanwhile"
    )
    parser.add_argument("--kind", choices=KINDS, action="append", help="only these")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    os.sched_setaffinity(0, {LOAD_CORE})
    asyncio.run(run(options.kind or list(KINDS), options.clients, options.rate, options.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
