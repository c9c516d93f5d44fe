"""The stream in Valkey as its consumers see it.

An entry stays with the consumer that read it until it is acknowledged, and is then deleted.
What a consumer that died had read is claimed by the others after ``idle`` seconds.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import redis
from redis.cluster import RedisCluster

from contract.keys import USAGE_STREAM
from tenants.valkey import connect

GROUP = "analytics"
IDLE = 6.0
"""Seconds after which an entry that was read but not acknowledged is claimed; no batch
takes that long, and one that does is only done twice and counted once."""

_FIELD = b"e"
_CONSUMER = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


class Entry(NamedTuple):
    """``body`` is None where the entry is gone from the stream, empty where it is no such entry."""

    id: bytes
    body: bytes | None


class Stream:
    """One consumer. Methods raise tenants.valkey.Unreachable."""

    def __init__(self, url: str, consumer: str = _CONSUMER, idle: float = IDLE) -> None:
        self._client = connect(url, protocol=2, socket_timeout=10)
        # Left alone, redis-py would make a dictionary of each entry, as it does in a cluster.
        for command in ("XREADGROUP", "XAUTOCLAIM"):
            self._client.set_response_callback(command, lambda answer, **_: answer)
        self.consumer = consumer
        self._idle = int(idle * 1000)

    def __repr__(self) -> str:
        return f"<Stream {USAGE_STREAM} read by {self.consumer}>"

    def read(self, count: int) -> list[Entry]:
        """The next entries that nobody has read; nothing where there are none."""
        return self._read(">", count)

    def unfinished(self, count: int) -> list[Entry]:
        """Entries that this consumer has read and not acknowledged."""
        return self._read("0", count)

    def _read(self, start: str, count: int) -> list[Entry]:
        group = ("GROUP", GROUP, self.consumer)
        answer = self._ask("XREADGROUP", *group, "COUNT", count, "STREAMS", USAGE_STREAM, start)
        return _entries(answer[0][1]) if answer else []

    def claim(self, count: int) -> list[Entry]:
        """Takes over entries of consumers that are gone."""
        group = (GROUP, self.consumer)
        answer = self._ask("XAUTOCLAIM", USAGE_STREAM, *group, self._idle, "0", "COUNT", count)
        return _entries(answer[1])

    def finish(self, entries: Sequence[Entry]) -> None:
        """Acknowledges and deletes."""
        ids = [entry.id for entry in entries]
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.xack(USAGE_STREAM, GROUP, *ids)
            pipeline.xdel(USAGE_STREAM, *ids)
            pipeline.execute()

    def put(self, body: bytes) -> None:
        """One entry, as a gateway would."""
        self._client.xadd(USAGE_STREAM, {_FIELD: body})

    def drop_consumers(self, idle: timedelta = timedelta(days=1)) -> int:
        """Takes out of the group those that are gone for so long and left nothing unfinished."""
        gone = [
            one["name"]
            for one in self._client.xinfo_consumers(USAGE_STREAM, GROUP)
            if one["pending"] == 0 and one["idle"] >= idle / timedelta(milliseconds=1)
        ]
        for name in gone:
            self._client.xgroup_delconsumer(USAGE_STREAM, GROUP, name)
        return len(gone)

    def close(self) -> None:
        self._client.close()

    def _ask(self, *command: Any) -> Any:
        """Makes the group where it is missing, as on the first run or in an emptied Valkey."""
        try:
            return self._at_home(*command)
        except redis.ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
        try:
            self._client.xgroup_create(USAGE_STREAM, GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
        return self._at_home(*command)

    def _at_home(self, *command: Any) -> Any:
        """At the node that has the stream. Where a command has its keys redis-py would ask
        another one, each time, and for ever where that is dead."""
        if isinstance(self._client, RedisCluster):
            node = self._client.get_node_from_key(USAGE_STREAM)
            return self._client.execute_command(*command, target_nodes=node)
        return self._client.execute_command(*command)


def _entries(answer: list[Any]) -> list[Entry]:
    return [Entry(identifier, _body(fields)) for identifier, fields in answer]


def _body(fields: list[bytes] | dict[bytes, bytes] | None) -> bytes | None:
    """Of ``[field, value, ...]``, in a cluster of a dictionary; empty where it was deleted."""
    if not fields:
        return None
    if isinstance(fields, dict):
        fields = [part for pair in fields.items() for part in pair]
    return fields[1] if len(fields) == 2 and fields[0] == _FIELD else b""
