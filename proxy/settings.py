"""What the data plane is told at its start. ``config.gateway`` fills it from the environment."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct


class Metrics(Struct, frozen=True):
    """Where Prometheus finds them: ``http://host:port/metrics``."""

    host: str
    port: int
    sockets: Path
    """Directory in which the workers of a machine find each other; its path must be short."""


class Traces(Struct, frozen=True):
    endpoint: str
    """Of the collector, as in ``http://collector:4318``; the path of traces is added."""
    headers: tuple[tuple[str, str], ...] = ()
    """Sent to the collector, for example to sign in."""
    ratio: float = 1.0
    """Of the calls that bring no trace, how many are traced, 0 to 1."""
    service: str = "hubpo-gateway"


class Settings(Struct, frozen=True):
    redis_url: str
    """A single server or a cluster; see ``contract.servers``."""
    snapshots: Path
    """Directory of the last good copies; shared by all workers of a machine."""
    journal: Path
    """Directory of the usage segments; shared by all workers of a machine."""
    secret_key: str
    """Opens provider credentials; see ``contract.secrets``."""
    segment_bytes: int = 1024 * 1024
    """Size of a usage segment. Each worker has at least three."""
    journal_bytes: int = 4 * 1024 * 1024 * 1024
    """What all usage files together may take while Valkey is down; then calls are refused."""
    batch_bytes: int = 512 * 1024 * 1024
    """What all tenants' files that wait for their batches may take on one node of Valkey."""
    head_seconds: float = 15.0
    """A client may take so long for the head of a request."""
    stall_seconds: float = 20.0
    """A client that stalls for so long, with a body or with an answer, is dropped."""
    most_calls: int = 8192
    """Under way in one worker. One tenant may have half of them."""
    metrics: Metrics | None = None
    traces: Traces | None = None
