"""Prompts: published as an API of their own, in versions that never change."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from catalog.models.ai import AIModel
from catalog.models.apis import Api
from catalog.models.base import Row


class Prompt(Row):
    """A prompt, answered under the listen path of its API by its published version."""

    name = models.CharField(max_length=80, unique=True)
    description = models.TextField(blank=True)
    api = models.OneToOneField(Api, on_delete=models.PROTECT, related_name="prompt")
    published_version = models.ForeignKey(
        "PromptVersion", on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class PromptVersion(Row):
    """What is sent to which model. Written once; a change is a new version.

    ``messages`` is a list of ``{"role", "template"}``, ``variables`` a list of ``{"name",
    "required", "default", "max_length"}``, ``parameters`` an object sent to the model as
    it is, like ``{"temperature": 0}``.
    """

    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField(editable=False)
    model = models.ForeignKey(AIModel, on_delete=models.PROTECT, related_name="prompt_versions")
    messages = models.JSONField(default=list)
    variables = models.JSONField(default=list, blank=True)
    parameters = models.JSONField(default=dict, blank=True)
    notes = models.CharField("what changed", max_length=300, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )

    class Meta:
        ordering = ["prompt", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["prompt", "number"], name="one_version_per_number"),
        ]

    def __str__(self) -> str:
        return f"{self.prompt}, version {self.number}"
