"""From the tenant's tables to the contract's snapshot.

``compile_snapshot`` runs the same number of queries whatever the tenant's size. What is
disabled, retired or revoked stays out, and so does what nothing published needs; times do
not matter, so the same tables always give the same snapshot.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TypeVar
from urllib.parse import urlsplit
from uuid import UUID, uuid5

import msgspec
from django_tenants.utils import tenant_context

from catalog import ai_routing, models, named_applications, selectors
from catalog.limits.policies import Policies, by_place, fallbacks, tier_policies
from contract import policies
from contract import snapshot as contract
from contract.presets import preset_of
from tenants.models import Domain, Tenant

R = TypeVar("R")

CATCH_ALL = "/{rest*}"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def compile_snapshot(tenant: Tenant, version: int) -> contract.TenantSnapshot:
    """Reads the tenant's schema; ``tenant`` itself and its tier are taken as given."""
    with tenant_context(tenant):
        hosts = _hosts(tenant)
        apis = _published(hosts)
        prompts = _prompts(apis)
        upstreams = {
            row.id: row for row in _upstreams({api.upstream_id for api in apis if api.upstream_id})
        }
        applications = list(models.Application.objects.filter(enabled=True).order_by("id"))
        limits = by_place()
        needed = {prompt.published_version.model_id for prompt in prompts}
        ai_models, providers = _models(apis, needed | fallbacks(limits))
        return contract.TenantSnapshot(
            format=contract.FORMAT,
            tenant_id=str(tenant.pk),
            slug=tenant.slug,
            version=version,
            hosts=hosts,
            suspended=_suspended(tenant),
            private_upstreams=tenant.tier.private_upstreams,
            time_zone=tenant.time_zone,
            policies=tier_policies(tenant) + limits[None],
            upstreams=tuple(upstreams.values()),
            apis=_apis(
                apis, {prompt.api_id: str(prompt.pk) for prompt in prompts}, limits, upstreams
            ),
            plans=_plans(limits),
            applications=tuple(
                contract.Application(id=str(row.pk), name=row.name, policies=limits[row.pk])
                for row in applications
            ),
            keys=_keys(applications, limits),
            subscriptions=_subscriptions(apis, applications),
            providers=providers,
            models=ai_models,
            prompts=tuple(_prompt(prompt) for prompt in prompts),
        )


def _by(rows: Iterable[R], field: str) -> dict[UUID, list[R]]:
    groups: dict[UUID, list[R]] = defaultdict(list)
    for row in rows:
        groups[getattr(row, field)].append(row)
    return groups


def _hosts(tenant: Tenant) -> tuple[str, ...]:
    names = Domain.objects.filter(tenant=tenant).values_list("domain", flat=True)
    return tuple(sorted(name.lower() for name in names))


def _published(hosts: tuple[str, ...]) -> list[models.Api]:
    """The APIs to be served. One whose chosen hosts are all gone answers nowhere: an empty
    list of hosts would open it on every other."""
    published = models.Api.objects.filter(state=models.Api.State.PUBLISHED).order_by("id")
    apis = [api for api in published if not api.hosts or set(api.hosts) & set(hosts)]
    for api in apis:
        api.hosts = [host for host in api.hosts if host in hosts]
    return apis


def _suspended(tenant: Tenant) -> str | None:
    """The sentence that the tenant's applications are told, where they are to be refused."""
    if tenant.state == Tenant.State.SUSPENDED:
        return tenant.suspended_reason or "This account is suspended. Ask the API's owner."
    if tenant.state == Tenant.State.DELETING:
        return "This account is being closed. Ask the API's owner."
    return None


def _upstreams(ids: set[UUID]) -> tuple[contract.Upstream, ...]:
    rows = list(models.Upstream.objects.filter(pk__in=ids).order_by("id"))
    targets = models.Target.objects.filter(upstream__in=ids, enabled=True).order_by("id")
    by_upstream = _by(targets, "upstream_id")
    return tuple(
        contract.Upstream(
            id=str(row.pk),
            name=row.name,
            targets=tuple(_target(target) for target in by_upstream[row.pk]),
            timeouts=_timeouts(row),
            preserve_host=row.preserve_host,
            tls_verify=row.tls_verify,
            breaker=contract.Breaker(
                failures=row.fail_threshold,
                seconds=row.fail_seconds,
                error_percent=row.fail_percent,
                least_calls=row.fail_least_calls,
                on_status=row.fail_on_status,
                on_timeout=row.fail_on_timeout,
            ),
            retries=contract.Retries(
                most=row.retries,
                on_timeout=row.retry_timeouts,
                statuses=tuple(sorted(row.retry_statuses)),
                budget_percent=row.retry_budget_percent,
                budget_per_second=row.retry_budget_per_second,
            ),
            probe=_probe(row),
            max_connections=row.max_connections,
            max_waiting=row.max_waiting,
        )
        for row in rows
    )


def _timeouts(row: models.Upstream) -> contract.Timeouts:
    return contract.Timeouts(
        connect=row.connect_timeout,
        first_byte=row.first_byte_timeout,
        idle=row.idle_timeout,
        total=row.total_timeout,
    )


def _probe(row: models.Upstream) -> contract.Probe | None:
    if not row.probe_path:
        return None
    return contract.Probe(
        path=row.probe_path,
        interval=row.probe_interval,
        timeout=row.probe_timeout,
        status=row.probe_status,
        healthy_after=row.probe_healthy_after,
        unhealthy_after=row.probe_unhealthy_after,
    )


def _target(row: models.Target) -> contract.Target:
    parts = urlsplit(row.url)
    return contract.Target(
        id=str(row.pk),
        scheme=parts.scheme,
        host=parts.hostname or "",
        port=parts.port or _DEFAULT_PORTS[parts.scheme],
        weight=row.weight,
        path=parts.path.rstrip("/"),
    )


def _apis(
    rows: list[models.Api],
    prompt_ids: dict[UUID, str],
    limits: Policies,
    upstreams: dict[str, contract.Upstream],
) -> tuple[contract.Api, ...]:
    routes = _by(models.Route.objects.filter(api__in=[row.pk for row in rows]), "api_id")
    return tuple(
        contract.Api(
            id=str(row.pk),
            name=row.name,
            kind=row.kind,
            listen_path=row.listen_path,
            hosts=tuple(sorted(row.hosts)),
            upstream_id=str(row.upstream_id) if row.upstream_id else None,
            prompt_id=prompt_ids.get(row.pk),
            routes=_routes(row, routes[row.pk], upstreams),
            key_required=row.key_required,
            key_header=row.key_header.lower(),
            key_query=row.key_query or None,
            user_from=_user_from(row),
            policies=limits[row.pk] + _body_limit(row),
        )
        for row in rows
    )


def _user_from(row: models.Api) -> str:
    """Header names in lower case; those of claims as they are."""
    return row.user_from.lower() if row.user_from.startswith("header:") else row.user_from


def _body_limit(row: models.Api) -> tuple[policies.Policy, ...]:
    return () if row.max_body_bytes is None else (policies.BodyLimit(row.max_body_bytes),)


def _routes(
    api: models.Api, rows: list[models.Route], upstreams: dict[str, contract.Upstream]
) -> tuple[contract.Route, ...]:
    """The enabled ones; an HTTP API that has none at all serves every path below it."""
    if api.kind == models.Api.Kind.HTTP and not rows:
        # Derived from the API's id, so that usage finds the same route at each compilation.
        return (contract.Route(id=str(uuid5(api.pk, CATCH_ALL)), path=CATCH_ALL),)
    return tuple(
        contract.Route(
            id=str(row.pk),
            path=row.path,
            methods=tuple(sorted(row.methods)),
            rewrite=row.rewrite or None,
            timeouts=_route_timeouts(row, upstreams.get(str(api.upstream_id))),
            retries=row.retries,
        )
        for row in sorted(rows, key=lambda row: row.pk)
        if row.enabled
    )


def _route_timeouts(
    row: models.Route, upstream: contract.Upstream | None
) -> contract.Timeouts | None:
    """The upstream's with those that the route has itself; None where it has none."""
    own = {
        "connect": row.connect_timeout,
        "first_byte": row.first_byte_timeout,
        "idle": row.idle_timeout,
        "total": row.total_timeout,
    }
    own = {name: seconds for name, seconds in own.items() if seconds is not None}
    if not own or upstream is None:
        return None
    return msgspec.structs.replace(upstream.timeouts, **own)


def _plans(limits: Policies) -> tuple[contract.Plan, ...]:
    """All of them: one that takes no new subscriptions still rules those it has."""
    return tuple(
        contract.Plan(id=str(row.pk), name=row.name, policies=limits[row.pk])
        for row in models.Plan.objects.order_by("id")
    )


def _keys(applications: list[models.Application], limits: Policies) -> tuple[contract.ApiKey, ...]:
    """Expired ones too: the gateway tells them from unknown ones."""
    rows = models.ApiKey.objects.filter(
        revoked_at=None, application__in=[row.pk for row in applications]
    )
    return tuple(
        contract.ApiKey(
            id=str(row.pk),
            digest=bytes(row.digest),
            application_id=str(row.application_id),
            expires_at=row.expires_at.timestamp() if row.expires_at else None,
            policies=limits[row.pk],
        )
        for row in rows.order_by("id")
    )


def _subscriptions(
    apis: list[models.Api], applications: list[models.Application]
) -> tuple[contract.Subscription, ...]:
    """The latest of each application to each API, whatever its status."""
    rows = selectors.latest_subscriptions().filter(
        api__in=[row.pk for row in apis], application__in=[row.pk for row in applications]
    )
    return tuple(
        contract.Subscription(
            id=str(row.pk),
            application_id=str(row.application_id),
            api_id=str(row.api_id),
            plan_id=str(row.plan_id),
            status=row.status,
        )
        for row in rows
    )


def _models(
    apis: list[models.Api], needed: set[UUID]
) -> tuple[tuple[contract.AIModel, ...], tuple[contract.Provider, ...]]:
    """The models that can be called, and those in ``needed`` in any case; their providers.

    A prompt whose model is switched off keeps that model without deployments, so that its
    callers are told that the model is not available and nothing else is held up.
    """
    links = models.AIModel.apis.through.objects.filter(api__in=[row.pk for row in apis])
    offered = _by(links.order_by("api_id"), "aimodel_id")
    deployed = _deployments()
    rules = _by(ai_routing.rules(), "model_id")
    changes = _by(models.PriceChange.objects.order_by("since"), "deployment_id")
    rows = list(models.AIModel.objects.order_by("id"))
    known = {row.pk for row in rows if row.enabled}
    needed = needed | {id_ for row in rows if row.enabled for id_ in row.fallbacks}
    needed |= {rule.target_id for group in rules.values() for rule in group if rule.target_id}
    meant = ai_routing.embedding_models(rule for group in rules.values() for rule in group)
    applications = named_applications.names(rule for group in rules.values() for rule in group)
    needed |= {row.pk for row in rows if row.name in meant}
    needed |= {row.compare_with_id for row in rows if row.enabled and row.compare_with_id}
    providers, compiled = {}, []
    for row in rows:
        deployments = deployed[row.pk] if row.enabled else []
        api_ids = tuple(str(link.api_id) for link in offered[row.pk]) if deployments else ()
        if not api_ids and row.pk not in needed:
            continue
        providers |= {deployment.provider_id: deployment.provider for deployment in deployments}
        compiled.append(
            contract.AIModel(
                id=str(row.pk),
                name=row.name,
                api_ids=api_ids,
                deployments=tuple(
                    ai_routing.deployment(one, changes[one.pk]) for one in deployments
                ),
                created=int(row.created_at.timestamp()),
                abilities=tuple(row.abilities),
                routing=ai_routing.routing(row, rules[row.pk], known, applications),
            )
        )
    return tuple(compiled), tuple(_provider(providers[pk]) for pk in sorted(providers))


def _deployments() -> dict[UUID, list[models.Deployment]]:
    """By model; only those that can be called: enabled, and with a credential if need be."""
    rows = models.Deployment.objects.filter(enabled=True, provider__enabled=True).order_by("id")
    return _by(
        (
            row
            for row in rows.select_related("provider__credential")
            if not row.provider.needs_credential or hasattr(row.provider, "credential")
        ),
        "model_id",
    )


def _provider(row: models.Provider) -> contract.Provider:
    credential = getattr(row, "credential", None)
    return contract.Provider(
        id=str(row.pk),
        name=row.name,
        wire_format=preset_of(row.preset).wire_format,
        base_url=row.base_url.rstrip("/"),
        preset=row.preset,
        settings={name: str(value) for name, value in sorted(row.settings.items())},
        credential=bytes(credential.sealed) if credential else None,
        timeouts=contract.Timeouts(first_byte=row.first_byte_timeout, idle=row.idle_timeout),
    )


def _prompts(apis: list[models.Api]) -> list[models.Prompt]:
    rows = models.Prompt.objects.filter(
        api__in=[row.pk for row in apis], published_version__isnull=False
    )
    return list(rows.select_related("published_version").order_by("id"))


def _prompt(row: models.Prompt) -> contract.Prompt:
    version = row.published_version
    return contract.Prompt(
        id=str(row.pk),
        name=row.name,
        version=version.number,
        version_id=str(version.pk),
        model_id=str(version.model_id),
        messages=tuple(contract.PromptMessage(**message) for message in version.messages),
        variables=tuple(contract.PromptVariable(**variable) for variable in version.variables),
        parameters=version.parameters,
    )
