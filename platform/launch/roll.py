"""``make roll``: tells the launcher that runs in ``var`` to replace its gateway workers."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from pathlib import Path

from config import env


def main() -> int:
    """The exit code: 1 where none runs."""
    var = env.var_dir()
    pid = _launcher(var)
    if pid is None:
        print(f"Hubpo is not running in {var}.", file=sys.stderr)
        return 1
    os.kill(pid, signal.SIGHUP)
    print("The gateway's workers are replaced one by one: see the launcher's output.")
    return 0


def _launcher(var: Path) -> int | None:
    """The process that has claimed ``var``, if any."""
    try:
        with (var / "launch.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return int((var / "launch.lock").read_text())
    return None
