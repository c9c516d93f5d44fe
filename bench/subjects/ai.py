"""Gateways for AI models alone: LiteLLM and Portkey."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import peers
from bench.cases import MODEL, TRANSLATED
from bench.subjects import Running, Subject
from bench.subjects.processes import free_port, serving

MASTER_KEY = "sk-bench-key-000000000000000000000000"


@contextmanager
def _litellm(upstream: int, work: Path) -> Iterator[Running]:
    port, conf = free_port(), work / "litellm.yaml"
    address = f"http://127.0.0.1:{upstream}"
    models = {
        MODEL: {"model": f"openai/{MODEL}", "api_base": f"{address}/v1"},
        TRANSLATED: {"model": f"anthropic/{TRANSLATED}", "api_base": address},
    }
    conf.write_text(
        json.dumps(
            {
                "model_list": [
                    {"model_name": name, "litellm_params": model | {"api_key": "-"}}
                    for name, model in models.items()
                ],
                "general_settings": {"master_key": MASTER_KEY},
                "litellm_settings": {"telemetry": False, "drop_params": True},
            }
        )
    )
    command = [str(peers.litellm()), "--config", str(conf), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--num_workers", "1"]
    settings = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "LITELLM_MODE": "PRODUCTION",
        "NO_PROXY": "127.0.0.1",
    }
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    log = work / "litellm.log"
    with serving(command, port, log, patience=120, env=own | settings, cwd=work) as pid:
        yield Running(port, pid, upstream)


@contextmanager
def _portkey(upstream: int, work: Path) -> Iterator[Running]:
    port = free_port()
    command = [shutil.which("node") or "node", str(peers.portkey()), f"--port={port}"]
    # It refuses to call private addresses unless they are named.
    settings = {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost", "NODE_ENV": "production"}
    command.append("--headless")
    log = work / "portkey.log"
    with serving(command, port, log, patience=60, env=os.environ | settings, cwd=work) as pid:
        yield Running(port, pid, upstream)


LITELLM = Subject(
    name="litellm",
    checks="master key; no database, so no keys of applications, no limits, no records",
    start=_litellm,
    headers=lambda upstream: {"Authorization": f"Bearer {MASTER_KEY}"},
    checks_keys=True,
    ai_only=True,
    rewrites=True,
    translates=True,
    connections=8,
)
PORTKEY = Subject(
    name="portkey",
    checks="none",
    start=_portkey,
    headers=lambda upstream: {
        "Authorization": "Bearer sk-bench",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1",
    },
    translating={"x-portkey-provider": "anthropic"},
    ai_only=True,
    rewrites=True,
    translates=True,
    connections=16,
)


def found() -> list[Subject]:
    here = [LITELLM] if peers.litellm().exists() else []
    return [*here, PORTKEY] if peers.portkey().exists() and shutil.which("node") else here
