"""Processes under test, and places for their files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from observed import Running


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """Starts ``python ...`` with variables; what still runs at the end is killed."""
    started: list[Running] = []

    def run(*argv: str, **environment: str) -> Running:
        started.append(Running(*argv, **environment))
        return started[-1]

    yield run
    for one in started:
        one.process.kill()
        one.process.wait()


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with a short path, which every user may enter."""
    path = Path(tempfile.mkdtemp(prefix="hubpo-test-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)
