"""/api/providers/, /api/models/ and /api/prices/"""

from __future__ import annotations

from typing import Any, ClassVar

from django_filters.rest_framework import FilterSet, ModelChoiceFilter
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from catalog import named_applications
from catalog.api.base import ChildSerializer, Resource, assign, children
from catalog.models import (
    AIModel,
    Api,
    Deployment,
    PriceChange,
    Provider,
    ProviderCredential,
    RoutingRule,
)
from catalog.models.prices import PRICE_FIELDS
from catalog.price_checks import STEPPED
from catalog.routing_checks import LONGEST_VALUE, MOST_VALUES, OPERATORS, SUBJECTS
from catalog.services import ai, prices

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
    "within_percent",
    "explore",
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
    "rules",
]
_PRICES = (*PRICE_FIELDS, "price_steps", "picture_prices", "batch_percent", "currency")
_PRICE_CHANGE_FIELDS = ["deployment", "since", *_PRICES]


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


class PriceStepSerializer(serializers.Serializer):
    """Another price for all tokens of a kind, in calls with a longer prompt."""

    unit = serializers.ChoiceField(STEPPED, help_text="Of which tokens.")
    above = serializers.IntegerField(min_value=1, help_text="Input tokens of the call.")
    price = serializers.DecimalField(
        max_digits=14, decimal_places=6, min_value=0, help_text="For a million tokens."
    )


class PicturePriceSerializer(serializers.Serializer):
    """Of a picture of one kind. Pictures of other kinds cost `picture_price`; where that is null
    their cost is unknown."""

    size = serializers.CharField(
        max_length=24,
        help_text="As the provider's answer says it, or else the request, like `1024x1536`; `auto` "
        "where neither does.",
    )
    quality = serializers.CharField(
        max_length=24,
        required=False,
        allow_blank=True,
        help_text="In the same way, like `high`. Empty: any that has no price of its own.",
    )
    price = serializers.DecimalField(
        max_digits=14, decimal_places=6, min_value=0, help_text="Of one picture."
    )


def _kept(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As a JSON column takes them."""
    return [{**row, "price": str(row["price"])} for row in rows]


class ListsOfPrices(serializers.Serializer):
    """The prices that are lists, of whatever has some."""

    price_steps = PriceStepSerializer(
        many=True, required=False, help_text="Prices of long prompts."
    )
    picture_prices = PicturePriceSerializer(
        many=True, required=False, help_text="Pictures made, by size and quality."
    )

    def validate_price_steps(self, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return _kept(steps)

    def validate_picture_prices(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return _kept(rows)


class DeploymentSerializer(ListsOfPrices, ChildSerializer):
    class Meta:
        model = Deployment
        fields = [
            "id",
            "provider",
            "provider_model",
            "weight",
            "priority",
            "enabled",
            "library",
            "region",
            "context_tokens",
            "max_output_tokens",
            "abilities",
            "requests_per_minute",
            "tokens_per_minute",
            "based_on",
            "quirks",
            *_PRICES,
        ]


class ConditionSerializer(serializers.Serializer):
    """Which operators and values there are depends on the subject.

    - `header`, `metadata` (with `name`) and `application`: `is`, `is_not`, `contains`; an
      application is named by its name or id, and stays named whatever it is called later, unless
      the name is to contain something
    - `prompt_tokens` (estimated) and `complexity` (0 to 100): `at_least`, `at_most` and one number
    - `language` (ISO 639-1) and `content` (`code`, `math`, `images`, `audio`, `files`, `tools`):
      `is`, `is_not`
    - `similarity`: `like`; the values are example prompts, compared in words, or in meaning with
      an `embedding_model`
    - `stream`: `is`, `true` or `false`
    """

    subject = serializers.ChoiceField(list(SUBJECTS))
    operator = serializers.ChoiceField(list(OPERATORS))
    values = serializers.ListField(
        child=serializers.CharField(max_length=LONGEST_VALUE),
        min_length=1,
        max_length=MOST_VALUES,
        help_text="Any of these will do.",
    )
    name = serializers.CharField(
        required=False, allow_blank=True, max_length=100, help_text="The header's, or the key."
    )
    least = serializers.IntegerField(
        required=False, min_value=0, max_value=100, help_text="How near to an example. Else 50."
    )
    embedding_model = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=200,
        help_text="The public name of one of your models for embeddings: what a question means is "
        "compared, by the cosine of its vectors.",
    )


class RuleSerializer(ChildSerializer):
    """Where all conditions hold, only these deployments are asked, or `target` is."""

    conditions = ConditionSerializer(
        many=True, required=False, help_text="None: the rule always holds."
    )
    deployments = serializers.PrimaryKeyRelatedField(
        many=True,
        required=False,
        queryset=Deployment.objects.all(),
        help_text="Of this model, which must have them already.",
    )

    class Meta:
        model = RoutingRule
        fields = ["id", "name", "conditions", "deployments", "target"]

    def to_representation(self, rule: RoutingRule) -> dict[str, Any]:
        told = super().to_representation(rule)
        if any(map(named_applications.names_some, rule.conditions)):
            names = self._names()
            told["conditions"] = [named_applications.told(one, names) for one in told["conditions"]]
        return told

    def _names(self) -> dict[str, str]:
        """Of all applications that rules name: asked for once in an answer."""
        if "names" not in self.context:
            said = [{"subject": "application"}]
            rules = RoutingRule.objects.filter(conditions__contains=said)
            self.context["names"] = named_applications.names(rules)
        return self.context["names"]


def _rules(given: list[dict[str, Any]] | None) -> list[ai.RuleGiven] | None:
    if given is None:
        return None
    chosen = [rule.pop("deployments", []) for rule in given]
    return [(RoutingRule(**rule), those) for rule, those in zip(given, chosen, strict=True)]


class ModelSerializer(serializers.ModelSerializer):
    deployments = DeploymentSerializer(many=True)
    rules = RuleSerializer(
        many=True, source="routing_rules", help_text="In order: the first that holds decides."
    )

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
        ),
        OpenApiExample(
            "Long prompts go to another model",
            value={
                "name": "fast",
                "abilities": ["chat"],
                "strategy": "lowest_cost",
                "regions": ["EU"],
                "fallbacks": ["0b1f6a52-3c2e-4f0e-9a55-4f2d9c7e6b11"],
                "rules": [
                    {
                        "name": "long prompts",
                        "conditions": [
                            {
                                "subject": "prompt_tokens",
                                "operator": "at_least",
                                "values": ["100000"],
                            }
                        ],
                        "target": "0b1f6a52-3c2e-4f0e-9a55-4f2d9c7e6b11",
                    }
                ],
            },
            request_only=True,
        ),
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
    rules = RuleSerializer(
        many=True,
        required=False,
        help_text="All of them, in order: the first that holds decides.",
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

    queryset = AIModel.objects.prefetch_related("deployments", "apis", "routing_rules__deployments")
    serializer_class = ModelSerializer
    input_class = ModelInput
    filterset_class = ModelFilter
    search_fields = ["name", "description", "deployments__provider_model"]
    ordering_fields = ["name", "created_at", "updated_at"]

    def store(self, row: AIModel, data: dict[str, Any]) -> AIModel:
        apis = data.pop("apis", None)
        deployments = children(Deployment, data.pop("deployments", None))
        rules = _rules(data.pop("rules", None))
        return ai.save_model(
            model=assign(row, data), apis=apis, deployments=deployments, rules=rules
        )

    def remove(self, row: AIModel) -> None:
        ai.delete_model(model=row)


class PriceChangeSerializer(serializers.ModelSerializer):
    price_steps = PriceStepSerializer(many=True)
    picture_prices = PicturePriceSerializer(many=True)
    begun = serializers.SerializerMethodField(
        help_text="Whether they hold, or have held: then they can no longer be changed."
    )

    class Meta:
        model = PriceChange
        fields = ["id", *_PRICE_CHANGE_FIELDS, "begun", "created_at", "updated_at"]
        read_only_fields = fields

    def get_begun(self, row: PriceChange) -> bool:
        return prices.begun(row)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "From January on",
            value={
                "deployment": "7d0a5c1e-2b64-4c39-8f7a-1c0de5a7b902",
                "since": "2031-01-01T00:00:00Z",
                "input_price": "0.10",
                "output_price": "0.40",
                "price_steps": [{"unit": "input", "above": 200000, "price": "0.20"}],
            },
            request_only=True,
        )
    ]
)
class PriceChangeInput(ListsOfPrices, serializers.ModelSerializer):
    since = serializers.DateTimeField(
        required=False, help_text="Not in the past. Left out: from now on."
    )

    class Meta:
        model = PriceChange
        fields = _PRICE_CHANGE_FIELDS
        validators: ClassVar[list] = []  # the service tells of a second one at the same moment


class PriceChangeViewSet(Resource):
    """What a deployment costs from a moment on, in place of its own prices. Calls before it keep
    what they have cost, so prices that have begun cannot be changed or deleted."""

    queryset = PriceChange.objects.all()
    serializer_class = PriceChangeSerializer
    input_class = PriceChangeInput
    filterset_fields = {
        "deployment": ["exact"],
        "deployment__model": ["exact"],
        "since": ["gte", "lt"],
    }
    search_fields = ["deployment__model__name"]
    ordering_fields = ["since", "created_at", "updated_at"]

    def store(self, row: PriceChange, data: dict[str, Any]) -> PriceChange:
        return prices.save_price_change(change=assign(row, data))

    def remove(self, row: PriceChange) -> None:
        prices.delete_price_change(change=row)
