"""Runs the whole platform in a directory and on ports of its own, as ``make up`` does."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
_PORTS = ("console_port", "gateway_port", "sandbox_port")
_START_WITHIN = 120


def _free_ports() -> dict[str, int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in _PORTS]
    ports = {name: one.getsockname()[1] for name, one in zip(_PORTS, sockets, strict=True)}
    for one in sockets:
        one.close()
    return ports


def _environment(var: Path, ports: dict[str, int]) -> dict[str, str]:
    """Servers of its own, whatever the tests themselves use."""
    without = {"DATABASE_URL", "REDIS_URL", "HUBPO_SECRET_KEY", "DJANGO_SETTINGS_MODULE"}
    kept = {name: value for name, value in os.environ.items() if name not in without}
    moved = {f"HUBPO_{name.upper()}": str(port) for name, port in ports.items()}
    path = os.pathsep.join((str(ROOT / "platform"), str(ROOT)))
    return kept | moved | {"HUBPO_VAR": str(var), "PYTHONPATH": path}


def _wait(process: subprocess.Popen[bytes], demo: Path, log: Path) -> None:
    deadline = time.monotonic() + _START_WITHIN
    while not demo.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"The platform did not start:\n{log.read_text()}", pytrace=False)
        time.sleep(0.1)


@contextmanager
def running_platform() -> Iterator[dict[str, Any]]:
    """Start the platform in a new place; stop it and remove the place when the block ends.

    Yields what ``platform_up`` describes. Fails if it takes more than 5 s to stop.
    """
    var = Path(tempfile.mkdtemp(prefix="hubpo-flows-", dir="/tmp"))
    var.chmod(0o755)  # PostgreSQL may run as another user
    ports, log = _free_ports(), var / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "launch", "up", "--with-parent"],
            cwd=ROOT,
            env=_environment(var, ports),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        _wait(process, var / "demo.json", log)
        demo = json.loads((var / "demo.json").read_text())
        yield demo | ports | {"pid": process.pid, "var": var, "log": log}
    finally:
        try:
            if process.poll() is None:
                process.terminate()
                assert process.wait(5) == 0
        finally:
            process.kill()
            shutil.copy(log, ROOT / "var" / "flows.log")
            shutil.rmtree(var, ignore_errors=True)
