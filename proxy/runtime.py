"""A tenant's snapshot with the indexes that a call needs, built once when it loads.

Nothing here changes afterwards, except that the steps of a subscription, and what keys and end
users must pass, are compiled when they are first used.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Generator, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from contract.policies import Policy
from contract.secrets import Sealer
from contract.snapshot import (
    Api,
    ApiKey,
    Application,
    Plan,
    Route,
    SnapshotError,
    SubscriptionStatus,
    Target,
    TenantSnapshot,
    Timeouts,
    Upstream,
)
from proxy import stopped
from proxy.ai.compiled import CompiledPrompt
from proxy.ai.runtime import (
    DeploymentRuntime,
    ModelRuntime,
    ProviderRuntime,
    credential,
    find_meanings,
    find_reach,
)
from proxy.balance import sequence
from proxy.policies import Step, compile_steps, limit_report
from proxy.policies.place import Place
from proxy.route import Listen, Rewrite, Table, TemplateError

__all__ = [
    "ApiRuntime",
    "DeploymentRuntime",
    "ModelRuntime",
    "ProviderRuntime",
    "RouteRuntime",
    "SubscriptionRuntime",
    "TenantRuntime",
    "UpstreamRuntime",
]

if TYPE_CHECKING:
    from proxy.health import RetryBudget
    from proxy.policies.limit_items import Rules
    from proxy.policies.limits import Bound
    from proxy.upstream.pool import Lane

logger = logging.getLogger(__name__)

MOST_SPECIAL = 256
"""Routes and keys with policies of their own whose steps one subscription remembers. A step takes
about 1.5 KB."""
_PIECE = 200
"""Routes or subscriptions that are made ready in one go: half a millisecond."""

Policies = tuple[tuple[str, Policy], ...]
"""Each with its level: tenant, api, route, plan, application or key."""


class RouteRuntime(Struct, eq=False, gc=False):
    """A route of an API, or (``ApiRuntime.base``) the API as a whole.

    It does not refer to its API, so that what is replaced is freed at once.
    """

    id: str
    """Empty for an API as a whole."""
    api_id: str
    place: Place
    """Of calls without a subscription."""
    policies: Policies
    open_steps: tuple[Step, ...]
    """For calls without a subscription; empty where calls need one."""
    ruled: str = ""
    """The id of a route with policies of its own; all others of an API share their steps."""
    names: tuple[str, ...] = ()
    tail: bool = False
    """The last parameter takes the rest of the path."""
    rewrite: Rewrite | None = None
    timeouts: Timeouts | None = None
    retries: int | None = None


@lru_cache(maxsize=1024)
def _same(timeouts: Timeouts) -> Timeouts:
    """One object for all that are equal: most are, and a thousand tenants have a thousand."""
    return timeouts


class UpstreamRuntime:
    """``order`` is one round of the balancing; ``lanes`` are the pool's, by target id, and
    ``lane`` is that of the only target.
    """

    __slots__ = (
        "budget", "id", "lane", "lanes", "order", "preserve_host", "timeouts", "upstream",
    )  # fmt: skip

    def __init__(self, upstream: Upstream) -> None:
        self.id = upstream.id
        self.upstream = upstream
        self.order: tuple[Target, ...] = sequence(upstream.targets)
        self.lanes: dict[str, Lane] = {}
        self.lane: Lane | None = None
        self.preserve_host = upstream.preserve_host
        self.timeouts = _same(upstream.timeouts)
        self.budget: RetryBudget | None = None
        """The one of ``health``, once it is known."""


class ApiRuntime:
    """``not_forwarded``: request headers that stop at the gateway, the key's among them."""

    __slots__ = (
        "api",
        "base",
        "id",
        "key_header",
        "key_query",
        "key_required",
        "kind",
        "not_forwarded",
        "policies",
        "prompt",
        "routes",
        "tenant_id",
        "time_zone",
        "upstream",
    )

    def __init__(self, tenant: TenantSnapshot, api: Api) -> None:
        self.api = api
        self.id = api.id
        self.kind = api.kind
        self.tenant_id = tenant.tenant_id
        self.time_zone = tenant.time_zone
        self.key_required = api.key_required
        self.key_header, self.not_forwarded = stopped.by_key_header(api.key_header.lower())
        self.key_query = api.key_query.encode() if api.key_query else None
        self.upstream: UpstreamRuntime | None = None
        self.prompt: CompiledPrompt | None = None
        self.policies: Policies = (
            *(("tenant", policy) for policy in tenant.policies),
            *(("api", policy) for policy in api.policies),
        )
        self.base = self._ruled("", self.policies)
        self.routes: Table[RouteRuntime] = Table()

    def build(self) -> Iterator[None]:
        """Fills ``routes``, in pieces. Raises TemplateError."""
        for number, spec in enumerate(self.api.routes):
            if number % _PIECE == 0:
                yield
            base = self.base
            if spec.policies:
                base = self.ruled(spec)
            route = RouteRuntime(
                spec.id, self.id, base.place, base.policies, base.open_steps, base.ruled
            )
            route.names = self.routes.add(spec.path, spec.methods, route)
            route.tail = spec.path.endswith("*}")
            route.timeouts, route.retries = spec.timeouts, spec.retries
            if spec.rewrite is not None:
                route.rewrite = Rewrite.of(spec.rewrite, route.names)

    def ruled(self, route: Route) -> RouteRuntime:
        """For calls of a route with policies of its own."""
        own = (("route", policy) for policy in route.policies)
        return self._ruled(route.id, (*self.policies, *own))

    def _ruled(self, route_id: str, policies: Policies) -> RouteRuntime:
        place = Place(
            tenant_id=self.tenant_id,
            api_id=self.id,
            route_id=route_id,
            time_zone=self.time_zone,
            user_from=self.api.user_from,
            ai=self.kind != "http",
        )
        # Compiled where a key is needed too: what cannot be compiled is refused now.
        steps = compile_steps(place, policies)
        if self.key_required:
            steps = ()
        return RouteRuntime(route_id, self.id, place, policies, steps, route_id)

    def __repr__(self) -> str:
        return f"<ApiRuntime {self.api.name} at {self.api.listen_path or '/'}>"


class SubscriptionRuntime(Struct, eq=False, gc=False):
    """An application's use of an API. Steps are compiled when they are first used."""

    id: str
    status: SubscriptionStatus
    plan_id: str
    plan: Plan
    _steps: tuple[Step, ...] | None = None
    """Of keys and routes without policies of their own."""
    _special: dict[str, tuple[Step, ...]] | None = None

    def steps(self, route: RouteRuntime, caller: Caller) -> tuple[Step, ...]:
        """What calls of this subscription, whose application the caller is of, must pass."""
        if route.ruled or caller.ruled:
            return self._special_steps(route, caller)
        steps = self._steps
        if steps is None:
            steps = self._steps = compile_steps(*self.rules(route, caller))
        return steps

    def _special_steps(self, route: RouteRuntime, caller: Caller) -> tuple[Step, ...]:
        known = self._special
        if known is None:
            known = self._special = {}
        name = f"{route.ruled} {caller.key_id}" if caller.ruled else route.ruled
        steps = known.get(name)
        if steps is None:
            if len(known) >= MOST_SPECIAL:
                known.clear()
            steps = known[name] = compile_steps(*self.rules(route, caller))
        return steps

    def rules(self, route: RouteRuntime, caller: Caller) -> tuple[Place, Policies]:
        """The policies of tenant, API, route, plan, application and key, and where they apply."""
        place = structs.replace(
            route.place,
            application_id=caller.application_id,
            subscription_id=self.id,
            plan_id=self.plan_id,
            key_id=caller.key_id if caller.ruled else "",
        )
        policies = (
            *route.policies,
            *(("plan", policy) for policy in self.plan.policies),
            *(("application", policy) for policy in caller.application.policies),
            *(("key", policy) for policy in caller.key.policies),
        )
        return place, policies


Match = tuple[ApiRuntime, RouteRuntime, str, bytes]
"""API and route; of an API that is not forwarded the raw path below the listen path, else the path
that is sent upstream."""

Listening = Listen[ApiRuntime, Match]


Uses = dict[str, SubscriptionRuntime]
"""What an application is subscribed to, by API."""


class Caller(Struct, eq=False, gc=False):
    """Who a key stands for. What most calls need is here itself: with a thousand tenants every
    further object is one that has to be fetched from memory.
    """

    application_id: str
    key_id: str
    expires_at: float | None
    ruled: bool
    """The key has policies of its own."""
    uses: Uses
    key: ApiKey
    application: Application


def _caller(key: ApiKey, application: Application, uses: dict[str, Uses]) -> Caller:
    own = bool(key.policies)
    return Caller(
        application.id, key.id, key.expires_at, own, uses[application.id], key, application
    )


class TenantRuntime:
    """``listen`` finds APIs on the tenant's hosts; ``extra_hosts`` has a table for each of
    the host names that only some APIs answer on.
    """

    __slots__ = (
        "apis",
        "applications",
        "bound",
        "extra_hosts",
        "id",
        "keys",
        "listen",
        "models",
        "models_by_id",
        "plans",
        "private_ok",
        "prompts",
        "providers",
        "slug",
        "snapshot",
        "suspended",
        "upstreams",
    )

    def __init__(self, snapshot: TenantSnapshot, sealer: Sealer | None) -> None:
        """All at once. Raises SnapshotError where the snapshot does not hold together."""
        for _ in self._build(snapshot, sealer):
            pass

    @classmethod
    def gradually(
        cls, snapshot: TenantSnapshot, sealer: Sealer | None
    ) -> Generator[None, None, TenantRuntime]:
        """The same in pieces of a few milliseconds at most, between which calls may go first."""
        runtime = cls.__new__(cls)
        yield from runtime._build(snapshot, sealer)
        return runtime

    def _build(self, snapshot: TenantSnapshot, sealer: Sealer | None) -> Iterator[None]:
        self.snapshot = snapshot
        self.id = snapshot.tenant_id
        self.slug = snapshot.slug
        self.suspended = snapshot.suspended
        self.private_ok = snapshot.private_upstreams
        self.bound: OrderedDict[tuple[Rules, str, str], Bound] = OrderedDict()
        """The limits of keys and end users that call; ``policies.limits`` fills and bounds it."""
        try:
            yield from self._index(snapshot, sealer)
        except KeyError as error:
            raise SnapshotError(f"The snapshot refers to {error}, which it lacks.") from error
        except TemplateError as error:
            raise SnapshotError(str(error)) from error

    def _index(self, snapshot: TenantSnapshot, sealer: Sealer | None) -> Iterator[None]:
        self.applications: dict[str, Application] = {a.id: a for a in snapshot.applications}
        uses: dict[str, Uses] = {id_: {} for id_ in self.applications}
        self.keys: dict[bytes, Caller] = {
            key.digest: _caller(key, self.applications[key.application_id], uses)
            for key in snapshot.keys
            if key.application_id in self.applications
        }
        yield
        self.plans: dict[str, Plan] = {plan.id: plan for plan in snapshot.plans}
        # The very strings that calls look them up by: equal ones would have to be compared.
        ids = {api.id: api.id for api in snapshot.apis}
        for number, item in enumerate(snapshot.subscriptions):
            if number % _PIECE == 0:
                yield
            plan = self.plans[item.plan_id]
            if item.application_id in uses and item.api_id in ids:
                use = SubscriptionRuntime(item.id, item.status, plan.id, plan)
                uses[item.application_id][ids[item.api_id]] = use
        self.upstreams = {item.id: UpstreamRuntime(item) for item in snapshot.upstreams}
        self.prompts = {prompt.id: CompiledPrompt(prompt) for prompt in snapshot.prompts}
        self.providers = {
            provider.id: ProviderRuntime(provider, credential(provider, self.id, sealer))
            for provider in snapshot.providers
        }
        self.models_by_id = {
            model.id: ModelRuntime(model, self.providers, self.id) for model in snapshot.models
        }
        find_meanings(self.models_by_id)
        find_reach(self.models_by_id)
        self.models = {model.name: model for model in self.models_by_id.values()}
        self.apis: dict[str, ApiRuntime] = {}
        for api in snapshot.apis:
            runtime = self.apis[api.id] = ApiRuntime(snapshot, api)
            yield from runtime.build()
            if api.kind == "http":
                runtime.upstream = self.upstreams[api.upstream_id or "no upstream"]
            elif api.kind == "prompt":
                runtime.prompt = self.prompts[api.prompt_id or "no prompt"]
        self.listen = self._table(None)
        hosts = sorted({host for api in snapshot.apis for host in api.hosts})
        self.extra_hosts = {host: self._table(host) for host in hosts}

    def _table(self, host: str | None) -> Listening:
        """The APIs that answer on a host: its own first, then those of every host."""
        table: Listening = Listen(sum(len(api.api.routes) for api in self.apis.values()))
        own = [api for api in self.apis.values() if host is not None and host in api.api.hosts]
        everywhere = [api for api in self.apis.values() if not api.api.hosts]
        reserved = ApiRuntime(self.snapshot, limit_report.RESERVED)
        table.add(reserved.api.listen_path, reserved)
        for group in (own, everywhere):
            taken = {reserved.api.listen_path}
            for api in group:
                path = api.api.listen_path
                # AI APIs share a path: the model that a call names decides between them.
                if not table.add(path, api) and path in taken and api.kind != "ai":
                    raise SnapshotError(f"Two APIs have the listen path {path or '/'}.")
                taken.add(path)
        for api in (*own, *everywhere):
            if api.kind == "ai" and api.api.listen_path == "/v1":
                # Where the SDKs of Google and Cohere call. What the tenant has there goes first.
                table.add("/v1beta", api)
                table.add("/v2", api)
        return table
