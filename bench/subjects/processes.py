"""Processes on a core of their own, and the CPU time they use."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
SUBJECT_CORE, LOAD_CORE = 0, (os.cpu_count() or 1) - 1


def pinned(core: int | None) -> list[str]:
    """The words that start a command on one core; with None, wherever there is room."""
    return [] if core is None else [sys.executable, "-c", _PIN, str(core)]


_PIN = (
    "import os,sys; os.sched_setaffinity(0,{int(sys.argv[1])}); os.execvp(sys.argv[2],sys.argv[2:])"
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def process(
    command: list[str], log: Path, *, core: int | None = SUBJECT_CORE, **options: object
) -> Iterator[subprocess.Popen]:
    """Runs it for as long as the block lasts; what it says goes to the log."""
    with log.open("w") as out:
        running = subprocess.Popen([*pinned(core), *command], stdout=out, stderr=out, **options)
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


@contextmanager
def serving(
    command: list[str], port: int, log: Path, *, patience: float = 20, **options: object
) -> Iterator[int]:
    """A process that listens on the port when the block begins; yields its id."""
    with process(command, log, **options) as running:
        wait_for(port, running, log, patience)
        yield running.pid


def wait_for(port: int, running: subprocess.Popen, log: Path, patience: float = 20) -> None:
    """Until the port answers; a process that ended instead is an error with its last words."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if running.poll() is not None:
            raise RuntimeError(f"It ended at once: {log.read_text()[-500:]}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"Nothing answered on port {port}: {log.read_text()[-500:]}")


@contextmanager
def upstream(core: int | None = LOAD_CORE, module: str = "bench.upstream") -> Iterator[int]:
    """The upstream of these measurements; yields its port."""
    port = free_port()
    command = [*pinned(core), sys.executable, "-m", module, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout
            if running.stdout.readline().strip() != "ready":
                raise RuntimeError("The upstream did not start.")
            yield port
        finally:
            running.terminate()


def family(pid: int) -> list[int]:
    """The process and all below it."""
    below: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):  # That thread has ended.
            below += [int(word) for word in (task / "children").read_text().split()]
    return [pid] + [one for child in below for one in family(child)]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and all below it."""
    total = 0
    for one in family(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def core_ticks(core: int) -> tuple[int, int]:
    """Ticks in which a core was busy, and all ticks, since the machine started."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *numbers = line.split()
        if name == f"cpu{core}":
            ticks = [int(number) for number in numbers[:8]]
            return sum(ticks) - ticks[3] - ticks[4], sum(ticks)
    raise RuntimeError(f"The kernel says nothing of core {core}.")


def resident(pid: int) -> float:
    """Resident memory of one process, in MB of 1,000,000 bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
