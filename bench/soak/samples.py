"""What a worker holds at a moment: memory, open files, connections, and work of the collector."""

from __future__ import annotations

import os
import re
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import redis

from bench.subjects.processes import cpu_seconds, resident

_sample = re.compile(r"^(\w+)(?:\{([^}]*)\})? (\S+)$", re.MULTILINE).findall
_FIRST = 60.0
"""Seconds after which memory is compared with what it is at the end."""
_TOGETHER = 3
"""Samples of which the middle one counts."""


@dataclass(frozen=True)
class Watched:
    """A worker, where it tells its metrics, and its Valkey."""

    pid: int
    metrics_port: int
    valkey_url: str

    def sample(self) -> dict[str, Any]:
        """Megabytes of 1,000,000 bytes; ``cpu`` in seconds since the worker's start."""
        told = metrics(self.metrics_port)
        with redis.Redis.from_url(self.valkey_url) as client:
            valkey = client.info("memory")["used_memory"]
        return {
            "rss_mb": round(resident(self.pid), 2),
            "anonymous_mb": _anonymous(self.pid),
            "fds": len(os.listdir(f"/proc/{self.pid}/fd")),
            "clients": int(told["hubpo_client_connections"]),
            "upstreams": int(told["hubpo_upstream_connections"]),
            "in_flight": int(told["hubpo_calls_in_flight"]),
            "collections": [
                int(told[f"python_gc_collections_total {generation}"]) for generation in range(3)
            ],
            "uncounted": int(told["hubpo_limiter_failed_open_total"]),
            "valkey_mb": round(valkey / 1e6, 2),
            "cpu": cpu_seconds(self.pid),
        }


def _anonymous(pid: int) -> float:
    """Megabytes of the resident memory that are of no file; the usage journal is a file."""
    (pages,) = re.findall(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return round(int(pages) * 1024 / 1e6, 2)


def metrics(port: int) -> Counter[str]:
    """Sums of all samples by name; those of the collector by generation as well."""
    text = _scraped(f"http://127.0.0.1:{port}/metrics")
    found: Counter[str] = Counter()
    for name, labels, value in _sample(text):
        generation = re.search(r'generation="(\d)"', labels)
        found[f"{name} {generation[1]}" if generation else name] += float(value)
    return found


def _scraped(url: str) -> str:
    """Tried again where the listener is not there for a moment: it is not what is judged."""
    for pause in (0.2, 1.0, 5.0):
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return answer.read().decode()
        except OSError:
            time.sleep(pause)
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()


def change(samples: list[dict[str, Any]]) -> tuple[float, float]:
    """Megabytes after the first minute and at the end, each the median of some samples.

    In a run of less than two minutes its first half stands for the first minute.
    """
    half = samples[-1]["at"] / 2
    later = [one["rss_mb"] for one in samples if one["at"] >= min(_FIRST, half)]
    return median(later[:_TOGETHER]), median(later[-_TOGETHER:])
