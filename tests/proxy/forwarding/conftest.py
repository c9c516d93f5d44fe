"""What is forwarded, and how, is the same with the gateway's own server and with another's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from proxy_servers import GatewayProcess, Valkey


@pytest.fixture(scope="session", params=["proxy.server:Protocol", "httptools"])
def gateway(request: Any, proxy_valkey: Valkey, proxy_dir: Path) -> Iterator[GatewayProcess]:
    """With httptools over ASGI."""
    process = GatewayProcess(proxy_valkey.url, proxy_dir, request.param)
    try:
        process.wait_until_ready()
        yield process
    finally:
        process.stop()
