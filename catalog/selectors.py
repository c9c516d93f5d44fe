"""Every read that is used in more than one place."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import combinations

from django.db import connection
from django.db.models import QuerySet

from catalog.ai_routing import price_known
from catalog.models import Api, Deployment, Limit, Publication, Route, Subscription
from tenants.models import Domain


def overlapping(api: Api, routes: Iterable[Route]) -> list[str]:
    """What would make it unclear where a call goes: one sentence for each problem.

    Two draft or published APIs at one listen path (AI model APIs share ``/v1``), and two
    enabled routes of the API that answer the same calls. ``api`` and ``routes`` may be
    unsaved; ``routes`` are all that the API is to have.
    """
    problems = []
    if api.kind != Api.Kind.AI and api.state != Api.State.RETIRED:
        others = Api.objects.filter(listen_path=api.listen_path).exclude(pk=api.pk)
        problems = [
            f"{api.listen_path or '/'} already belongs to {other.name}: choose another path, "
            "or retire that API."
            for other in others.exclude(state=Api.State.RETIRED).exclude(kind=Api.Kind.AI)
            if same_hosts(api.hosts, other.hosts)
        ]
    return problems + overlapping_routes(routes)


def same_hosts(one: Collection[str], other: Collection[str]) -> bool:
    """Whether two APIs at one path compete. A chosen host comes before "every host"."""
    return bool(set(one) & set(other)) if one and other else not one and not other


def own_hosts() -> list[str]:
    """The current tenant's host names, in lower case and in order."""
    domains = Domain.objects.filter(tenant__schema_name=connection.schema_name)
    return sorted(name.lower() for name in domains.values_list("domain", flat=True))


def overlapping_routes(routes: Iterable[Route]) -> list[str]:
    """One sentence for each pair of enabled routes that differ in nothing a call can show."""
    enabled = [route for route in routes if route.enabled]
    problems = []
    for one, other in combinations(enabled, 2):
        if path_shape(one.path) != path_shape(other.path):
            continue
        common = set(one.methods) & set(other.methods)
        if one.methods and other.methods and not common:
            continue
        methods = ", ".join(sorted(common or one.methods or other.methods)) or "any method"
        problems.append(f"{one.path} and {other.path} answer the same calls ({methods}).")
    return problems


def unpriced_models(currency: str) -> list[str]:
    """Names of the models that a budget in this currency refuses: what they cost is unknown."""
    deployments = Deployment.objects.filter(
        enabled=True, model__enabled=True, provider__enabled=True
    )
    rows = deployments.select_related("model").prefetch_related("price_changes")
    return sorted({row.model.name for row in rows if not price_known(row, currency)})


def apis_without_users(limit: Limit) -> list[str]:
    """Names of the APIs whose calls a limit for each end user refuses: they name nobody."""
    apis = Api.objects.filter(user_from="").exclude(state=Api.State.RETIRED)
    subscriptions = Subscription.objects.filter(status=Subscription.Status.APPROVED)
    if limit.place == "plan":
        apis = apis.filter(subscriptions__in=subscriptions.filter(plan=limit.plan))
    elif limit.place in ("application", "key"):
        application = limit.application or limit.key.application
        apis = apis.filter(subscriptions__in=subscriptions.filter(application=application))
    return list(apis.order_by("name").values_list("name", flat=True).distinct())


def path_shape(path: str) -> str:
    """The path with the names of its parameters taken out: equal shapes match equal calls."""
    segments = path.split("/")
    return "/".join(
        ("{*}" if segment.endswith("*}") else "{}") if segment.startswith("{") else segment
        for segment in segments
    )


def latest_subscriptions() -> QuerySet[Subscription]:
    """The newest subscription of each application to each API, whatever its status."""
    return Subscription.objects.order_by("application_id", "api_id", "-created_at", "-id").distinct(
        "application_id", "api_id"
    )


def latest_publication() -> Publication | None:
    """The newest row of the publications' history; its problem is what admins should see."""
    return Publication.objects.order_by("-version").first()
