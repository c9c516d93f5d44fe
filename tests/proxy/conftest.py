"""The servers of ``proxy_servers`` as fixtures."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from http_weight import MEGABYTE
from proxy_servers import GatewayProcess, Site, Upstream, Valkey, tenant
from valkey_cluster import Cluster


@pytest.fixture(scope="session")
def proxy_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hubpo-t-", dir="/tmp") as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def proxy_valkey(proxy_dir: Path) -> Iterator[Valkey]:
    valkey = Valkey(proxy_dir)
    valkey.start()
    yield valkey
    valkey.stop()


@pytest.fixture(scope="session")
def gateway(proxy_valkey: Valkey, proxy_dir: Path) -> Iterator[GatewayProcess]:
    """The gateway that tests share which leave it as they found it."""
    process = GatewayProcess(proxy_valkey.url, proxy_dir)
    try:
        process.wait_until_ready()
        yield process
    finally:
        process.stop()


@pytest.fixture
def own_valkey() -> Iterator[Valkey]:
    """A Valkey that the test may stop."""
    with tempfile.TemporaryDirectory(prefix="hubpo-t-", dir="/tmp") as directory:
        valkey = Valkey(Path(directory))
        valkey.start()
        yield valkey
        valkey.stop()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Three nodes, the first of them with a replica; a module's own."""
    with tempfile.TemporaryDirectory(prefix="hubpo-t-", dir="/tmp") as directory:
        made = Cluster(Path(directory), replicas=1)
        try:
            made.start()
            yield made
        finally:
            made.stop()


@pytest.fixture
def start_gateway(tmp_path: Path) -> Iterator[Callable[..., GatewayProcess]]:
    """``start_gateway(valkey_url)``: a worker of the test's own; all share one var directory."""
    started: list[GatewayProcess] = []

    def start(url: str, **options: Any) -> GatewayProcess:
        process = GatewayProcess(url, tmp_path, **options)
        started.append(process)
        process.wait_until_ready()
        return process

    yield start
    for process in started:
        process.stop()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    scripted = Upstream()
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0)
    scripted.port = server.sockets[0].getsockname()[1]
    yield scripted
    server.close()


@pytest.fixture
def sites(
    proxy_valkey: Valkey, upstream: Upstream
) -> Iterator[Callable[[GatewayProcess, str], Site]]:
    """Makes tenants that are gone after the test."""
    made: list[Site] = []

    def make(gateway: GatewayProcess, name: str, valkey: Valkey = proxy_valkey) -> Site:
        unique = f"{name}-{secrets.token_hex(4)}"
        key = f"hub_{unique}-key"
        client = httpx.AsyncClient(base_url=gateway.url, timeout=20)
        blank = tenant(unique, upstream.port, key)
        site = Site(blank, valkey, client, f"{unique}.localhost", key)
        made.append(site)
        return site

    yield make
    for site in made:
        if site.valkey.process is not None:
            site.valkey.withdraw(site.snapshot.tenant_id)


@pytest.fixture
async def alice_site(gateway: GatewayProcess, sites: Any) -> AsyncIterator[Site]:
    site = sites(gateway, "alice")
    await site.publish()
    yield site
    await site.client.aclose()


@pytest.fixture
async def charlie_site(gateway: GatewayProcess, sites: Any) -> AsyncIterator[Site]:
    site = sites(gateway, "charlie")
    await site.publish()
    yield site
    await site.client.aclose()


@pytest.fixture(scope="module")
def scale(proxy_valkey: Any, proxy_dir: Path) -> Iterator[tuple[GatewayProcess, int]]:
    """A gateway that only one module uses, and its bytes before."""
    process = GatewayProcess(proxy_valkey.url, proxy_dir)
    process.wait_until_ready()
    yield process, process.peak_memory()
    process.stop()


@pytest.fixture
async def weighed(scale: Any, sites: Any) -> AsyncIterator[tuple[GatewayProcess, Any]]:
    """It may not grow by 50 MB, whatever all tests together do to it."""
    gateway, before = scale
    site = sites(gateway, "alice")
    await site.publish()
    yield gateway, site
    assert gateway.peak_memory() - before < 50 * MEGABYTE
