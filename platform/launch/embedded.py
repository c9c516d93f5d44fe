"""The embedded servers together: where their sockets are, and how the tests run them."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGKILL

from launch import postgres, valkey
from launch.problems import Unusable
from launch.process import Program, signal_group, spawn


def make_run_dir(run: Path) -> None:
    """The directory of the sockets. Raises Unusable where somebody else made it first."""
    run.mkdir(mode=0o711, exist_ok=True)
    status = run.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise Unusable(f"{run} belongs to another user: remove it, or set HUBPO_VAR elsewhere.")
    run.chmod(0o711)  # PostgreSQL may run as another user, in a private directory within


@contextmanager
def for_tests(
    var: Path,
    run: Path,
    *,
    with_postgres: bool = True,
    with_valkey: bool = True,
    durable: bool = False,
) -> Iterator[None]:
    """Run the servers, fast and empty, until the block ends; then nothing of them is left.

    ``durable``: with the settings of a real installation, as measurements want it.
    """
    make_run_dir(run)
    _discard(var)
    started: list[tuple[Program, subprocess.Popen[bytes]]] = []
    log = var / "servers.log"
    try:
        with log.open("wb") as output:
            for server in [postgres] * with_postgres + [valkey] * with_valkey:
                program = server.program(var, run, for_tests=not durable)
                started.append((program, spawn(program, output=output)))
        for program, process in started:
            _wait(program, process, log)
        yield
    finally:
        for program, process in reversed(started):
            _stop(program, process)
        _discard(var)
        shutil.rmtree(run, ignore_errors=True)


def _discard(var: Path) -> None:
    postgres.discard(var)
    valkey.discard(var)


def _wait(program: Program, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while not (program.probe and program.probe()):
        if process.poll() is not None or time.monotonic() > deadline:
            raise Unusable(f"{program.name} did not start: {log.read_text()[-1000:]}")
        time.sleep(0.02)


def _stop(program: Program, process: subprocess.Popen[bytes]) -> None:
    signal_group(process, program.stop_signal)
    with suppress(subprocess.TimeoutExpired):
        process.wait(5)
    signal_group(process, SIGKILL)
    process.wait()
