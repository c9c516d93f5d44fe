"""What is measured: each subject listens on a port, on a core of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Running:
    """A subject that listens on ``port``; ``upstream`` is the port that it calls."""

    port: int
    pid: int
    upstream: int
    recorded: Callable[[], int] | None = None
    """How many usage records have arrived since it was last asked."""


def no_headers(upstream: int) -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class Subject:
    """``start`` takes the upstream's port and a directory, and runs for a block."""

    name: str
    checks: str
    """What it does besides forwarding, for the reader of the table."""
    start: Callable[[int, Path], AbstractContextManager[Running]]
    headers: Callable[[int], dict[str, str]] = no_headers
    """What its callers send besides the case's own headers; takes the upstream's port."""
    translating: Mapping[str, str] = field(default_factory=dict)
    """What they send besides where the provider speaks another format."""
    checks_keys: bool = False
    ai_only: bool = False
    rewrites: bool = False
    """Whether it writes an AI provider's JSON anew."""
    translates: bool = False
    connections: int | None = None
    """At most so many at once, where more would only make a slow subject slower."""
    steady: bool = False
    """Whether its latency is measured at a steady rate as well."""


def installed() -> list[Subject]:
    """Subjects that this machine has, Hubpo first."""
    from bench.subjects import ai, haproxy, hubpo, nginx

    return [hubpo.HUBPO, *nginx.found(), *haproxy.found(), *ai.found()]
