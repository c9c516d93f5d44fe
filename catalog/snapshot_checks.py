"""What a snapshot must hold before any gateway gets to see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import combinations

from django.core.exceptions import ValidationError

from catalog.limits import checks as limit_checks
from catalog.selectors import path_shape, same_hosts
from catalog.validators import validate_rewrite, validate_route_path
from contract.snapshot import Api, Prompt, TenantSnapshot
from contract.templates import TemplateError, placeholders


def problems(snapshot: TenantSnapshot) -> list[str]:
    """A sentence for each thing wrong; empty for a snapshot that can be served."""
    found = [*_duplicates(snapshot), *_references(snapshot), *_listen_paths(snapshot)]
    found += limit_checks.problems(snapshot)
    for api in snapshot.apis:
        found += _routes(api)
    for prompt in snapshot.prompts:
        found += _templates(prompt)
    return found


def _duplicates(snapshot: TenantSnapshot) -> Iterator[str]:
    if not snapshot.hosts:
        yield "The tenant has no host name."
    for host in _twice(snapshot.hosts):
        yield f"The host {host} is listed twice."
    for name in _twice(model.name for model in snapshot.models):
        yield f"Two AI models have the name {name}."
    if _twice(key.digest for key in snapshot.keys):
        yield "Two API keys are the same."


def _twice(values: Iterable[object]) -> list[object]:
    return [value for value, count in Counter(values).items() if count > 1]


def _references(snapshot: TenantSnapshot) -> Iterator[str]:
    apis = {row.id: row for row in snapshot.apis}
    upstreams = {row.id for row in snapshot.upstreams}
    plans = {row.id for row in snapshot.plans}
    applications = {row.id for row in snapshot.applications}
    providers = {row.id for row in snapshot.providers}
    models = {row.id for row in snapshot.models}
    prompts = {row.id for row in snapshot.prompts}
    for api in snapshot.apis:
        if api.kind == "http" and api.upstream_id not in upstreams:
            yield f"The API {api.name} has no upstream."
        if api.kind == "prompt" and api.prompt_id not in prompts:
            yield f"The API {api.name} has no prompt with a published version."
    for key in snapshot.keys:
        if key.application_id not in applications:
            yield f"The API key {key.id} belongs to no application."
    for row in snapshot.subscriptions:
        if not (row.application_id in applications and row.api_id in apis and row.plan_id in plans):
            yield f"The subscription {row.id} lacks its application, API or plan."
    for model in snapshot.models:
        for deployment in model.deployments:
            if deployment.provider_id not in providers:
                yield f"A deployment of the model {model.name} has no provider."
        if model.routing.compare_with and model.routing.compare_with not in models:
            yield f"The model {model.name} is compared with one that is not there."
        for api_id in model.api_ids:
            if api_id not in apis or apis[api_id].kind != "ai":
                yield f"The model {model.name} is offered through an API that is not for models."
    for prompt in snapshot.prompts:
        if prompt.model_id not in models:
            yield f"The prompt {prompt.name} has no model."


def _listen_paths(snapshot: TenantSnapshot) -> Iterator[str]:
    apis = [api for api in snapshot.apis if api.kind != "ai"]
    for path in _twice(api.listen_path for api in apis):
        for one, other in combinations([api for api in apis if api.listen_path == path], 2):
            if same_hosts(one.hosts, other.hosts):
                yield f"{one.name} and {other.name} have the same listen path, {path or '/'}."


def _routes(api: Api) -> Iterator[str]:
    taken: dict[tuple[str, str], str] = {}
    for route in api.routes:
        try:
            validate_route_path(route.path)
            if route.rewrite is not None:
                validate_rewrite(route.rewrite, route.path)
        except ValidationError as error:
            yield f"The route {route.path} of {api.name}: {' '.join(error.messages)}"
        for method in route.methods or ("any method",):
            place = path_shape(route.path), method
            if place in taken:
                yield f"{taken[place]} and {route.path} of {api.name} answer the same calls."
            taken[place] = route.path


def _templates(prompt: Prompt) -> Iterator[str]:
    names = {variable.name for variable in prompt.variables}
    for message in prompt.messages:
        try:
            unknown = set(placeholders(message.template)) - names
        except TemplateError as error:
            yield f"The prompt {prompt.name}: {error}"
        else:
            for name in sorted(unknown):
                yield f"The prompt {prompt.name} uses {name}, which is not among its variables."
