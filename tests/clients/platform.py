"""A gateway in front of the sandbox provider, or of an upstream that replays recordings, with one
tenant, its models and a key."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from bench import tenants
from bench.cases import API_KEY
from bench.subjects.hubpo import valkey, worker
from bench.subjects.processes import free_port, serving
from config import env
from contract.snapshot import AIModel, Deployment, Provider, TenantSnapshot

CHAT, EMBEDDING = "sandbox-chat", "sandbox-embedding"


@contextmanager
def running() -> Iterator[str]:
    """The gateway's address. Everything ends with the block."""
    with tempfile.TemporaryDirectory(prefix="hubpo-clients-") as directory:
        work, port = Path(directory), free_port()
        command = [sys.executable, "-m", "uvicorn", "sandbox.app:application", "--port", str(port)]
        path = {"PYTHONPATH": f"{env.ROOT / 'platform'}:{env.ROOT}"}
        with (
            serving(command, port, work / "sandbox.log", core=None, env=path, cwd=env.ROOT),
            gateway(tenant(port), work) as address,
        ):
            yield address


@contextmanager
def gateway(snapshot: TenantSnapshot, work: Path) -> Iterator[str]:
    """The address of one that serves the tenant, with a Valkey of its own in ``work``."""
    with valkey(work, core=None) as url:
        tenants.store(url, [snapshot])
        with worker(url, work / "hubpo", core=None) as (port, _):
            yield f"http://127.0.0.1:{port}"


def tenant(port: int) -> TenantSnapshot:
    small = tenants.small(port)
    models = tuple(
        AIModel(name, name, ("ai",), (Deployment(f"d-{name}", "s", name),), abilities=(ability,))
        for name, ability in ((CHAT, "chat"), (EMBEDDING, "embeddings"))
    )
    sandbox = Provider("s", "Sandbox", "openai", f"http://127.0.0.1:{port}/v1")
    return replace(small, providers=(sandbox,), models=models)


def environment(address: str, node: Path) -> dict[str, str]:
    """What a client's script is told. ``node``: where its packages are."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        "HUBPO_ADDRESS": address,
        "HUBPO_KEY": API_KEY,
        "HUBPO_CHAT": CHAT,
        "HUBPO_EMBEDDING": EMBEDDING,
        "HUBPO_NODE": str(node / "package.json"),
    }
