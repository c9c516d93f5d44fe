"""``GET /metrics``: any worker that gets the scrape answers for all workers of the machine.

All of them listen on the one port. Each has a number, which is the label ``worker``, and a
Unix socket of that number, where the others fetch its figures. A worker that starts anew
takes the lowest number that is free, so that there are as many series as workers, and a
counter that begins again at 0 is seen for what it is, which it would not be in a sum.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path

import msgspec

from proxy.metrics.families import CONTENT_TYPE, Block, Family, exposition
from proxy.settings import Metrics

logger = logging.getLogger(__name__)

WORKER_SECONDS = 2.0
"""A worker that says nothing for so long is reported as down."""
CLIENT_SECONDS = 5.0
HEAD_LIMIT = 8192

_decode = msgspec.msgpack.Decoder(list[Block]).decode
_encode = msgspec.msgpack.Encoder().encode

Read = Callable[[], Iterable[Family]]


class Endpoint:
    """``read`` tells the figures of this worker. ``start`` it, ``close`` it at the end."""

    def __init__(self, settings: Metrics, read: Read) -> None:
        self._settings = settings
        self._read = read
        self._number = 0
        self._lock = -1
        self._servers: list[asyncio.Server] = []

    async def start(self) -> None:
        """Raises OSError where the port or the directory of the sockets cannot be had."""
        settings = self._settings
        _make_private(settings.sockets)
        self._number, self._lock = _take_number(settings.sockets)
        path = _socket(settings.sockets, self._number)
        path.unlink(missing_ok=True)
        self._servers.append(await asyncio.start_unix_server(self._tell, path))
        path.chmod(0o600)
        self._servers.append(
            await asyncio.start_server(
                self._answer, settings.host, settings.port, reuse_port=True, limit=HEAD_LIMIT
            )
        )

    def close(self) -> None:
        for server in self._servers:
            server.close()
        if self._lock >= 0:
            _socket(self._settings.sockets, self._number).unlink(missing_ok=True)
            os.close(self._lock)

    async def _blocks(self) -> list[Block]:
        """This worker's figures. Calls go first in between: there may be many."""
        worker = str(self._number)
        up = Family("hubpo_worker_up", "gauge", "Whether a worker told its figures in time.")
        blocks = [up.add(1).block(worker)]
        for family in self._read():
            blocks.append(family.block(worker))
            await asyncio.sleep(0)
        return blocks

    async def _tell(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """To another worker, which reads to the end."""
        writer.write(_encode(await self._blocks()))
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(CLIENT_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                method, path, _ = head.split(b" ", 2)
                known = path.partition(b"?")[0] == b"/metrics" and method in (b"GET", b"HEAD")
                body = await self._all() if known else b"Metrics are at /metrics.\n"
                line = b"200 OK" if known else b"404 Not Found"
                writer.write(_head(line, body) + (b"" if method == b"HEAD" else body))
                await writer.drain()
        except (TimeoutError, OSError, ValueError, asyncio.IncompleteReadError) as error:
            logger.debug("A scrape was not answered: %r", error)
        except asyncio.LimitOverrunError:
            logger.debug("A scrape had too long a head.")
        finally:
            writer.close()

    async def _all(self) -> bytes:
        own = _socket(self._settings.sockets, self._number)
        others = sorted(path for path in own.parent.glob("metrics-*.sock") if path != own)
        told = await asyncio.gather(*map(_ask, others))
        return exposition(
            [await self._blocks(), *(blocks for blocks in told if blocks is not None)]
        )


def _head(line: bytes, body: bytes) -> bytes:
    return (
        b"HTTP/1.1 %b\r\ncontent-type: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    ) % (line, CONTENT_TYPE, len(body))


async def _ask(path: Path) -> list[Block] | None:
    """Another worker's figures; None where it is gone."""
    try:
        async with asyncio.timeout(WORKER_SECONDS):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                return _decode(await reader.read())
            finally:
                writer.close()
    except (ConnectionRefusedError, FileNotFoundError):
        return None
    except (TimeoutError, OSError, msgspec.DecodeError) as error:
        number = path.stem.removeprefix("metrics-")
        logger.warning("Worker %s does not tell its metrics: %r", number, error)
        return [Family("hubpo_worker_up", "gauge", "").add(0).block(number)]


# Numbers


def _socket(directory: Path, number: int) -> Path:
    return directory / f"metrics-{number}.sock"


def _make_private(directory: Path) -> None:
    """Raises PermissionError where the directory is another user's."""
    directory.mkdir(mode=0o711, parents=True, exist_ok=True)
    if directory.lstat().st_uid != os.getuid():
        raise PermissionError(f"{directory} belongs to another user.")


def _take_number(directory: Path) -> tuple[int, int]:
    """The lowest number, from 1, that no living worker has, and what holds it until closed."""
    for number in count(1):
        path = directory / f"metrics-{number}.lock"
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            return number, lock
    raise AssertionError
