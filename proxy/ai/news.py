"""What providers tell one worker of limits that run low, for all workers and nodes.

Told every quarter of a second where there is something to tell, beside the calls and not before
them. It is a guide: what is not heard, because Valkey is away or the worker has just begun, each
worker is told by the provider's next answer.
"""

from __future__ import annotations

import asyncio
import logging
from secrets import token_hex
from typing import Any

import msgspec
from msgspec import Struct

from contract.keys import PROVIDER_LIMITS_CHANNEL
from proxy.ai.limit_headers import Word
from proxy.ai.track import Track
from proxy.cluster import Reach, connect
from proxy.valkey import ValkeyError

logger = logging.getLogger(__name__)

EVERY = 0.25
RETRY_SECONDS = 1.0


class _Told(Struct, array_like=True):
    """``words`` by the deployments' keys, which have the tenant in them."""

    worker: str
    words: dict[str, list[Word]]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Told).decode


class News:
    """``close`` it at the end."""

    def __init__(self, track: Track, url: str) -> None:
        self._track = track
        self._url = url
        self._reach = Reach(url)
        self._worker = token_hex(6)
        self._tasks = [asyncio.create_task(self._tell()), asyncio.create_task(self._listen())]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._reach.close()

    async def _tell(self) -> None:
        track = self._track
        while True:
            await asyncio.sleep(EVERY)
            if track.news:
                told = _encode(_Told(self._worker, track.news))
                track.news = {}
                try:
                    await self._reach.ask("PUBLISH", PROVIDER_LIMITS_CHANNEL, told)
                except ValkeyError as error:
                    logger.debug("Limits of providers could not be told: %s", error)

    async def _listen(self) -> None:
        while True:
            try:
                connection = await connect(self._url, PROVIDER_LIMITS_CHANNEL, on_push=self._heard)
            except ValkeyError as error:
                logger.debug("Limits of providers are not heard of: %s", error)
            else:
                connection.subscribe(PROVIDER_LIMITS_CHANNEL)
                try:
                    await asyncio.wait([connection.lost])
                finally:
                    connection.close()
            await asyncio.sleep(RETRY_SECONDS)

    def _heard(self, message: list[Any]) -> None:
        if message[0] != b"message":
            return
        try:
            told = _decode(message[2])
        except msgspec.DecodeError as error:
            logger.warning("Limits of providers were told in another form: %s", error)
            return
        if told.worker != self._worker:
            for key, words in told.words.items():
                self._track.heard(key, words)
