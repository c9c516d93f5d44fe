"""Every test runs on real servers: PostgreSQL and Valkey of this session alone, on sockets.

Django reads its settings once, so what they depend on is put in the environment here, before
anything imports them; pytest-django then finds Django ready. The servers start when the first
test asks for a database or for Valkey. ``DATABASE_URL`` and ``REDIS_URL`` replace them.

Several sessions may run in one checkout: each takes the first free of ``var/test``,
``var/test-2``, ... and holds a lock on it until it ends. So do the processes of one run, which
``tests/spread.py`` gives their tests: each starts what servers its own tests ask for.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent
for source in (ROOT, ROOT / "platform"):
    if str(source) not in sys.path:
        sys.path.insert(0, str(source))


def _claim_var() -> int:
    """Set HUBPO_VAR to a directory of this session; the open file returned holds the claim."""
    base = Path(os.environ.get("HUBPO_VAR") or ROOT / "var")
    base.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        var = base / ("test" if number == 1 else f"test-{number}")
        var.mkdir(exist_ok=True)
        claim = os.open(var / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(claim)
            continue
        os.environ["HUBPO_VAR"] = str(var)
        return claim
    raise AssertionError("never reached")


_OURS = ("HUBPO_VAR", "HUBPO_SECRET_KEY", "DJANGO_SETTINGS_MODULE")
_found = {name: os.environ[name] for name in _OURS if name in os.environ}
_claim = _claim_var()
os.environ["HUBPO_SECRET_KEY"] = secrets.token_urlsafe(48)
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"

pytest_plugins = ["tests.spread"]

import django  # noqa: E402

django.setup()

from config import env  # noqa: E402
from launch import embedded  # noqa: E402


def pytest_xdist_setupnodes() -> None:
    """The processes of a run begin where this one began: each claims a directory of its own.

    With DJANGO_SETTINGS_MODULE set, pytest-django would read the settings before they do.
    """
    os.close(_claim)
    for name in _OURS:
        del os.environ[name]
    os.environ.update(_found)


@pytest.fixture(scope="session")
def embedded_servers() -> Iterator[None]:
    """PostgreSQL and Valkey, except those that the environment names."""
    wanted = {
        "with_postgres": not os.environ.get("DATABASE_URL"),
        "with_valkey": not os.environ.get("REDIS_URL"),
    }
    with embedded.for_tests(env.var_dir(), env.run_dir(), **wanted):
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    embedded_servers: None, django_db_modify_db_settings_parallel_suffix: None
) -> None:
    """pytest-django asks for this before it makes the test database."""


@pytest.fixture(scope="session")
def valkey_url(embedded_servers: None) -> str:
    """Where Valkey is; what earlier tests stored there is still in it."""
    return env.redis_url()
