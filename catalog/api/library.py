"""/api/library/: the library of models, and what of it the tenant adds"""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from catalog import library, library_search
from catalog.api.ai import ModelSerializer
from catalog.api.base import Reading, ResourceSchema
from catalog.library import Entry
from catalog.library_search import SORTS, Placed, Search
from catalog.models import AIModel, Api, Provider
from catalog.models.ai import Trait
from catalog.models.prices import UNITS
from catalog.services import library as service
from contract.snapshot import Prices


def _dollars(micros: int | None) -> str | None:
    return None if micros is None else f"{Decimal(micros).scaleb(-6):f}"


class LibraryStepSerializer(serializers.Serializer):
    unit = serializers.CharField()
    above = serializers.IntegerField(help_text="Input tokens of a call.")
    price = serializers.CharField()


class LibraryPricesSerializer(serializers.Serializer):
    """Per million tokens or characters, thousand calls or searches, or hour of sound, as a
    deployment has them."""

    since = serializers.DateTimeField(allow_null=True, help_text="Null: from ever on.")
    price_steps = LibraryStepSerializer(many=True)
    currency = serializers.CharField()

    def get_fields(self) -> dict[str, serializers.Field]:
        units = {f"{unit}_price": serializers.CharField(allow_null=True) for unit in UNITS}
        return super().get_fields() | units

    def to_representation(self, prices: Prices) -> dict[str, Any]:
        since = serializers.DateTimeField().to_representation
        told = {
            "since": since(service.moment(prices.since)) if prices.since else None,
            **{f"{unit}_price": _dollars(getattr(prices, unit)) for unit in UNITS},
        }
        columns = service.columns(prices)
        return told | {name: columns[name] for name in ("price_steps", "currency")}


class PlacedSerializer(serializers.Serializer):
    model_id = serializers.UUIDField()
    model = serializers.CharField(help_text="Its name.")
    provider_id = serializers.UUIDField()
    provider = serializers.CharField()


class EntrySerializer(serializers.Serializer):
    """A model at a provider, as the library knows it."""

    key = serializers.CharField(help_text="What it is added by.")
    vendor = serializers.CharField(source="vendor.id")
    vendor_name = serializers.CharField(source="vendor.name")
    presets = serializers.ListField(
        source="vendor.presets",
        child=serializers.CharField(),
        help_text="Kinds of providers through which it is reached.",
    )
    provider_model = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    context_tokens = serializers.IntegerField(allow_null=True)
    abilities = serializers.ListField(
        child=serializers.CharField(), help_text="Told from its name: a guess. Empty: not known."
    )
    traits = serializers.ListField(
        child=serializers.CharField(), help_text="Told from what is priced; there may be more."
    )
    price_known = serializers.SerializerMethodField()
    prices = LibraryPricesSerializer(many=True, help_text="Each from its time on.")
    comments = serializers.CharField(help_text="On its price.")
    beyond = serializers.ListField(
        child=serializers.CharField(), help_text="Billed besides, and not counted by the gateway."
    )
    by_hour = serializers.BooleanField(help_text="Cheaper at some hours: the dearest is told.")
    deprecated = serializers.BooleanField()
    added = serializers.SerializerMethodField(help_text="Where the tenant has it.")

    def get_price_known(self, entry: Entry) -> bool:
        return library.prices_known(entry.prices[-1], entry.abilities)

    def get_added(self, entry: Entry) -> list[dict[str, Any]]:
        placed: list[Placed] = self.context["placed"].get(entry.key, [])
        return PlacedSerializer(placed, many=True).data


class SearchInput(serializers.Serializer):
    search = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=200,
        help_text="Words that all are in a model's name, key or provider.",
    )
    vendor = serializers.CharField(required=False, allow_blank=True, max_length=100)
    ability = serializers.ChoiceField(
        choices=[*AIModel.Ability.values, *Trait.values], required=False, allow_blank=True
    )
    ordering = serializers.ChoiceField(
        choices=[*SORTS, *(f"-{name}" for name in SORTS)], required=False, allow_blank=True
    )

    def validate_vendor(self, vendor: str) -> str:
        if vendor and vendor not in library.vendors():
            raise serializers.ValidationError(
                "The library has no such provider.", code="library_unknown"
            )
        return vendor


class AddInput(serializers.Serializer):
    key = serializers.CharField(max_length=200)
    provider = serializers.PrimaryKeyRelatedField(
        queryset=Provider.objects.all(),
        required=False,
        help_text="Needed where the tenant has several that serve it.",
    )
    name = serializers.CharField(
        required=False, max_length=120, help_text="For applications. Left out: the library's."
    )
    join = serializers.BooleanField(
        default=False, help_text="Add the deployment to the model of that name, if there is one."
    )
    apis = serializers.PrimaryKeyRelatedField(
        many=True,
        required=False,
        queryset=Api.objects.filter(kind=Api.Kind.AI),
        help_text="That offer it. Left out: all for AI models.",
    )


class UpdateSerializer(serializers.Serializer):
    """What the library would change in a deployment's prices."""

    deployment = serializers.UUIDField(source="deployment.pk")
    model = serializers.CharField(source="deployment.model.name")
    provider = serializers.CharField(source="deployment.provider.name")
    key = serializers.CharField(source="entry.key")
    old = LibraryPricesSerializer()
    new = LibraryPricesSerializer(help_text="From the moment at which it is agreed to.")
    later = LibraryPricesSerializer(many=True, help_text="Each from its time on.")
    digest = serializers.CharField(help_text="To be sent back by whoever agrees to it.")


class AgreedInput(serializers.Serializer):
    deployment = serializers.UUIDField()
    digest = serializers.CharField(max_length=64)


class UpdatesInput(serializers.Serializer):
    changes = AgreedInput(many=True, allow_empty=False, max_length=5000)

    def validate_changes(self, given: list[dict[str, Any]]) -> dict[UUID, str]:
        return {each["deployment"]: each["digest"] for each in given}


_QUERY = [
    OpenApiParameter("search", str, description="Words in a model's name, key or provider."),
    OpenApiParameter("vendor", str),
    OpenApiParameter("ability", str, enum=[*AIModel.Ability.values, *Trait.values]),
    OpenApiParameter("ordering", str, enum=[*SORTS, *(f"-{name}" for name in SORTS)]),
]


class LibrarySchema(ResourceSchema):
    _SUMMARIES = {"list": "Search the library of models", "add": "Add a model from the library"}

    def get_filter_parameters(self) -> list[Any]:
        return []


class LibraryViewSet(Reading):
    """Models of some fifty providers with context windows and prices, to be added with one call."""

    queryset = AIModel.objects.all()
    serializer_class = EntrySerializer
    input_class = AddInput
    schema = LibrarySchema()
    filter_backends = ()

    @extend_schema(parameters=_QUERY)
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        given = SearchInput(data=request.query_params)
        given.is_valid(raise_exception=True)
        said = given.validated_data
        found = library_search.find(
            Search(
                text=said.get("search", ""),
                vendor=said.get("vendor", ""),
                ability=said.get("ability", ""),
                sort=said.get("ordering", ""),
            )
        )
        page = self.paginate_queryset(found)
        context = {"placed": library_search.placed()}
        return self.get_paginated_response(EntrySerializer(page, many=True, context=context).data)

    @extend_schema(
        request=AddInput,
        responses={201: ModelSerializer},
        examples=[
            OpenApiExample(
                "From the library", value={"key": "openai/gpt-4o-mini"}, request_only=True
            )
        ],
    )
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Add a model with one deployment, at the library's prices."""
        said = self.read()
        entry = service.entry_of(said["key"])
        deployment = service.add(
            entry=entry,
            provider=said.get("provider") or service.only_provider(entry),
            name=said.get("name", ""),
            join=said["join"],
            apis=said.get("apis"),
        )
        model = AIModel.objects.prefetch_related("deployments", "apis").get(pk=deployment.model_id)
        return Response(ModelSerializer(model).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses=UpdateSerializer(many=True))
    @action(detail=False, url_path="updates", pagination_class=None)
    def updates(self, request: Request) -> Response:
        """Prices of deployments from the library that it has otherwise by now. Nothing changes."""
        return Response(UpdateSerializer(service.updates(), many=True).data)

    @extend_schema(request=UpdatesInput, responses=UpdateSerializer(many=True))
    @updates.mapping.post
    def update_prices(self, request: Request) -> Response:
        """Agree to some of the changes: the deployments get dated prices, and calls until now keep
        theirs. Answers with what has changed."""
        given = UpdatesInput(data=request.data)
        given.is_valid(raise_exception=True)
        changed = service.update_prices(agreed=given.validated_data["changes"])
        return Response(UpdateSerializer(changed, many=True).data)
