"""Errors of the management API: RFC 9457 bodies with a stable ``code``, as the gateway's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ObjectDoesNotExist
from django.core.exceptions import ValidationError as ModelError
from django.db import IntegrityError
from django.db.models import ProtectedError, RestrictedError
from rest_framework import exceptions, serializers, status
from rest_framework.response import Response
from rest_framework.views import exception_handler

from catalog.model_uses import ModelInUse

MEDIA_TYPE = "application/problem+json"


class Problem(serializers.Serializer):
    """What every refusal of this API looks like (RFC 9457)."""

    type = serializers.CharField(help_text="`urn:hubpo:error:` and the code.")
    title = serializers.CharField(help_text="The same for every problem with this code.")
    status = serializers.IntegerField(help_text="The response's status.")
    detail = serializers.CharField(help_text="What is wrong this time and what to do.")
    code = serializers.CharField(help_text="Stable: what a program should look at.")
    errors = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="Sentences by field, like `name` or `targets[0].url`.",
    )


class Conflict(exceptions.APIException):
    """The request is well formed, but not with the data as they are now."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"
    default_detail = "Somebody else changed this at the same moment. Read it again and retry."


class Invalid(exceptions.APIException):
    """What the services refused. ``errors`` are sentences by field."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "invalid"

    def __init__(self, detail: str, code: str, errors: dict[str, list[str]]) -> None:
        super().__init__(detail, code)
        self.errors = errors


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler. None leaves what nobody foresaw to Django."""
    error = _translate(error)
    response = exception_handler(error, context)
    if response is None:
        return None
    if isinstance(error, exceptions.ValidationError):
        errors = dict(flatten(error.detail))
        detail, code = _sentence(errors), "invalid"
    else:
        errors = getattr(error, "errors", {})
        detail, code = _told(error)
    response.data = {
        "type": f"urn:hubpo:error:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": response.status_code,
        "detail": detail,
        "code": code,
    }
    if errors:
        response.data["errors"] = errors
    response.content_type = MEDIA_TYPE
    return response


def _told(error: Exception) -> tuple[str, str]:
    if not isinstance(error, exceptions.APIException):  # Django's Http404 and PermissionDenied
        named = exceptions.NotFound() if "404" in type(error).__name__ else None
        error = named or exceptions.PermissionDenied()
    if isinstance(error, exceptions.NotFound):
        return "There is nothing here with this address.", "not_found"
    return str(error.detail), str(error.detail.code)


def _translate(error: Exception) -> Exception:
    if isinstance(error, ModelError):
        return _invalid(error)
    if isinstance(error, (ProtectedError, RestrictedError)):
        return Conflict(_in_use(error), "in_use")
    if isinstance(error, IntegrityError):
        return Conflict()
    if isinstance(error, ObjectDoesNotExist):
        return exceptions.NotFound()
    return error


def _invalid(error: ModelError) -> Invalid:
    if not hasattr(error, "error_dict"):
        return Invalid(" ".join(error.messages), error.error_list[0].code or "invalid", {})
    errors = dict(error.message_dict)
    general = errors.pop(NON_FIELD_ERRORS, [])
    codes = {item.code for items in error.error_dict.values() for item in items}
    code = codes.pop() if len(codes) == 1 else None
    detail = " ".join(general) or _sentence(errors)
    return Invalid(detail, code or "invalid", errors)


def _sentence(errors: dict[str, list[str]]) -> str:
    return " ".join(f"{field}: {' '.join(texts)}" for field, texts in errors.items())


def flatten(detail: Any, place: str = "") -> Iterator[tuple[str, list[str]]]:
    """DRF's nested errors as (``targets[0].url``, sentences)."""
    if isinstance(detail, dict):
        for field, inner in detail.items():
            yield from flatten(inner, _below(place, field))
    elif isinstance(detail, list) and detail and isinstance(detail[0], (dict, list)):
        for position, inner in enumerate(detail):
            yield from flatten(inner, f"{place}[{position}]")
    elif detail:
        texts = detail if isinstance(detail, list) else [detail]
        yield place or "body", [str(text) for text in texts]


def _below(place: str, field: str | int) -> str:
    """``place`` and the field in it; DRF tells the rows of a list by their number."""
    if isinstance(field, int):
        return f"{place}[{field}]"
    if field == "non_field_errors":
        return place
    return f"{place}.{field}" if place else field


def _in_use(error: ProtectedError | RestrictedError) -> str:
    if isinstance(error, ModelInUse):
        named, count = error.told[:5], len(error.told)
    else:
        users = getattr(error, "protected_objects", None) or error.restricted_objects
        named = sorted(f"{row._meta.verbose_name} “{row}”" for row in list(users)[:5])
        count = len(users)
    more = f" and {count - 5} more" if count > 5 else ""
    return f"It is still used by {', '.join(named)}{more}. Change or delete these first."
