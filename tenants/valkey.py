"""Clients of the Valkey that consoles and gateways share: a single one, or a cluster."""

from __future__ import annotations

from typing import Any

import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException

from contract.servers import is_cluster, servers

Client = redis.Redis | RedisCluster

Unreachable = (redis.RedisError, RedisClusterException)
"""What a client raises. Of a cluster that none of its nodes answer for, it is not a RedisError."""


def connect(url: str, **options: Any) -> Client:
    """A client that reconnects by itself; ``options`` are redis-py's.

    A cluster is asked for its map at once, so this may raise ``Unreachable``. Its nodes that
    are down are left out: what others have can be had.
    """
    if not is_cluster(url):
        return redis.Redis.from_url(url, **options)
    first, *_ = named = servers(url)
    nodes = [ClusterNode(server.host, server.port) for server in named]
    return RedisCluster(
        startup_nodes=nodes,
        username=first.user or None,
        password=first.password,
        ssl=first.tls,
        require_full_coverage=False,
        **options,
    )
