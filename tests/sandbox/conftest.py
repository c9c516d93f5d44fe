"""The sandbox as users meet it: its own process on a real socket."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]

# uvicorn's own --fd takes every socket for a Unix one.
SERVE = """
import socket, sys, uvicorn
config = uvicorn.Config("sandbox.app:application", log_level="critical", access_log=False)
uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
"""


@pytest.fixture(scope="session")
def sandbox_process() -> Iterator[tuple[str, subprocess.Popen[bytes], float]]:
    """Address, process, and the seconds it took until it answered."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(listener.fileno())],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT / "platform")},
            pass_fds=(listener.fileno(),),
        )
    # The socket already listens, so the first call waits until the process accepts; without
    # our copy of it the call fails at once if the process does not come up.
    httpx.get(f"{address}/healthz", timeout=20).raise_for_status()
    took = time.perf_counter() - began
    yield address, process, took
    process.send_signal(signal.SIGINT)
    process.wait(10)


@pytest.fixture(scope="session")
def sandbox(sandbox_process: tuple[str, subprocess.Popen[bytes], float]) -> str:
    return sandbox_process[0]


@pytest.fixture
def web(sandbox: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox, timeout=10) as client:
        yield client
