"""Snapshots to measure with: the one tenant of ``make bench`` and any number of larger ones.

``python -m bench.tenants --redis URL --directory DIR`` stores a thousand tenants with 100
routes and 20 keys each, as the control plane stores them, and as a gateway's last good copies.
A tenant is the same value every time, so what one run stored another can use.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import redis

from bench.cases import API_KEY, MODEL, TRANSLATED
from contract import keys
from contract.policies import Limit
from contract.snapshot import (
    FORMAT,
    AIModel,
    Api,
    ApiKey,
    Application,
    Deployment,
    Plan,
    Prices,
    Provider,
    Route,
    Subscription,
    Target,
    TenantSnapshot,
    Upstream,
    encode,
)

ROUTES_OF_API = 20
KEYS_OF_APPLICATION = 2
HIGH = 1_000_000_000
"""A limit that is counted and never reached."""
SHAPES = (
    ("", ("GET",)),
    ("", ("POST",)),
    ("/{id}", ("GET",)),
    ("/{id}", ("PUT", "PATCH")),
    ("/{id}/lines/{line}", ("GET",)),
)
"""What a resource offers. Upstreams of these measurements answer any path that ends in /item."""


def small(*upstream_ports: int) -> TenantSnapshot:
    """One tenant with a REST API for each upstream, a model at the first, and a key that the
    cases of ``make bench`` use.
    """
    places = range(len(upstream_ports))
    route = Route("r", "/{x*}")
    return TenantSnapshot(
        format=FORMAT,
        tenant_id=_id(0, 0, 0),
        slug="bench",
        version=1,
        hosts=("bench.localhost",),
        private_upstreams=True,
        upstreams=tuple(_upstream(f"u{n}", port) for n, port in enumerate(upstream_ports)),
        apis=(
            *(
                Api(f"r{n}", f"R{n}", "http", rest_path(n), upstream_id=f"u{n}", routes=(route,))
                for n in places
            ),
            Api("ai", "AI", "ai", "/v1"),
        ),
        plans=(_plan("p"),),
        applications=(Application("a", "bench"),),
        keys=(ApiKey("k", keys.digest(API_KEY), "a"),),
        subscriptions=tuple(
            Subscription(f"s-{api}", "a", api, "p", "approved")
            for api in (*(f"r{n}" for n in places), "ai")
        ),
        providers=(
            _provider("v", upstream_ports[0]),
            Provider("w", "bench", "anthropic", f"http://127.0.0.1:{upstream_ports[0]}"),
        ),
        models=(_model("m", "ai", "v"), _model("n", "ai", "w", TRANSLATED)),
    )


def rest_path(place: int) -> str:
    """Where the API of that upstream of the small tenant listens."""
    return f"/rest-{place}" if place else "/rest"


def large(
    number: int, upstream_port: int, *, routes: int = 100, api_keys: int = 20, version: int = 1
) -> TenantSnapshot:
    """Tenant ``number`` of many: REST APIs of 20 routes, applications of two keys, subscribed
    to each API, one plan with a limit, and one model. It answers on ``t<number>.localhost``.
    """
    api_ids = [_id(number, 1, n) for n in range(-(-routes // ROUTES_OF_API))]
    application_ids = [_id(number, 2, n) for n in range(-(-api_keys // KEYS_OF_APPLICATION))]
    ai, plan, upstream, provider = (_id(number, kind, 0) for kind in (3, 4, 5, 6))
    return TenantSnapshot(
        format=FORMAT,
        tenant_id=_id(number, 0, 0),
        slug=f"t{number}",
        version=version,
        hosts=(f"t{number}.localhost",),
        private_upstreams=True,
        upstreams=(_upstream(upstream, upstream_port),),
        apis=(
            *(
                Api(
                    api_id,
                    f"Service {place}",
                    "http",
                    f"/service-{place}",
                    upstream_id=upstream,
                    routes=tuple(_routes(number, place, min(routes, (place + 1) * ROUTES_OF_API))),
                )
                for place, api_id in enumerate(api_ids)
            ),
            Api(ai, "Models", "ai", "/v1"),
        ),
        plans=(_plan(plan),),
        applications=tuple(Application(a, f"App {n}") for n, a in enumerate(application_ids)),
        keys=tuple(
            ApiKey(
                _id(number, 7, n),
                keys.digest(key_of(number, n)),
                application_ids[n // KEYS_OF_APPLICATION],
            )
            for n in range(api_keys)
        ),
        subscriptions=tuple(
            Subscription(_id(number, 8, 100 * m + n), application, api, plan, "approved")
            for m, application in enumerate(application_ids)
            for n, api in enumerate((*api_ids, ai))
        ),
        providers=(_provider(provider, upstream_port),),
        models=(_model(_id(number, 9, 0), ai, provider),),
    )


def key_of(number: int, place: int) -> str:
    """Key ``place`` of tenant ``number``, in the clear."""
    return f"hub_bench-{number:08d}-{place:08d}-000000"


def call_of(number: int, place: int, *, routes: int = 100, api_keys: int = 20) -> tuple[str, ...]:
    """Host, path and key of a GET that a large tenant answers; ``place`` walks over both its
    routes and its keys.
    """
    resources = max(1, routes // len(SHAPES))
    resource = place % resources
    api = resource * len(SHAPES) // ROUTES_OF_API
    path = f"/service-{api}/things-{resource}/item"
    return f"t{number}.localhost", path, key_of(number, place % api_keys)


def _routes(number: int, api: int, end: int) -> Iterator[Route]:
    for place in range(api * ROUTES_OF_API, end):
        resource, shape = divmod(place, len(SHAPES))
        path, methods = SHAPES[shape]
        yield Route(_id(number, 10, place), f"/things-{resource}{path}", methods)


def _upstream(upstream_id: str, port: int) -> Upstream:
    return Upstream(upstream_id, "bench", (Target("t", "http", "127.0.0.1", port),))


def _plan(plan_id: str) -> Plan:
    """With an exact limit on calls a minute."""
    return Plan(plan_id, "bench", (Limit("calls", HIGH),))


def _provider(provider_id: str, port: int) -> Provider:
    return Provider(provider_id, "bench", "openai", f"http://127.0.0.1:{port}/v1")


def _model(model_id: str, api_id: str, provider_id: str, name: str = MODEL) -> AIModel:
    prices = Prices(150_000, 600_000)
    deployment = Deployment(f"d-{provider_id}", provider_id, name, prices=prices)
    return AIModel(model_id, name, (api_id,), (deployment,))


def _id(tenant: int, kind: int, place: int) -> str:
    return str(UUID(int=0x4000_8000_0000_0000_0000 | tenant << 96 | kind << 88 | place))


def store(url: str, snapshots: Iterable[TenantSnapshot]) -> None:
    """In Valkey, as the control plane does it, announcement included. Nothing has been used of any
    month's budget, which a gateway must be told before it takes calls under one.
    """
    with redis.Redis.from_url(url) as client, client.pipeline(transaction=False) as pipeline:
        for snapshot in snapshots:
            blob = encode(snapshot)
            mark = f"{snapshot.version}:{sha256(blob).hexdigest()}"
            pipeline.set(keys.limits_rebuilt(snapshot.tenant_id), 1)
            pipeline.set(keys.snapshot_blob(snapshot.tenant_id), blob)
            pipeline.hset(keys.SNAPSHOT_INDEX, snapshot.tenant_id, mark)
            pipeline.publish(keys.SNAPSHOT_CHANNEL, snapshot.tenant_id)
            if len(pipeline) >= 300:
                pipeline.execute()
        pipeline.execute()


def write(directory: Path, snapshots: Iterable[TenantSnapshot]) -> None:
    """As the last good copies from which a gateway starts (``var/gateway``)."""
    directory.mkdir(parents=True, exist_ok=True)
    for snapshot in snapshots:
        (directory / f"{snapshot.tenant_id}.snapshot").write_bytes(encode(snapshot))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.tenants", description=__doc__)
    parser.add_argument("--tenants", type=int, default=1000)
    parser.add_argument("--routes", type=int, default=100, help="of each tenant")
    parser.add_argument("--keys", type=int, default=20, help="of each tenant")
    parser.add_argument("--upstream-port", type=int, default=9)
    parser.add_argument("--redis", help="where to store them")
    parser.add_argument("--directory", type=Path, help="where to write them as copies")
    options = parser.parse_args()
    started = time.perf_counter()
    made = [
        large(n, options.upstream_port, routes=options.routes, api_keys=options.keys)
        for n in range(1, options.tenants + 1)
    ]
    if options.redis:
        store(options.redis, made)
    if options.directory:
        write(options.directory, made)
    size = sum(len(encode(snapshot)) for snapshot in made)
    print(f"{len(made)} tenants, {size / 1e6:.1f} MB, in {time.perf_counter() - started:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
