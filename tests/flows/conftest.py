"""``platform_up`` is the running platform, the same for all flows of a session.

It is ``demo.json`` as a dict, with these added: ``console_port``, ``gateway_port`` and
``sandbox_port`` (numbers), ``pid`` of the launcher, ``var`` (a Path), and ``log`` (a Path:
everything it printed so far; kept as ``var/flows.log`` of the checkout at the end).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from whole_platform import running_platform


@pytest.fixture(scope="session")
def platform_up() -> Iterator[dict[str, Any]]:
    """The platform that all flows share: do not stop it."""
    with running_platform() as platform:
        yield platform
