"""Workers whose metrics are read as Prometheus reads them, and a model to call through them."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from proxy_servers import GatewayProcess, Site, Upstream

from config import env
from contract import snapshot

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Workers:
    """Gateways that share a metrics port."""

    def __init__(self, valkey_url: str, var: Path) -> None:
        self.valkey_url = valkey_url
        self.var = var
        self.url = f"http://127.0.0.1:{free_port()}/metrics"
        self.running: list[GatewayProcess] = []

    def start(self) -> GatewayProcess:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HUBPO_METRICS_PORT", str(httpx.URL(self.url).port))
            process = GatewayProcess(self.valkey_url, self.var)
        self.running.append(process)
        process.wait_until_ready()
        return process

    def text(self, timeout: float = 10.0) -> str:
        found = httpx.get(self.url, timeout=timeout)
        assert found.status_code == 200
        assert found.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        return found.text

    def scrape(self, timeout: float = 10.0) -> Samples:
        """Every sample once, by its name and labels."""
        samples: Samples = {}
        for family in text_string_to_metric_families(self.text(timeout)):
            for sample in family.samples:
                key = sample.name, frozenset(sample.labels.items())
                assert key not in samples, f"{key} is there twice."
                samples[key] = sample.value
        return samples

    @property
    def sockets(self) -> Path:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HUBPO_VAR", str(self.var))
            return env.run_dir()

    def stop(self) -> None:
        for process in self.running:
            process.stop()
        shutil.rmtree(self.sockets, ignore_errors=True)


def value(samples: Samples, name: str, **labels: str) -> float:
    """The sum over the samples that have at least these labels."""
    wanted = set(labels.items())
    found = [key for key in samples if key[0] == name and wanted <= key[1]]
    return sum(samples[key] for key in found)


def labels_of(samples: Samples, name: str, label: str) -> set[str]:
    return {dict(have)[label] for named, have in samples if named == name}


async def offer_model(site: Site, upstream: Upstream, deployments: int = 1) -> None:
    """The model ``sage`` behind ``/v1``: 5 dollars a million tokens in, 10 out."""
    provider = snapshot.Provider(
        id="p", name="P", wire_format="openai", base_url=f"http://127.0.0.1:{upstream.port}/v1"
    )
    prices = snapshot.Prices(input=5_000_000, output=10_000_000)
    served = tuple(
        snapshot.Deployment(id=f"d{number}", provider_id="p", model="sage-1", prices=prices)
        for number in range(deployments)
    )
    ai = snapshot.Api(id="ai", name="AI", kind="ai", listen_path="/v1", key_required=False)
    model = snapshot.AIModel(id="m", name="sage", api_ids=("ai",), deployments=served)
    await site.publish(apis=(*site.snapshot.apis, ai), providers=(provider,), models=(model,))
