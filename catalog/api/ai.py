"""/api/providers/ and /api/models/"""

from __future__ import annotations

from typing import Any

from django_filters.rest_framework import FilterSet, ModelChoiceFilter
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.base import ChildSerializer, Resource, assign, children
from catalog.models import AIModel, Api, Deployment, Provider, ProviderCredential
from catalog.models.prices import PRICE_FIELDS
from catalog.services import ai

_PROVIDER_FIELDS = [
    "name",
    "preset",
    "base_url",
    "settings",
    "needs_credential",
    "first_byte_timeout",
    "idle_timeout",
    "enabled",
]
_ROUTING_FIELDS = [
    "strategy",
    "fallbacks",
    "unsupported",
    "regions",
    "on_break",
    "compare_with",
]
_MODEL_FIELDS = [
    "name",
    "description",
    "abilities",
    "apis",
    "enabled",
    *_ROUTING_FIELDS,
    "deployments",
]


class CredentialSerializer(serializers.ModelSerializer):
    """That there is a credential; never the credential itself."""

    class Meta:
        model = ProviderCredential
        fields = ["hint", "updated_at"]
        read_only_fields = fields


class CredentialInput(serializers.Serializer):
    secret = serializers.CharField(
        max_length=4096, write_only=True, help_text="Stored encrypted and never shown again."
    )


class ProviderSerializer(serializers.ModelSerializer):
    credential = CredentialSerializer(
        allow_null=True, default=None, help_text="Null: none was entered yet."
    )

    class Meta:
        model = Provider
        fields = ["id", *_PROVIDER_FIELDS, "credential", "created_at", "updated_at"]
        read_only_fields = fields


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A provider",
            value={"name": "Example AI", "base_url": "https://api.example.com/v1"},
            request_only=True,
        ),
        OpenApiExample(
            "Amazon Bedrock",
            value={
                "name": "Bedrock in Frankfurt",
                "preset": "bedrock",
                "settings": {"region": "eu-central-1"},
            },
            request_only=True,
        ),
    ]
)
class ProviderInput(serializers.ModelSerializer):
    class Meta:
        model = Provider
        fields = _PROVIDER_FIELDS


class ProviderViewSet(Resource):
    """AI providers. The credential is written on its own and cannot be read back."""

    queryset = Provider.objects.select_related("credential")
    serializer_class = ProviderSerializer
    input_class = ProviderInput
    filterset_fields = {
        "name": ["exact", "icontains"],
        "preset": ["exact"],
        "enabled": ["exact"],
    }
    search_fields = ["name", "base_url"]
    ordering_fields = ["name", "created_at", "updated_at"]

    def store(self, row: Provider, data: dict[str, Any]) -> Provider:
        return ai.save_provider(provider=assign(row, data))

    @extend_schema(request=CredentialInput, responses=ProviderSerializer)
    @action(detail=True, methods=["put"])
    def credential(self, request: Request, pk: str) -> Response:
        """Store the provider's secret in place of the one before."""
        row = self.get_object()
        given = CredentialInput(data=request.data)
        given.is_valid(raise_exception=True)
        ai.set_credential(provider=row, secret=given.validated_data["secret"])
        return self.tell(row)

    @extend_schema(request=None, responses={204: None})
    @credential.mapping.delete
    def clear_credential(self, request: Request, pk: str) -> Response:
        """Forget the provider's secret."""
        ai.clear_credential(provider=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)


class DeploymentSerializer(ChildSerializer):
    class Meta:
        model = Deployment
        fields = [
            "id",
            "provider",
            "provider_model",
            "weight",
            "priority",
            "enabled",
            "region",
            "context_tokens",
            "max_output_tokens",
            "abilities",
            "requests_per_minute",
            "tokens_per_minute",
            *PRICE_FIELDS,
            "price_steps",
            "currency",
        ]


class ModelSerializer(serializers.ModelSerializer):
    deployments = DeploymentSerializer(many=True)

    class Meta:
        model = AIModel
        fields = ["id", *_MODEL_FIELDS, "created_at", "updated_at"]
        read_only_fields = fields


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A model at one provider",
            value={
                "name": "fast",
                "abilities": ["chat"],
                "apis": ["5c3c7d8e-5b0e-4a5c-8f3e-2f2e7b0c9a10"],
                "deployments": [
                    {
                        "provider": "9f0d3b52-6a0c-4e3a-8d7e-4b1f5c2d8e21",
                        "provider_model": "example-small-2",
                        "input_price": "0.15",
                        "output_price": "0.60",
                    }
                ],
            },
            request_only=True,
        )
    ]
)
class ModelInput(serializers.ModelSerializer):
    abilities = serializers.ListField(
        child=serializers.ChoiceField(AIModel.Ability.choices), min_length=1
    )
    apis = serializers.PrimaryKeyRelatedField(
        many=True,
        required=False,
        queryset=Api.objects.filter(kind=Api.Kind.AI),
        help_text="Of kind `ai`: the APIs that offer it.",
    )
    deployments = DeploymentSerializer(
        many=True, required=False, help_text="All of them: what is not in the list is deleted."
    )

    class Meta:
        model = AIModel
        fields = _MODEL_FIELDS


class ModelFilter(FilterSet):
    provider = ModelChoiceFilter(
        field_name="deployments__provider",
        queryset=Provider.objects.all(),
        distinct=True,
        label="Deployed there.",
    )

    class Meta:
        model = AIModel
        fields = {"name": ["exact", "icontains"], "enabled": ["exact"], "apis": ["exact"]}


class ModelViewSet(Resource):
    """AI models under the names that applications use, and where each is deployed."""

    queryset = AIModel.objects.prefetch_related("deployments", "apis")
    serializer_class = ModelSerializer
    input_class = ModelInput
    filterset_class = ModelFilter
    search_fields = ["name", "description", "deployments__provider_model"]
    ordering_fields = ["name", "created_at", "updated_at"]

    def store(self, row: AIModel, data: dict[str, Any]) -> AIModel:
        apis = data.pop("apis", None)
        deployments = children(Deployment, data.pop("deployments", None))
        return ai.save_model(model=assign(row, data), apis=apis, deployments=deployments)
