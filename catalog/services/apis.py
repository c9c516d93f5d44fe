"""APIs and their routes."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.exceptions import ValidationError
from django.db import transaction

from catalog import selectors
from catalog.models import Api, Limit, Prompt, Route
from catalog.services import publishing, rows, tiers
from catalog.validators import RESERVED_PATHS, validate_rewrite

AI_LISTEN_PATH = "/v1"

# Headers that carry the message itself: a key in them would break it.
_RESERVED_HEADERS = {
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-request-id",
}


def check_api(api: Api) -> None:
    """Everything about an API but its routes. Raises ValidationError by field."""
    api.full_clean()
    _check_kind(api)
    _check_listen_path(api)
    _check_hosts(api)
    _check_users(api)
    if api.key_header.lower() in _RESERVED_HEADERS:
        raise ValidationError(
            {"key_header": ValidationError("HTTP itself needs this header.", code="reserved")}
        )
    if api.state == Api.State.PUBLISHED:
        check_publishable(api)


def _check_kind(api: Api) -> None:
    before = Api.objects.filter(pk=api.pk).values_list("kind", flat=True).first()
    if before is not None and before != api.kind:
        raise ValidationError(
            {"kind": ValidationError("An API's kind cannot change: create another.", code="fixed")}
        )
    if api.kind != Api.Kind.HTTP:
        tiers.check_ai()
        if api.upstream_id is not None:
            raise ValidationError(
                {
                    "upstream": ValidationError(
                        "Only HTTP APIs forward to an upstream: leave it empty.", code="not_http"
                    )
                }
            )


def _check_listen_path(api: Api) -> None:
    path = api.listen_path
    reserved = next((r for r in RESERVED_PATHS if path == r or path.startswith(f"{r}/")), None)
    if api.kind == Api.Kind.AI:
        if path != AI_LISTEN_PATH:
            message = f"AI model APIs are always served under {AI_LISTEN_PATH}."
            raise ValidationError({"listen_path": ValidationError(message, code="fixed")})
    elif reserved:
        message = f"{reserved} belongs to the gateway itself: choose another path."
        raise ValidationError({"listen_path": ValidationError(message, code="reserved")})
    elif problems := selectors.overlapping(api, []):
        errors = [ValidationError(problem, code="overlap") for problem in problems]
        raise ValidationError({"listen_path": errors})


def _check_hosts(api: Api) -> None:
    """Only hosts that the operator gave to the tenant: no API may answer in another's name."""
    if api.hosts and api.kind == Api.Kind.AI:
        message = "AI model APIs answer on every host: choose none."
        raise ValidationError({"hosts": ValidationError(message, code="fixed")})
    foreign = sorted(set(api.hosts) - set(selectors.own_hosts()))
    if foreign:
        message = f"{', '.join(foreign)} is not a host of this tenant. Its hosts: "
        message += ", ".join(selectors.own_hosts()) + "."
        raise ValidationError({"hosts": ValidationError(message, code="unknown_host")})


def _check_users(api: Api) -> None:
    """Limits for each end user need to know who that is."""
    users = Limit.objects.filter(api=api.pk, per=Limit.Per.USER)
    if not api.user_from and users.exists():
        message = "This API has limits for each end user: change these first."
        raise ValidationError({"user_from": ValidationError(message, code="in_use")})


def check_publishable(api: Api) -> None:
    """Raises ValidationError for what a draft may lack but a published API may not."""
    if api.kind == Api.Kind.HTTP:
        if api.upstream is None:
            message = "Choose the upstream that calls are forwarded to before you publish it."
            raise ValidationError({"upstream": ValidationError(message, code="required")})
        if not api.upstream.targets.filter(enabled=True).exists():
            message = f"The upstream {api.upstream} has no target that is enabled: add one first."
            raise ValidationError({"upstream": ValidationError(message, code="no_target")})
    if api.kind == Api.Kind.PROMPT and not Prompt.objects.filter(
        api_id=api.pk, published_version__isnull=False
    ):
        message = "Publish a version of the prompt first."
        raise ValidationError({"state": ValidationError(message, code="no_version")})


def check_routes(api: Api, routes: Sequence[Route]) -> None:
    """Raises ValidationError ``overlap`` for routes that answer the same calls."""
    if routes and api.kind != Api.Kind.HTTP:
        message = "Only HTTP APIs have routes."
        raise ValidationError({"routes": ValidationError(message, code="not_http")})
    if problems := selectors.overlapping_routes(routes):
        errors = [ValidationError(problem, code="overlap") for problem in problems]
        raise ValidationError({"routes": errors})


def check_route(route: Route) -> None:
    """One route on its own. Raises ValidationError by field."""
    if route.rewrite:
        try:
            validate_rewrite(route.rewrite, route.path)
        except ValidationError as error:
            raise ValidationError({"rewrite": error}) from None
    if len(set(route.methods)) != len(route.methods):
        raise ValidationError(
            {"methods": ValidationError("A method stands twice.", code="duplicate")}
        )


@transaction.atomic
def save_api(*, api: Api, routes: Sequence[Route] | None = None) -> Api:
    """Saves it, and makes ``routes`` its routes; None leaves them as they are.

    An ``ai`` API gets its listen path here. A new API of kind ``prompt`` comes from
    ``prompts.create_prompt`` only.
    """
    if api.kind == Api.Kind.AI:
        api.listen_path = AI_LISTEN_PATH
    if api.state != Api.State.RETIRED:
        tiers.check_api_count(api)
    check_api(api)
    api.save()
    if routes is not None:
        check_routes(api, routes)
        rows.replace_children(
            api.routes,
            routes,
            name="routes",
            key=lambda route: (route.path, frozenset(route.methods)),
            check=check_route,
        )
    publishing.changed()
    return api


@transaction.atomic
def save_route(*, route: Route) -> Route:
    """Saves one route, checked against its API's other routes."""
    route.full_clean()
    check_route(route)
    check_routes(route.api, [*route.api.routes.exclude(pk=route.pk), route])
    return rows.save(row=route)


@transaction.atomic
def publish_api(*, api: Api) -> Api:
    """From now on the gateway serves it."""
    return _move(api, Api.State.PUBLISHED)


@transaction.atomic
def retire_api(*, api: Api) -> Api:
    """From now on calls to it find nothing. Its subscriptions stay as they are."""
    return _move(api, Api.State.RETIRED)


def _move(api: Api, state: str) -> Api:
    """Changes nothing but the state: what else ``api`` holds is read anew, unless it is new."""
    if not api._state.adding:
        api.refresh_from_db(from_queryset=Api.objects.select_for_update())
    before, api.state = api.state, state
    try:
        return save_api(api=api)
    except ValidationError:
        api.state = before
        raise


@transaction.atomic
def delete_api(*, api: Api) -> None:
    """Deletes it with its routes and subscriptions; a prompt's API goes with the prompt."""
    if Prompt.objects.filter(api=api).exists():
        message = f"{api} answers with a prompt: delete the prompt instead."
        raise ValidationError(message, code="has_prompt")
    rows.delete(row=api)
