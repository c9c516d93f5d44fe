"""What a process is, and how it is started so that it never outlives the launcher.

Each one leads a session of its own, so that a signal reaches it with all its children and
Ctrl-C in the terminal does not. On Linux the kernel also signals it when the thread that
started it ends, which holds for kill -9 of the launcher too: start processes from the main
thread only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Identity:
    """The user that a process becomes."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Program:
    """One process of the platform, as data."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = Path("/")
    identity: Identity | None = None
    listener: socket.socket | None = None
    """Inherited; open as long as the program may be started again."""
    stage: int = 0
    """Lower ones start first and stop last."""
    announces: bool = False
    """Whether it writes a line to the descriptor ``HUBPO_READY_FD`` once it serves."""
    probe: Callable[[], bool] | None = None
    """Whether it answers; called until it says so, in another thread."""
    reticent: bool = False
    """Whether its output is kept back until it serves, because a failure is told otherwise."""
    hidden: tuple[str, ...] = ()
    """A line that holds one of these is not shown."""
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL
    """Sent by the kernel when the launcher is gone."""
    patience: float = 2.0
    """Seconds between the stop signal and SIGKILL."""
    farewell: float = 2.0
    """Seconds between SIGTERM and SIGKILL where another process has taken its place."""


def spawn(
    program: Program, *, output: int | IO[bytes] | None = None, ready_fd: int | None = None
) -> subprocess.Popen[bytes]:
    """Start the program; standard output and error both go to ``output``."""
    identity, launcher = program.identity, os.getpid()
    env = dict(program.env)
    fds = (program.listener.fileno(),) if program.listener else ()
    if ready_fd is not None:
        env["HUBPO_READY_FD"] = str(ready_fd)
        fds = (*fds, ready_fd)
    return subprocess.Popen(
        program.argv,
        env=env,
        cwd=program.cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        pass_fds=fds,
        start_new_session=True,
        user=identity.uid if identity else None,
        group=identity.gid if identity else None,
        extra_groups=[] if identity else None,
        preexec_fn=lambda: die_with_parent(program.orphan_signal, launcher),
    )


def die_with_parent(number: signal.Signals, parent: int) -> None:
    """Have the kernel send us ``number`` when process ``parent`` ends; only Linux can."""
    if _libc is None:
        return
    _libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:  # it ended before the call above
        os.kill(os.getpid(), number)


def signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal the process and what it started in its session, if any of it is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def announce_ready() -> None:
    """Tell the launcher, if one is there, that this process serves from now on."""
    if fd := os.environ.pop("HUBPO_READY_FD", ""):
        os.write(int(fd), b"ready\n")
        os.close(int(fd))
