"""Prompts and their versions."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Max

from catalog.models import AIModel, Api, Prompt, PromptVersion
from catalog.prompt_checks import check_version
from catalog.services import apis, publishing, rows, tiers
from tenants.models import User


@transaction.atomic
def create_prompt(
    *,
    name: str,
    listen_path: str,
    description: str = "",
    key_required: bool = True,
    key_header: str = "X-API-Key",
    key_query: str = "",
    max_body_bytes: int | None = None,
) -> Prompt:
    """A prompt with an API of its own, which stays a draft until a version is published."""
    api = Api(
        name=name,
        kind=Api.Kind.PROMPT,
        description=description,
        listen_path=listen_path,
        key_required=key_required,
        key_header=key_header,
        key_query=key_query,
        max_body_bytes=max_body_bytes,
    )
    apis.save_api(api=api)
    return rows.save(row=Prompt(name=name, description=description, api=api))


@transaction.atomic
def save_prompt(*, prompt: Prompt) -> Prompt:
    """Saves the prompt and, with it, ``prompt.api``, which goes by the same name."""
    prompt.api.name, prompt.api.description = prompt.name, prompt.description
    apis.save_api(api=prompt.api)
    return rows.save(row=prompt)


@transaction.atomic
def add_version(
    *,
    prompt: Prompt,
    model: AIModel,
    messages: list[dict[str, Any]],
    variables: list[dict[str, Any]],
    parameters: dict[str, Any],
    notes: str = "",
    actor: User | None = None,
) -> PromptVersion:
    """The next version. It answers nobody until ``publish_version``.

    Raises ValidationError by field for what ``catalog.prompt_checks`` refuses.
    """
    tiers.check_ai()
    Prompt.objects.select_for_update(no_key=True).get(pk=prompt.pk)
    messages, variables = check_version(model, messages, variables, parameters)
    last = prompt.versions.aggregate(last=Max("number"))["last"] or 0
    version = PromptVersion(
        prompt=prompt,
        number=last + 1,
        model=model,
        messages=messages,
        variables=variables,
        parameters=parameters,
        notes=notes,
        created_by=actor,
    )
    version.full_clean(exclude=["created_by"])
    version.save()
    publishing.changed()
    return version


@transaction.atomic
def publish_version(*, version: PromptVersion) -> Prompt:
    """The prompt answers with this version from now on; its API is published with it."""
    locked = Prompt.objects.select_for_update(no_key=True, of=("self",)).select_related("api")
    prompt = locked.get(pk=version.prompt_id)
    prompt.published_version = version
    prompt.save()
    apis.publish_api(api=prompt.api)
    return prompt


@transaction.atomic
def retire_prompt(*, prompt: Prompt) -> Prompt:
    """From now on calls to it find nothing, until a version is published again."""
    apis.retire_api(api=prompt.api)
    return prompt


@transaction.atomic
def delete_prompt(*, prompt: Prompt) -> None:
    """Deletes it with its versions, its API and the subscriptions to it."""
    api = prompt.api
    prompt.delete()
    api.delete()
    publishing.changed()
