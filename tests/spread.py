"""How the tests are spread over processes.

A file's tests stay in one process, so that what they share is started once. The files that take
long go first, so that no process is left alone with one of them at the end.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

SHARE_A_PLATFORM = (
    "tests/flows/test_records_of_calls.py",
    "tests/flows/test_changes_and_outages.py",
    "tests/flows/test_client_libraries.py",
    "tests/flows/test_platform_lives.py",
    "tests/flows/test_limits_flow.py",
    "tests/flows/test_browser.py",
    "tests/flows/test_usage_flow.py",
)
"""Files whose tests ask for ``platform_up``: they count as one, so that it starts once."""

LONGEST = (
    *SHARE_A_PLATFORM,
    "tests/flows/test_faults.py",
    "tests/catalog_admin/test_admin_pages.py",
    "tests/analytics/test_ingest.py",
    "tests/proxy/test_http_clients.py",
    "tests/proxy/test_limits_faults.py",
    "tests/catalog/test_create_demo.py",
    "tests/tenants/test_provisioning.py",
)
"""Files of more than 15 s each. The others follow in the order in which they are collected."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """One process where one file is named, or where the servers are not our own to start.

    None leaves the number to pytest-xdist: a worker for each core.
    """
    if os.environ.get("DATABASE_URL") or os.environ.get("REDIS_URL"):
        return 0
    named = {Path(argument.partition("::")[0]) for argument in config.args}
    return 0 if len(named) == 1 and named.pop().suffix == ".py" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The workers collect the longest files first; one process alone keeps pytest's order."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _rank(item.nodeid))


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def _rank(nodeid: str) -> int:
    file = _file(nodeid)
    return LONGEST.index(file) if file in LONGEST else len(LONGEST)


class Spread(LoadScopeScheduling):
    """Gives whole files to the workers, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        file = _file(nodeid)
        return "the shared platform" if file in SHARE_A_PLATFORM else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Spread:
    config.option.loadscopereorder = False
    return Spread(config, log)
