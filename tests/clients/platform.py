"""A gateway in front of the sandbox provider, with one tenant, its models and a key."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from bench import tenants
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
            valkey(work, core=None) as url,
        ):
            tenants.store(url, [tenant(port)])
            with worker(url, work / "hubpo", core=None) as (gateway, _):
                yield f"http://127.0.0.1:{gateway}"


def tenant(port: int) -> TenantSnapshot:
    small = tenants.small(port)
    models = tuple(
        AIModel(name, name, ("ai",), (Deployment(f"d-{name}", "s", name),), abilities=(ability,))
        for name, ability in ((CHAT, "chat"), (EMBEDDING, "embeddings"))
    )
    sandbox = Provider("s", "Sandbox", "openai", f"http://127.0.0.1:{port}/v1")
    return replace(small, providers=(sandbox,), models=models)
