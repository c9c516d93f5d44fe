"""Processes watched from outside: their output, whether they still run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Running:
    """A process with its lines so far."""

    def __init__(self, *argv: str, **environment: str):
        self.process = subprocess.Popen(
            [sys.executable, *argv],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": f"{ROOT / 'platform'}:{ROOT}"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, pattern: str, *, times: int = 1, within: float = 10) -> re.Match[str]:
        """The match once the output holds the pattern so many times."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            found = list(re.finditer(pattern, self.text, re.MULTILINE))
            if len(found) >= times:
                return found[times - 1]
            time.sleep(0.02)
        raise AssertionError(f"{pattern!r} did not appear {times} times in:\n{self.text}")

    def end(self, within: float = 10) -> int:
        """The exit code, once the process has ended and all its output is read."""
        code = self.process.wait(within)
        self._reader.join(5)
        return code


def is_running(pid: int) -> bool:
    """Whether the process is there and more than a zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def gone(pids: list[int], within: float) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if not any(map(is_running, pids)):
            return True
        time.sleep(0.02)
    return False
