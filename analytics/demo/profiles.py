"""What a tenant's calls would look like, told from its own catalogue."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db.models import Prefetch

_PARAMETER = re.compile(r"\{(\w+)\*?\}")
_SAMPLES = {
    "city": ("berlin", "lisbon", "nairobi", "oslo", "quito", "seoul", "toronto", "vienna"),
}
_NUMBERS = tuple(str(number) for number in range(1041, 1065))
_REFUSALS = {
    "pending": "subscription_pending",
    "rejected": "subscription_rejected",
    "revoked": "subscription_revoked",
}


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One kind of call and how it tends to go. Rates are shares of its calls, prices are
    micro-units per million tokens; ``refusal`` is the code with which all are refused."""

    weight: float
    method: str
    path: str
    samples: tuple[str, ...] = ("",)
    api_id: UUID | None = None
    route_id: UUID | None = None
    application_id: UUID | None = None
    key_id: UUID | None = None
    plan_id: UUID | None = None
    model_id: UUID | None = None
    model: str = ""
    provider_id: UUID | None = None
    deployment_id: UUID | None = None
    prompt_id: UUID | None = None
    prompt_version: int = 0
    ok_status: int = 200
    refusal: str = ""
    refusal_status: int = 403
    wait_us: int = 18_000
    spread: float = 0.45
    token_us: int = 0
    streamed: float = 0.0
    limited: float = 0.004
    client_errors: float = 0.012
    server_errors: float = 0.002
    abandoned: float = 0.001
    request_bytes: int = 420
    response_bytes: int = 1900
    input_tokens: int = 0
    output_tokens: int = 0
    input_price: int | None = None
    output_price: int | None = None
    currency: str = ""


@dataclass
class _Client:
    """An application with its key, and how much it calls."""

    application: Any
    weight: float
    key_id: UUID | None = field(init=False)

    def __post_init__(self) -> None:
        keys = sorted(self.application.keys.all(), key=lambda key: (key.created_at, key.pk))
        self.key_id = keys[0].pk if keys else None


def profiles(dice: random.Random) -> list[Profile]:
    """Kinds of calls in the current tenant's catalogue; empty where nothing is published."""
    found: list[Profile] = []
    subscriptions = apps.get_model("catalog", "Subscription").objects
    query = subscriptions.select_related("application", "api", "plan").prefetch_related(
        "application__keys", "api__routes", Prefetch("api__models")
    )
    for row in query.filter(api__state="published").order_by("api__name", "application__name"):
        client = _Client(row.application, dice.uniform(0.7, 1.3))
        for kind in _of_api(row.api, dice):
            found.append(_called_by(kind, client, row))
    if found:
        found += _strangers()
    return found


def _called_by(kind: Profile, client: _Client, row: Any) -> Profile:
    refusal = _REFUSALS.get(row.status, "")
    return replace(
        kind,
        weight=kind.weight * client.weight * (0.03 if refusal else 1),
        application_id=client.application.pk,
        key_id=client.key_id,
        plan_id=None if refusal else row.plan_id,
        refusal=refusal,
    )


def _of_api(api: Any, dice: random.Random) -> Iterator[Profile]:
    if api.kind == "http":
        yield from _of_routes(api, dice)
    elif api.kind == "ai":
        for model in api.models.all():
            yield from _of_model(api, model, dice)
    else:
        yield from _of_prompt(api)


def _of_routes(api: Any, dice: random.Random) -> Iterator[Profile]:
    routes = [
        (route.pk, route.path, method)
        for route in api.routes.all()
        if route.enabled
        for method in (route.methods or ["GET"])
    ]
    for route_id, path, method in routes or [(None, "", "GET")]:
        names = _PARAMETER.findall(path)
        slow = "slow" in path
        yield Profile(
            weight=(10 if method == "GET" else 2) * dice.uniform(0.6, 1.6) * (0.1 if slow else 1),
            method=method,
            path=_PARAMETER.sub("{}", api.listen_path + path),
            samples=_SAMPLES.get(names[0], _NUMBERS) if names else ("",),
            api_id=api.pk,
            route_id=route_id,
            ok_status={"POST": 201, "DELETE": 204}.get(method, 200),
            wait_us=1_400_000 if slow else int(dice.uniform(8_000, 45_000)),
            response_bytes=0 if method == "DELETE" else 1900,
        )


def _of_model(api: Any, model: Any, dice: random.Random) -> Iterator[Profile]:
    deployment = model.deployments.order_by("created_at", "pk").first()
    if deployment is None:
        return
    embeds = "embeddings" in model.abilities
    call = Profile(
        weight=dice.uniform(3, 6),
        method="POST",
        path="/v1/embeddings" if embeds else "/v1/chat/completions",
        api_id=api.pk,
        wait_us=90_000 if embeds else 420_000,
        token_us=0 if embeds else 9_000,
        streamed=0.0 if embeds else 0.55,
        abandoned=0.0 if embeds else 0.012,
        server_errors=0.006,
        request_bytes=1_800,
        response_bytes=24_000 if embeds else 1_500,
        input_tokens=350,
        output_tokens=0 if embeds else 180,
    )
    yield _at_deployment(call, model, deployment)


def _of_prompt(api: Any) -> Iterator[Profile]:
    prompt = api.prompt
    version = prompt.published_version
    if version is None:
        return
    deployment = version.model.deployments.order_by("created_at", "pk").first()
    if deployment is None:
        return
    call = Profile(
        weight=3,
        method="POST",
        path=api.listen_path,
        api_id=api.pk,
        prompt_id=prompt.pk,
        prompt_version=version.number,
        wait_us=300_000,
        token_us=9_000,
        streamed=0.1,
        server_errors=0.005,
        request_bytes=600,
        response_bytes=320,
        input_tokens=140,
        output_tokens=45,
    )
    yield _at_deployment(call, version.model, deployment)


def _at_deployment(call: Profile, model: Any, deployment: Any) -> Profile:
    return replace(
        call,
        model_id=model.pk,
        model=model.name,
        provider_id=deployment.provider_id,
        deployment_id=deployment.pk,
        input_price=_micros(deployment.input_price),
        output_price=_micros(deployment.output_price),
        currency=deployment.currency,
    )


def _micros(price: Any) -> int | None:
    return None if price is None else int(price * 1_000_000)


def _strangers() -> Sequence[Profile]:
    """Calls without a key that is known, and calls to nowhere."""
    lost = {"wait_us": 0, "response_bytes": 210}
    return [
        Profile(
            weight=0.2,
            method="GET",
            path="/weather",
            refusal="api_key_unknown",
            refusal_status=401,
            **lost,
        ),
        Profile(
            weight=0.15,
            method="GET",
            path="/robots.txt",
            refusal="route_not_found",
            refusal_status=404,
            **lost,
        ),
    ]
