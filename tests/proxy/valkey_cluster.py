"""A cluster in the place of these tests' Valkey."""

from __future__ import annotations

from pathlib import Path

from proxy_servers import Valkey
from redis.cluster import RedisCluster

from bench.valkey_nodes import Nodes


class Cluster(Nodes, Valkey):
    def __init__(self, directory: Path, replicas: int = 0) -> None:
        Valkey.__init__(self, directory)
        Nodes.__init__(self, directory, replicas)
        self._client: RedisCluster | None = None

    def client(self) -> RedisCluster:
        if self._client is None:
            self._client = super().client()
        return self._client
