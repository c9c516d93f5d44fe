"""What is looked at before anything starts. Each check raises a Problem or returns what it took."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import socket
from pathlib import Path

from config import env
from launch.problems import AlreadyRunning, DiskFull, PortInUse, Problem

MIN_FREE = 200 * 1024 * 1024
"""Bytes that an empty installation needs with room to work."""


def claim(var: Path) -> int:
    """Lock ``var`` for this process. The descriptor returned holds the lock while it is open,
    which may well be until the process ends.
    """
    lock = os.open(var / "launch.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.read(lock, 20).decode().strip() or "unknown"
        os.close(lock)
        raise AlreadyRunning(
            f"Hubpo is already running in {var} (process {pid}): use that one, stop it with "
            f"`kill {pid}`, or set HUBPO_VAR and other ports to run a second."
        ) from None
    os.truncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    return lock


def disk_space(var: Path, needed: int = MIN_FREE) -> None:
    """Raises DiskFull where fewer than ``needed`` bytes are free."""
    free = shutil.disk_usage(var).free
    if free < needed:
        raise DiskFull(
            f"Only {free // 2**20} MB are free on the disk that holds {var}, and Hubpo needs "
            f"{needed // 2**20} MB: free some space, or set HUBPO_VAR to a directory on another "
            "disk."
        )


def listen(port: int, what: str, variable: str) -> socket.socket:
    """A listening socket on the loopback address; programs inherit it."""
    try:
        return socket.create_server(("127.0.0.1", port), backlog=1024)
    except OverflowError:
        raise Problem(f"{variable} must be a port from 1 to 65535, not {port}.") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"Port {port} is in use by another program, and {what} needs it: stop that "
                f"program, or set {variable} to a free port."
            ) from None
        raise Problem(
            f"{what.capitalize()} cannot listen on port {port} ({error.strerror}): set "
            f"{variable} to another port."
        ) from None


def observers() -> None:
    """Whether metrics and traces can be had as they are set up. Raises EnvError and Problem."""
    env.otlp_headers()
    env.trace_ratio()
    if port := env.metrics_port():
        listen(port, "the gateway's metrics", "HUBPO_METRICS_PORT").close()


def secret_key(var: Path) -> None:
    """Generate the installation's secret once; only its owner may read it."""
    path = var / "secret_key"
    if os.environ.get("HUBPO_SECRET_KEY") or (path.exists() and path.read_text().strip()):
        return
    write_private(path, secrets.token_urlsafe(48) + "\n")


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read; a reader sees all of it or none."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
