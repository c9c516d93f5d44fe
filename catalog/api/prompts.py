"""/api/prompts/ and /api/prompts/{id}/versions/"""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.base import ReadOnly, Resource, assign
from catalog.models import Api, Prompt, PromptVersion
from catalog.prompt_checks import MAX_TEMPLATE, MAX_VALUE, ROLES
from catalog.services import prompts

_API_FIELDS = ["listen_path", "key_required", "key_header", "key_query", "max_body_bytes"]


class PromptSerializer(serializers.ModelSerializer):
    listen_path = serializers.CharField(source="api.listen_path")
    state = serializers.ChoiceField(Api.State.choices, source="api.state")
    key_required = serializers.BooleanField(source="api.key_required")
    key_header = serializers.CharField(source="api.key_header")
    key_query = serializers.CharField(source="api.key_query")
    max_body_bytes = serializers.IntegerField(source="api.max_body_bytes", allow_null=True)
    published_version = serializers.IntegerField(
        source="published_version.number",
        default=None,
        allow_null=True,
        help_text="The number of the version that answers.",
    )

    class Meta:
        model = Prompt
        fields = [
            "id",
            "name",
            "description",
            "api",
            "state",
            *_API_FIELDS,
            "published_version",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields


class _PromptApi(serializers.ModelSerializer):
    """The fields that a prompt takes for its API."""

    class Meta:
        model = Api
        fields = _API_FIELDS


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A prompt",
            value={"name": "Summary", "listen_path": "/prompts/summary"},
            request_only=True,
        )
    ]
)
class PromptInput(_PromptApi):
    name = serializers.CharField(max_length=80)
    description = serializers.CharField(required=False, allow_blank=True)

    class Meta(_PromptApi.Meta):
        fields = ["name", "description", *_API_FIELDS]


class PromptViewSet(Resource):
    """Prompts, each answered under a listen path of its own by its published version."""

    queryset = Prompt.objects.select_related("api", "published_version")
    serializer_class = PromptSerializer
    input_class = PromptInput
    filterset_fields = {
        "name": ["exact", "icontains"],
        "api": ["exact"],
        "api__state": ["exact"],
        "api__listen_path": ["exact"],
    }
    search_fields = ["name", "description", "api__listen_path"]
    ordering_fields = ["name", "created_at", "updated_at"]

    def store(self, row: Prompt, data: dict[str, Any]) -> Prompt:
        if row._state.adding:
            return prompts.create_prompt(**data)
        own = {name: data.pop(name) for name in ("name", "description") if name in data}
        assign(row.api, data)
        return prompts.save_prompt(prompt=assign(row, own))

    def remove(self, row: Prompt) -> None:
        prompts.delete_prompt(prompt=row)

    @extend_schema(request=None, responses=PromptSerializer)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, pk: str) -> Response:
        """Stop answering. Publishing a version starts it again."""
        return self.tell(prompts.retire_prompt(prompt=self.get_object()))


class MessageSerializer(serializers.Serializer):
    role = serializers.ChoiceField(ROLES)
    template = serializers.CharField(
        max_length=MAX_TEMPLATE,
        trim_whitespace=False,
        help_text="Text with `{{ name }}` where a variable goes.",
    )


class VariableSerializer(serializers.Serializer):
    name = serializers.CharField(max_length=60)
    required = serializers.BooleanField(default=True)
    default = serializers.CharField(default="", allow_blank=True, trim_whitespace=False)
    max_length = serializers.IntegerField(
        default=20_000, min_value=1, max_value=MAX_VALUE, help_text="Characters."
    )


class VersionSerializer(serializers.ModelSerializer):
    messages = MessageSerializer(many=True)
    variables = VariableSerializer(many=True)
    parameters = serializers.DictField(child=serializers.JSONField())
    published = serializers.SerializerMethodField(help_text="This version answers.")
    created_by = serializers.CharField(
        source="created_by.username", default=None, allow_null=True, help_text="A user name."
    )

    class Meta:
        model = PromptVersion
        fields = [
            "id",
            "number",
            "published",
            "model",
            "messages",
            "variables",
            "parameters",
            "notes",
            "created_by",
            "created_at",
        ]
        read_only_fields = fields

    def get_published(self, version: PromptVersion) -> bool:
        return version.prompt.published_version_id == version.pk


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A version",
            value={
                "model": "9f0d3b52-6a0c-4e3a-8d7e-4b1f5c2d8e21",
                "messages": [
                    {"role": "system", "template": "Summarise in one sentence."},
                    {"role": "user", "template": "{{ text }}"},
                ],
                "variables": [{"name": "text"}],
                "parameters": {"temperature": 0},
                "notes": "First try",
            },
            request_only=True,
        )
    ]
)
class VersionInput(serializers.ModelSerializer):
    messages = MessageSerializer(many=True)
    variables = VariableSerializer(many=True, default=list)
    parameters = serializers.DictField(
        child=serializers.JSONField(), default=dict, help_text="Sent to the model as they are."
    )

    class Meta:
        model = PromptVersion
        fields = ["model", "messages", "variables", "parameters", "notes"]


class VersionViewSet(ReadOnly):
    """Versions of one prompt. They never change: what is new is a new version."""

    queryset = PromptVersion.objects.select_related("prompt", "created_by")
    serializer_class = VersionSerializer
    input_class = VersionInput
    lookup_field = "number"
    filterset_fields = {"model": ["exact"]}
    search_fields = ["notes"]
    ordering_fields = ["number", "created_at"]
    ordering = ["-number"]

    def get_queryset(self) -> QuerySet[PromptVersion]:
        rows = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return rows
        return rows.filter(prompt=self._prompt())

    def _prompt(self) -> Prompt:
        return get_object_or_404(Prompt, pk=self.kwargs["prompt_id"])

    @extend_schema(responses={201: VersionSerializer})
    def create(self, request: Request, prompt_id: str) -> Response:
        """Add a version. It answers nobody until it is published."""
        prompt = self._prompt()
        version = prompts.add_version(prompt=prompt, actor=request.user, **self.read())
        return self.tell(version, status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=VersionSerializer)
    @action(detail=True, methods=["post"])
    def publish(self, request: Request, prompt_id: str, number: int) -> Response:
        """Let this version answer from now on, and publish the prompt's API with it."""
        version = self.get_object()
        prompts.publish_version(version=version)
        return self.tell(version)
