"""The two tenants of the soak: one that stays, whose caches fill, and one that keeps changing.

Every snapshot of ``moving`` has new ids for all it holds and a new key, so what a worker keeps
by id and does not give back would be seen.
"""

from __future__ import annotations

from bench.cases import MODEL
from bench.tenants import HIGH
from contract import keys
from contract.policies import BodyLimit, Limit, Policy
from contract.snapshot import (
    FORMAT,
    AIModel,
    Api,
    ApiKey,
    Application,
    Breaker,
    Deployment,
    Plan,
    Prices,
    Prompt,
    PromptMessage,
    PromptVariable,
    Provider,
    Route,
    Subscription,
    Target,
    TenantSnapshot,
    Upstream,
)

STEADY, MOVING = "steady.localhost", "moving.localhost"
CHANGE_SECONDS = 10.0
"""A new version of the moving tenant is stored so often."""
STEADY_KEYS = 20
MOST_BODY = 20_000
"""Bytes that a call to ``/rest`` may send."""
CALLS_OF_USER = 2
"""What an end user may call ``/users`` in a minute."""
CALLS_A_SECOND = 10
"""What an application may call ``/limited``."""

_PLANS: dict[str, tuple[Policy, ...]] = {
    "rest": (Limit("calls", HIGH), BodyLimit(MOST_BODY)),
    "users": (Limit("calls", CALLS_OF_USER, scope="user"), Limit("calls", HIGH)),
    "limited": (Limit("calls", CALLS_A_SECOND, window=1),),
    "leased": (Limit("calls", HIGH, mode="leased"),),
    "ai": (Limit("tokens", HIGH), Limit("cost", HIGH), Limit("concurrency", HIGH)),
    "prompt": (Limit("tokens", HIGH, mode="leased"),),
}
"""By API of the steady tenant."""


def steady(upstream_port: int) -> TenantSnapshot:
    """What is called most: services under limits of every kind, a model and a prompt."""
    route = (Route("r", "/{x*}", ("GET", "POST")),)
    services = [
        Api(name, name, "http", f"/{name}", upstream_id="u", routes=route)
        for name in ("rest", "limited", "leased")
    ]
    users = Api(
        "users", "users", "http", "/users", upstream_id="u", routes=route,
        user_from="header:x-user",
    )  # fmt: skip
    message = PromptMessage("user", "(answer: whole) About {{ subject }}, please.")
    return TenantSnapshot(
        format=FORMAT,
        tenant_id="soak-steady",
        slug="steady",
        version=1,
        hosts=(STEADY,),
        private_upstreams=True,
        upstreams=(Upstream("u", "u", (Target("t", "http", "127.0.0.1", upstream_port),)),),
        apis=(
            *services,
            users,
            Api("ai", "ai", "ai", "/v1"),
            Api("prompt", "prompt", "prompt", "/prompt", prompt_id="q"),
        ),
        plans=tuple(Plan(f"p-{api}", api, policies) for api, policies in _PLANS.items()),
        applications=(Application("a", "a"),),
        keys=tuple(ApiKey(f"k{n}", keys.digest(steady_key(n)), "a") for n in range(STEADY_KEYS)),
        subscriptions=tuple(
            Subscription(f"s-{api}", "a", api, f"p-{api}", "approved") for api in _PLANS
        ),
        providers=(Provider("v", "v", "openai", f"http://127.0.0.1:{upstream_port}/v1"),),
        models=(
            AIModel(
                "m",
                MODEL,
                ("ai",),
                (Deployment("d", "v", MODEL, prices=Prices(150_000, 600_000)),),
            ),
        ),
        prompts=(Prompt("q", "q", 1, "q1", "m", (message,), (PromptVariable("subject"),)),),
    )


def moving(version: int, upstream_port: int) -> TenantSnapshot:
    """A service that works (``/rest``) and one whose upstream fails at times (``/flaky``).

    Keys of this version, of the one before and of the next are good, so a caller may be a version
    ahead or behind.
    """
    target = Target(f"t{version}", "http", "127.0.0.1", upstream_port)
    flaky = Target(f"f{version}", "http", "127.0.0.1", upstream_port, path="/flaky")
    route = (Route(f"r{version}", "/{x*}"),)
    apis = {"rest": f"u{version}", "flaky": f"w{version}"}
    return TenantSnapshot(
        format=FORMAT,
        tenant_id="soak-moving",
        slug="moving",
        version=version,
        hosts=(MOVING,),
        private_upstreams=True,
        upstreams=(
            Upstream(apis["rest"], "rest", (target,)),
            Upstream(apis["flaky"], "flaky", (flaky,), breaker=Breaker(seconds=1.0)),
        ),
        apis=tuple(
            Api(f"{name}{version}", name, "http", f"/{name}", upstream_id=upstream, routes=route)
            for name, upstream in apis.items()
        ),
        plans=(Plan(f"p{version}", "p", (Limit("calls", HIGH),)),),
        applications=(Application(f"a{version}", "a"),),
        keys=tuple(
            ApiKey(f"k{n}", keys.digest(moving_key(n)), f"a{version}")
            for n in range(version - 1, version + 2)
        ),
        subscriptions=tuple(
            Subscription(f"s-{name}", f"a{version}", f"{name}{version}", f"p{version}", "approved")
            for name in apis
        ),
    )


def steady_key(number: int) -> str:
    return f"hub_steady-{number % STEADY_KEYS:08d}-00000000000000"


def moving_key(version: int) -> str:
    return f"hub_moving-{version:08d}-00000000000000"
