"""What all resources of the management API share."""

from __future__ import annotations

from typing import Any

from django.db.models import Model, QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.openapi import AutoSchema
from rest_framework import filters, mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from catalog.api.errors import MEDIA_TYPE, Problem
from catalog.services import publishing, rows

PUBLICATION_HEADER = "Hubpo-Publication"
"""On answers to writes: ``published``, ``unchanged``, ``waiting`` or ``refused``."""


class Ordering(filters.OrderingFilter):
    """Breaks ties by id, so that no row is on two pages or on none."""

    def filter_queryset(self, request: Request, queryset: QuerySet, view: APIView) -> QuerySet:
        ordering = self.get_ordering(request, queryset, view) or queryset.model._meta.ordering
        return queryset.order_by(*ordering, "pk")


class ResourceSchema(AutoSchema):
    """Requests by ``input_class`` and answers by ``serializer_class``, with the problems."""

    _PROBLEMS = {
        "400": "The request cannot be understood, or a field is not as it must be.",
        "401": "No token, or one that is not known.",
        "403": "The member's role does not allow this.",
        "404": "There is no such thing in this tenant.",
        "409": "Something else still uses it, or somebody else changed it at the same moment.",
    }

    _SUMMARIES = {
        "list": "List {many}",
        "retrieve": "Show one {one}",
        "create": "Create one {one}",
        "update": "Replace one {one}",
        "partial_update": "Change one {one}",
        "destroy": "Delete one {one}",
    }

    def get_summary(self) -> str | None:
        options = self.view.queryset.model._meta
        action = getattr(self.view, "action", None)
        if text := self._SUMMARIES.get(action):
            return text.format(one=options.verbose_name, many=options.verbose_name_plural)
        return str(action).replace("_", " ").capitalize()

    def get_operation_id(self) -> str:
        """Without the ``_create`` that DRF's schema adds to every POST: ``apis_publish``."""
        name = super().get_operation_id()
        named = f"_{getattr(self.view, 'action', '')}_create"
        return name.removesuffix("_create") if name.endswith(named) else name

    def get_request_serializer(self) -> Any:
        if self.method in ("POST", "PUT", "PATCH"):
            return getattr(self.view, "input_class", None)
        return None

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        operation = super().get_operation(*args, **kwargs)
        if operation is not None:
            problem = self.resolve_serializer(Problem(), "response").ref
            content = {MEDIA_TYPE: {"schema": problem}}
            for code in self._possible():
                text = self._PROBLEMS[code]
                operation["responses"].setdefault(code, {"description": text, "content": content})
        return operation

    def _possible(self) -> list[str]:
        codes = ["401", "403"]
        if self.method != "GET":
            codes += ["400", "409"]
        if "{" in self.path:
            codes += ["404"]
        return sorted(codes)


class Tracked(APIView):
    """A view whose answers to writes tell whether the change is in effect in the gateway."""

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        with publishing.watch() as outcomes:
            response = super().dispatch(request, *args, **kwargs)
        if outcomes:
            response[PUBLICATION_HEADER] = outcomes[-1].status
        return response


class Reading(Tracked, viewsets.GenericViewSet):
    """``serializer_class`` is what is told, ``input_class`` what is taken."""

    schema = ResourceSchema()
    filter_backends = [DjangoFilterBackend, filters.SearchFilter, Ordering]
    input_class: type[serializers.Serializer]

    def read(self, **options: Any) -> dict[str, Any]:
        """The request's body, checked. Raises DRF's ValidationError."""
        context = self.get_serializer_context()
        given = self.input_class(data=self.request.data, context=context, **options)
        given.is_valid(raise_exception=True)
        return dict(given.validated_data)

    def tell(self, row: Model, code: int = status.HTTP_200_OK) -> Response:
        """The row as it is now in the database, with what belongs to it."""
        fresh = self.get_queryset().get(pk=row.pk)
        return Response(self.get_serializer(fresh).data, status=code)


class ReadOnly(mixins.ListModelMixin, mixins.RetrieveModelMixin, Reading):
    """Lists and shows."""


class Resource(ReadOnly):
    """Lists, shows, creates, changes and deletes; a subclass says how to ``store``."""

    def store(self, row: Any, data: dict[str, Any]) -> Model:
        """Writes the checked ``data`` to ``row`` through the row's service."""
        raise NotImplementedError

    def remove(self, row: Any) -> None:
        """Deletes the row through its service."""
        rows.delete(row=row)

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        row = self.store(self.queryset.model(), self.read())
        return self.tell(row, status.HTTP_201_CREATED)

    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        row = self.get_object()
        partial = kwargs.get("partial", False)
        return self.tell(self.store(row, self.read(instance=row, partial=partial)))

    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.update(request, *args, partial=True, **kwargs)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        self.remove(self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)


def assign(row: Any, data: dict[str, Any]) -> Any:
    """Sets the row's fields from the data."""
    for name, value in data.items():
        setattr(row, name, value)
    return row


def children(model: type[Model], given: list[dict[str, Any]] | None) -> list[Any] | None:
    """Unsaved rows for a nested list; None where the list was not given."""
    return None if given is None else [model(**item) for item in given]


class ChildSerializer(serializers.ModelSerializer):
    """One row of a nested list. With an ``id`` it is that row, changed."""

    id = serializers.UUIDField(
        required=False, help_text="Of the row to keep. Without it, one that is alike is kept."
    )
