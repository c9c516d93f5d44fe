"""A tenant's snapshot with the indexes that a call needs, built once when it loads.

Nothing here changes afterwards, except that the steps of a subscription are compiled
when they are first used.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import product

from contract.policies import Policy
from contract.secrets import Sealer, SealError, provider_context
from contract.snapshot import (
    AIModel,
    Api,
    ApiKey,
    Application,
    Deployment,
    Plan,
    Provider,
    SnapshotError,
    Subscription,
    Target,
    TenantSnapshot,
    Upstream,
)
from contract.snapshot import Route as RouteSpec
from proxy.ai.compiled import CompiledPrompt, Destination
from proxy.balance import sequence
from proxy.policies import Step, compile_steps
from proxy.policies.place import Place
from proxy.route import Listen, Rewrite, Table, TemplateError

logger = logging.getLogger(__name__)

_HOP_BY_HOP = (
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
)
_OURS = (
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-real-ip",
    "x-request-id",
)
"""Set by the gateway or by nobody: an upstream may trust them."""


def _spellings(name: str) -> Iterator[bytes]:
    """A header name with each ``-`` also as ``_``, which many upstreams read as the same."""
    for joints in product("-_", repeat=name.count("-")):
        pieces = name.split("-")
        yield "".join(a + b for a, b in zip(pieces, (*joints, ""), strict=True)).encode()


HOP_BY_HOP = frozenset(name.encode() for name in _HOP_BY_HOP)
NOT_FORWARDED = frozenset(
    spelling for name in (*_HOP_BY_HOP, *_OURS) for spelling in _spellings(name)
) | {b"host", b"content-length", b"expect"}


class RouteRuntime:
    """A route of an API; with no ``route`` the API as a whole (AI and prompt APIs)."""

    __slots__ = ("api", "id", "names", "open_steps", "policies", "rewrite", "route", "tail")

    def __init__(self, api: ApiRuntime, route: RouteSpec | None) -> None:
        self.api = api
        self.route = route
        self.id = route.id if route else ""
        self.names: tuple[str, ...] = ()
        self.tail = route is not None and route.path.endswith("*}")
        """The last parameter takes the rest of the path."""
        self.rewrite: Rewrite | None = None
        own = route.policies if route else ()
        self.policies: tuple[tuple[str, Policy], ...] = (
            *api.policies,
            *(("route", policy) for policy in own),
        )
        self.open_steps: tuple[Step, ...] = compile_steps(
            Place(tenant_id=api.tenant_id, api_id=api.id, route_id=self.id), self.policies
        )
        """For calls without a subscription."""


class UpstreamRuntime:
    """``order`` is one round of the balancing."""

    __slots__ = ("id", "order", "upstream")

    def __init__(self, upstream: Upstream) -> None:
        self.id = upstream.id
        self.upstream = upstream
        self.order: tuple[Target, ...] = sequence(upstream.targets)


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
        "upstream",
    )

    def __init__(self, tenant: TenantSnapshot, api: Api) -> None:
        self.api = api
        self.id = api.id
        self.kind = api.kind
        self.tenant_id = tenant.tenant_id
        self.key_required = api.key_required
        self.key_header = api.key_header.lower().encode()
        self.key_query = api.key_query.encode() if api.key_query else None
        self.not_forwarded = NOT_FORWARDED | set(_spellings(api.key_header.lower()))
        self.upstream: UpstreamRuntime | None = None
        self.prompt: CompiledPrompt | None = None
        self.policies: tuple[tuple[str, Policy], ...] = (
            *(("tenant", policy) for policy in tenant.policies),
            *(("api", policy) for policy in api.policies),
        )
        self.base = RouteRuntime(self, None)
        self.routes: Table[RouteRuntime] = Table()
        for spec in api.routes:
            route = RouteRuntime(self, spec)
            route.names = self.routes.add(spec.path, spec.methods, route)
            if spec.rewrite is not None:
                route.rewrite = Rewrite(spec.rewrite, route.names)

    def __repr__(self) -> str:
        return f"<ApiRuntime {self.api.name} at {self.api.listen_path or '/'}>"


class SubscriptionRuntime:
    __slots__ = ("_steps", "id", "plan", "status", "subscription")

    def __init__(self, subscription: Subscription, plan: Plan) -> None:
        self.id = subscription.id
        self.status = subscription.status
        self.subscription = subscription
        self.plan = plan
        self._steps: dict[RouteRuntime, tuple[Step, ...]] = {}

    def steps(self, route: RouteRuntime) -> tuple[Step, ...]:
        """The policies of tenant, API, route and plan for this subscription's calls."""
        steps = self._steps.get(route)
        if steps is None:
            place = Place(
                tenant_id=route.api.tenant_id,
                api_id=route.api.id,
                route_id=route.id,
                application_id=self.subscription.application_id,
                subscription_id=self.id,
            )
            planned = (("plan", policy) for policy in self.plan.policies)
            steps = self._steps[route] = compile_steps(place, (*route.policies, *planned))
        return steps


class ProviderRuntime:
    """``credential`` is in the clear and must not be logged; None where there is none."""

    __slots__ = ("credential", "destination", "id", "provider")

    def __init__(self, provider: Provider, credential: str | None) -> None:
        self.id = provider.id
        self.provider = provider
        self.credential = credential
        self.destination = Destination(provider, credential)


class DeploymentRuntime:
    __slots__ = ("deployment", "id", "provider", "weight")

    def __init__(self, deployment: Deployment, provider: ProviderRuntime) -> None:
        self.id = deployment.id
        self.weight = deployment.weight
        self.deployment = deployment
        self.provider = provider


class ModelRuntime:
    """``order`` is one round of the balancing over its deployments."""

    __slots__ = ("deployments", "id", "model", "name", "order")

    def __init__(self, model: AIModel, providers: dict[str, ProviderRuntime]) -> None:
        self.id = model.id
        self.name = model.name
        self.model = model
        self.deployments = tuple(
            DeploymentRuntime(item, providers[item.provider_id]) for item in model.deployments
        )
        self.order: tuple[DeploymentRuntime, ...] = sequence(self.deployments)


class TenantRuntime:
    """``listen`` finds APIs on the tenant's hosts; ``extra_hosts`` has a table for each of
    the host names that only some APIs answer on.
    """

    __slots__ = (
        "apis",
        "applications",
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
        "subscriptions",
        "suspended",
        "upstreams",
    )

    def __init__(self, snapshot: TenantSnapshot, sealer: Sealer | None) -> None:
        """Raises SnapshotError where the snapshot does not hold together."""
        self.snapshot = snapshot
        self.id = snapshot.tenant_id
        self.slug = snapshot.slug
        self.suspended = snapshot.suspended
        self.private_ok = snapshot.private_upstreams
        try:
            self._index(snapshot, sealer)
        except KeyError as error:
            raise SnapshotError(f"The snapshot refers to {error}, which it lacks.") from error
        except TemplateError as error:
            raise SnapshotError(str(error)) from error

    def _index(self, snapshot: TenantSnapshot, sealer: Sealer | None) -> None:
        self.applications: dict[str, Application] = {a.id: a for a in snapshot.applications}
        self.keys: dict[bytes, ApiKey] = {
            key.digest: key for key in snapshot.keys if key.application_id in self.applications
        }
        self.plans: dict[str, Plan] = {plan.id: plan for plan in snapshot.plans}
        self.subscriptions: dict[tuple[str, str], SubscriptionRuntime] = {
            (item.application_id, item.api_id): SubscriptionRuntime(item, self.plans[item.plan_id])
            for item in snapshot.subscriptions
        }
        self.upstreams = {item.id: UpstreamRuntime(item) for item in snapshot.upstreams}
        self.prompts = {prompt.id: CompiledPrompt(prompt) for prompt in snapshot.prompts}
        self.providers = {
            provider.id: ProviderRuntime(provider, _open(provider, self.id, sealer))
            for provider in snapshot.providers
        }
        self.models_by_id = {m.id: ModelRuntime(m, self.providers) for m in snapshot.models}
        self.models = {model.name: model for model in self.models_by_id.values()}
        self.apis: dict[str, ApiRuntime] = {}
        for api in snapshot.apis:
            runtime = self.apis[api.id] = ApiRuntime(snapshot, api)
            if api.kind == "http":
                runtime.upstream = self.upstreams[api.upstream_id or "no upstream"]
            elif api.kind == "prompt":
                runtime.prompt = self.prompts[api.prompt_id or "no prompt"]
        self.listen = self._table(None)
        hosts = sorted({host for api in snapshot.apis for host in api.hosts})
        self.extra_hosts = {host: self._table(host) for host in hosts}

    def _table(self, host: str | None) -> Listen[ApiRuntime]:
        """The APIs that answer on a host: its own first, then those of every host."""
        table: Listen[ApiRuntime] = Listen()
        own = [api for api in self.apis.values() if host is not None and host in api.api.hosts]
        everywhere = [api for api in self.apis.values() if not api.api.hosts]
        for group in (own, everywhere):
            taken = set()
            for api in group:
                path = api.api.listen_path
                # AI APIs share a path: the model that a call names decides between them.
                if not table.add(path, api) and path in taken and api.kind != "ai":
                    raise SnapshotError(f"Two APIs have the listen path {path or '/'}.")
                taken.add(path)
        return table


def _open(provider: Provider, tenant_id: str, sealer: Sealer | None) -> str | None:
    if provider.credential is None or sealer is None:
        return None
    try:
        return sealer.open(provider.credential, provider_context(tenant_id))
    except SealError as error:
        # One provider without a credential is no reason to refuse the whole snapshot.
        logger.error("Provider %s of tenant %s: %s", provider.id, tenant_id, error)
        return None
