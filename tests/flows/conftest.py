"""``platform_up`` is the running platform, the same for all flows of a session.

It is ``demo.json`` as a dict, with these added: ``console_port``, ``gateway_port`` and
``sandbox_port`` (numbers), ``pid`` of the launcher, ``var`` (a Path), and ``log`` (a Path:
everything it printed so far; kept as ``var/flows.log`` of the checkout at the end).
``page`` is a page of a Chromium that the tests of a file share.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from whole_platform import running_platform

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="session")
def platform_up() -> Iterator[dict[str, Any]]:
    """The platform that all flows share: do not stop it."""
    with running_platform() as platform:
        yield platform


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        if os.environ.get("HUBPO_REQUIRE_BROWSER"):
            pytest.fail("Chromium is not installed, and HUBPO_REQUIRE_BROWSER asks for it.")
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(15_000)
    yield context.new_page()
    context.close()
