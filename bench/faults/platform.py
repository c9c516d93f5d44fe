"""The whole platform in a place and on ports of its own, as ``make up`` runs it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import psycopg
import redis

ROOT = Path(__file__).resolve().parents[2]
_PORTS = ("CONSOLE", "GATEWAY", "SANDBOX")
_OWN = {"DATABASE_URL", "REDIS_URL", "BROKER_URL", "HUBPO_SECRET_KEY", "DJANGO_SETTINGS_MODULE"}


class Platform:
    """``var`` is its directory, ``demo`` what it says of itself, ``log`` what it printed."""

    def __init__(self, var: Path, pid: int, log: Path) -> None:
        self.var, self.pid, self.log = var, pid, log
        self.demo: dict[str, Any] = json.loads((var / "demo.json").read_text())
        self.gateway = f"http://127.0.0.1:{_port(self.demo['gateway'])}"
        # As ``config.env.run_dir`` has it for that place.
        name = sha256(str(var.resolve()).encode()).hexdigest()[:10]
        self.run = Path("/tmp") / f"hubpo-{os.getuid()}-{name}"
        self.programs = len(self.children())

    def children(self, word: str = "") -> dict[int, str]:
        """Command lines of its programs by process id; those that contain ``word``."""
        found = _processes_below(self.pid)
        return {pid: line for pid, line in found.items() if word in line}

    def kill(self, word: str, most: int = 100) -> list[int]:
        """kill -9 of up to ``most`` programs."""
        pids = sorted(self.children(word))[:most]
        assert pids, f"nothing runs with {word!r}"
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return pids

    def signal(self, word: str, number: signal.Signals) -> None:
        """To programs and what they started."""
        for pid in self.children(word):
            for one in (pid, *_processes_below(pid)):
                os.kill(one, number)

    @contextmanager
    def stopped(self, word: str) -> Iterator[None]:
        """They stand still: worse than dead, since their sockets stay open."""
        self.signal(word, signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(word, signal.SIGCONT)

    def valkey(self) -> redis.Redis:
        return redis.Redis.from_url(f"unix://{self.run}/valkey.sock", socket_timeout=5)

    def database(self) -> psycopg.Connection[Any]:
        """In autocommit. Raises psycopg.OperationalError while it is down."""
        address = f"postgresql://postgres@/hubpo?host={self.run}/pg&connect_timeout=2"
        return psycopg.connect(address, autocommit=True)

    def ask(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self.database() as connection:
            return connection.execute(sql, values).fetchall()

    def manage(self, path: str, **body: object) -> dict[str, Any]:
        """A POST to the demo tenant's management API, which must succeed."""
        return self._management("POST", path, json=body)

    def look(self, path: str) -> Any:
        """The same with a GET."""
        return self._management("GET", path)

    def _management(self, method: str, path: str, **more: Any) -> Any:
        port = _port(self.demo["console"])
        answer = httpx.request(
            method,
            f"http://127.0.0.1:{port}/api{path}",
            **more,
            headers={
                "Host": f"demo.localhost:{port}",
                "Authorization": f"Token {self.demo['management_token']}",
            },
            timeout=20,
        )
        if not answer.is_success:
            raise RuntimeError(f"{path}: {answer.text}")
        return answer.json()


def _port(url: str) -> int:
    return int(url.rstrip("/").rpartition(":")[2])


def _processes_below(pid: int) -> dict[int, str]:
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found[int(entry.name)] = line
    return found


def wait(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    """The condition's value once it is true. Servers that are down mean not yet."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if value := condition():
                return value
        except (psycopg.Error, redis.RedisError, httpx.HTTPError, FileNotFoundError):
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s in vain until {what}")
        time.sleep(0.1)


@contextmanager
def running(
    environment: dict[str, str] | None = None, prepare: Callable[[Path], None] | None = None
) -> Iterator[Platform]:
    """Starts a platform, and stops it when the block ends.

    ``prepare`` is given its directory before it starts.
    """
    with tempfile.TemporaryDirectory(prefix="hubpo-faults-", dir="/tmp") as directory:
        var = Path(directory)
        var.chmod(0o755)  # PostgreSQL may run as another user
        if prepare is not None:
            prepare(var)
        log = var / "up.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "launch", "up", "--with-parent"],
                cwd=ROOT,
                env=_environment(var) | (environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            _until_up(process, var, log)
            yield Platform(var, process.pid, log)
        finally:
            process.terminate()
            try:
                process.wait(15)
            finally:
                process.kill()


def _until_up(process: subprocess.Popen[bytes], var: Path, log: Path) -> None:
    deadline = time.monotonic() + 180
    while not (var / "demo.json").exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"The platform did not start:\n{log.read_text()}")
        time.sleep(0.1)


def _environment(var: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _OWN}
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in _PORTS]
    ports = {
        f"HUBPO_{name}_PORT": str(one.getsockname()[1])
        for name, one in zip(_PORTS, sockets, strict=True)
    }
    for one in sockets:
        one.close()
    path = os.pathsep.join((str(ROOT / "platform"), str(ROOT)))
    return kept | ports | {"HUBPO_VAR": str(var), "PYTHONPATH": path}
