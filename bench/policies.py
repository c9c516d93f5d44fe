"""What each check adds to the cost of a call: the same call with one more of them on each time.

Each variant is served by a worker of its own, the rounds take turns, and the median counts.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Literal

from msgspec.structs import replace

from bench import tenants
from bench.cases import CASES, REST_GET, Case
from bench.measure import job, under_load
from bench.subjects.hubpo import valkey, worker
from bench.subjects.processes import upstream
from config import env
from contract.policies import BodyLimit, Limit, Policy
from contract.routing import Priority, Routing
from contract.snapshot import Application, Deployment, TenantSnapshot

CHAT = next(case for case in CASES if case.ai)
STREAM, TRANSLATED = (
    next(case for case in CASES if case.name == name)
    for name in ("chat-stream-50", "chat-translated-stream-50")
)
HIGH = tenants.HIGH


def _open(tenant: TenantSnapshot) -> TenantSnapshot:
    """Anybody may call: no key, no subscription, no plan."""
    return replace(tenant, apis=tuple(replace(api, key_required=False) for api in tenant.apis))


def _plan(*policies: Policy) -> Callable[[TenantSnapshot], TenantSnapshot]:
    def change(tenant: TenantSnapshot) -> TenantSnapshot:
        return replace(tenant, plans=(replace(tenant.plans[0], policies=policies),))

    return change


def _two_levels(tenant: TenantSnapshot) -> TenantSnapshot:
    each = Limit("calls", HIGH, scope="application")
    return replace(tenant, applications=(Application("a", "bench", (each,)),))


def _breaks(on_break: Literal["error", "continue"]) -> Callable[[TenantSnapshot], TenantSnapshot]:
    """Two deployments of each model, of which the second could carry a stream on."""

    def change(tenant: TenantSnapshot) -> TenantSnapshot:
        routing = Routing(Priority(), on_break=on_break)
        models = tuple(
            replace(model, deployments=_twice(model.deployments[0]), routing=routing)
            for model in tenant.models
        )
        return replace(tenant, models=models)

    return change


def _twice(first: Deployment) -> tuple[Deployment, Deployment]:
    return first, replace(first, id=f"{first.id}-2", priority=2)


VARIANTS: list[tuple[str, Case, Callable[[TenantSnapshot], TenantSnapshot]]] = [
    ("GET: forward and record", REST_GET, _open),
    ("GET: and key, subscription", REST_GET, _plan()),
    ("GET: and calls a minute, exact", REST_GET, _plan(Limit("calls", HIGH))),
    ("GET: or calls a minute, leased", REST_GET, _plan(Limit("calls", HIGH, mode="leased"))),
    ("GET: or calls at plan and application", REST_GET, _two_levels),
    ("GET: or calls a month", REST_GET, _plan(Limit("calls", HIGH, window=0, period="month"))),
    ("GET: or calls at once", REST_GET, _plan(Limit("concurrency", 100_000, window=0))),
    ("GET: or body size", REST_GET, _plan(BodyLimit(1_000_000))),
    ("chat: forward and record", CHAT, _open),
    ("chat: and key, subscription", CHAT, _plan()),
    ("chat: and calls a minute, exact", CHAT, _plan(Limit("calls", HIGH))),
    ("chat: or tokens a minute", CHAT, _plan(Limit("tokens", HIGH * 1000))),
    ("chat: or cost a month", CHAT, _plan(Limit("cost", HIGH * 1000, window=0, period="month"))),
    ("stream: passed on", STREAM, _breaks("error")),
    ("stream: and carried on where it breaks off", STREAM, _breaks("continue")),
    ("translated stream", TRANSLATED, _breaks("error")),
    ("translated stream: and carried on", TRANSLATED, _breaks("continue")),
]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-policies", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4, help="measured time of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="in place of var/bench-policies.json")
    parser.add_argument("--only", default="", help="variants whose names have these words")
    options = parser.parse_args()
    variants = [variant for variant in VARIANTS if options.only in variant[0]]
    found: dict[str, list[float]] = {name: [] for name, _, _ in variants}
    with upstream() as port:
        for _ in range(options.rounds):
            for name, case, change in variants:
                cost = _cost(change(tenants.small(port)), case, options.seconds)
                print(f"{cost:6.1f} us  {name}", flush=True)
                found[name].append(cost)
    rows = [{"variant": name, "us_per_request": median(costs)} for name, costs in found.items()]
    print("\n" + "\n".join(f"{row['us_per_request']:6.1f} us  {row['variant']}" for row in rows))
    out = options.out or env.var_dir() / "bench-policies.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


def _cost(tenant: TenantSnapshot, case: Case, seconds: float) -> float:
    """Microseconds of CPU a call."""
    with tempfile.TemporaryDirectory(prefix="hubpo-policies-") as directory:
        work = Path(directory)
        with valkey(work) as url:
            tenants.store(url, [tenant])
            with worker(url, work / "var") as (port, pid):
                call = job(port, [case.request(port)], case.answer, rewritten=case.chunks > 1)
                call["seconds"] = seconds
                result, spent = under_load("bench.load", call, pid)
    return round(spent / result["count"] * 1e6, 1)


if __name__ == "__main__":
    sys.exit(main())
