"""A tenant whose every level has a budget, with a model, one whose streams are carried on, and a
prompt; and what its counters hold."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import httpx
from ai_cast import PROVIDER_KEY, SECRET
from ai_servers import Platform, serving

from contract import keys
from contract.counters import read
from contract.policies import Limit
from contract.routing import Routing
from contract.secrets import Sealer, provider_context
from contract.snapshot import (
    FORMAT,
    AIModel,
    Api,
    ApiKey,
    Application,
    Deployment,
    Plan,
    Prices,
    Prompt,
    PromptMessage,
    PromptVariable,
    Provider,
    Subscription,
    TenantSnapshot,
)
from proxy import asgi
from proxy.settings import Settings

PRICES = Prices(input=2_000_000, output=10_000_000, batch_percent=50)
"""In a batch a token of input costs one micro-unit of USD, one of output five."""
MOST = 500
"""Tokens of an answer of the prompt."""
LEVELS = ("tenant", "api", "plan", "application", "key", "user")


class Billed:
    """``web`` calls with the tenant's key, for the end user "ann"."""

    def __init__(self, platform: Platform, url: str, mode: str, wire: str = "openai") -> None:
        self.platform = platform
        self.tenant_id = f"billed-{token_hex(4)}"
        key = keys.new_api_key()
        sealed = Sealer(SECRET).seal(PROVIDER_KEY, provider_context(self.tenant_id))
        base = f"{url}/v1" if wire == "openai" else url
        platform.valkey.set(keys.limits_rebuilt(self.tenant_id), "kinds:0")
        self.snapshot = TenantSnapshot(
            format=FORMAT,
            tenant_id=self.tenant_id,
            slug=self.tenant_id,
            version=1,
            hosts=(f"{self.tenant_id}.localhost",),
            private_upstreams=True,
            policies=_limits("tenant", mode),
            apis=(
                Api("ai", "AI", "ai", "/v1", policies=_limits("api", mode), user_from="header:x-u"),
                Api(
                    "told",
                    "Told",
                    "prompt",
                    "/p/told",
                    prompt_id="prompt",
                    policies=_limits("api", mode),
                    user_from="header:x-u",
                ),
            ),
            plans=(Plan("plan", "Plan", _limits("plan", mode)),),
            applications=(
                Application("app", "App", _limits("application", mode) + _limits("user", mode)),
            ),
            keys=(ApiKey("key", keys.digest(key), "app", policies=_limits("key", mode)),),
            subscriptions=tuple(
                Subscription(f"s-{api}", "app", api, "plan", "approved") for api in ("ai", "told")
            ),
            providers=(Provider("p", "P", wire, base, credential=sealed),),
            models=(
                AIModel(
                    id="m",
                    name="batched",
                    api_ids=("ai",),
                    deployments=(Deployment(id="d", provider_id="p", model="real", prices=PRICES),),
                ),
                AIModel(
                    id="c",
                    name="carried",
                    api_ids=("ai",),
                    deployments=(Deployment(id="e", provider_id="p", model="real", prices=PRICES),),
                    routing=Routing(on_break="continue"),
                ),
            ),
            prompts=(
                Prompt(
                    id="prompt",
                    name="told",
                    version=1,
                    version_id="told-1",
                    model_id="m",
                    messages=(PromptMessage("user", "{{ text }}"),),
                    variables=(PromptVariable("text"),),
                    parameters={"max_tokens": MOST},
                ),
            ),
        )
        platform.publish(self.snapshot)
        headers = {"authorization": f"Bearer {key}", "x-u": "ann"}
        self.web = httpx.Client(base_url=platform.url, headers=headers, timeout=20)

    def counted(self) -> dict[str, set[tuple[int, int]]]:
        """What all levels have used, and what is reserved: of each measure one pair, where they
        agree."""
        found: dict[str, list[tuple[int, int]]] = {}
        valkey, now = self.platform.valkey, time.time_ns() // 1000
        names = valkey.keys(f"hubpo:limit:{{{self.tenant_id}}}:*")
        for key in {name.removesuffix(b":held") for name in names}:
            measure, _, rest = key.decode().partition("}:")[2].partition(":")
            span = rest.rpartition(":")[2]
            if measure not in ("tokens", "cost-USD"):
                continue
            window = 3600 if span == "3600" else 0
            held = valkey.hgetall(key + b":held")
            reading = read(valkey.hgetall(key), held, window, now)
            name = measure.partition("-")[0] + ("_hour" if window else "_month")
            found.setdefault(name, []).append((reading.used, reading.reserved))
        assert all(len(pairs) == len(LEVELS) for pairs in found.values())
        names = ("tokens_hour", "tokens_month", "cost_month")
        return {name: set(found.get(name, [(0, 0)])) for name in names}

    def wait(self, **counted: tuple[int, int]) -> None:
        """Until all levels say so."""
        wanted = {name: {pair} for name, pair in counted.items()}
        deadline = time.monotonic() + 5
        while (seen := self.counted()) != wanted and time.monotonic() < deadline:
            time.sleep(0.02)
        assert seen == wanted, f"{seen} in place of {wanted}"


def _limits(scope: str, mode: str) -> tuple[Limit, ...]:
    of = {"scope": scope, "mode": mode}
    return (
        Limit("tokens", 100_000, 3600, **of),
        Limit("tokens", 100_000, period="month", **of),
        Limit("cost", 1_000_000, period="month", **of),
    )


@contextmanager
def another_worker(valkey_url: str, directory: Path) -> Iterator[str]:
    """Of the same gateways; its address."""
    for name in ("snapshots", "journal"):
        (directory / name).mkdir()
    application = asgi.create(
        Settings(
            redis_url=valkey_url,
            snapshots=directory / "snapshots",
            journal=directory / "journal",
            secret_key=SECRET,
        )
    )
    application.data_plane = application
    with serving(application, "proxy.server:Protocol") as url:
        yield url
