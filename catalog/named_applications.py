"""Applications in the conditions of rules. They are kept by their id, so that a rule follows one
whose name changes; people say and read names.

``contains`` compares a part of the name, and so names none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from catalog.models import Application, RoutingRule


def names_some(condition: Mapping[str, Any]) -> bool:
    return condition["subject"] == "application" and condition["operator"] != "contains"


def ids(values: Iterable[str]) -> list[str]:
    """Of the applications that are called so, or have these ids. A name without one of just this
    spelling is that of all that differ from it by case only. Raises LookupError with the value that
    is nobody's."""
    found: list[str] = []
    for value in values:
        same = [str(pk) for pk in _called(value)]
        if not same:
            raise LookupError(value)
        found += same
    return list(dict.fromkeys(found))


def _called(value: str) -> list[UUID]:
    try:
        if Application.objects.filter(pk=UUID(value)).exists():
            return [UUID(value)]
    except ValueError:
        pass
    alike = dict(Application.objects.filter(name__iexact=value).values_list("name", "pk"))
    return [alike[value]] if value in alike else list(alike.values())


def names(rules: Iterable[RoutingRule]) -> dict[str, str]:
    """By id, of all applications that the rules name. Asks the database once at most."""
    named = {
        value
        for rule in rules
        for condition in rule.conditions
        if names_some(condition)
        for value in condition["values"]
    }
    known = Application.objects.filter(pk__in=list(filter(_is_id, named)))
    return {str(pk): name for pk, name in known.values_list("pk", "name")} if named else {}


def _is_id(value: str) -> bool:
    try:
        UUID(value)
    except ValueError:
        return False
    return True


def told(condition: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The condition with names in place of ids. What is not in ``names`` stays as it is."""
    if not names_some(condition):
        return dict(condition)
    return {**condition, "values": [names.get(value, value) for value in condition["values"]]}


def naming(application: Application) -> QuerySet[RoutingRule]:
    """The rules that name it."""
    said = {"subject": "application", "values": [str(application.pk)]}
    either = Q()
    for operator in ("is", "is_not"):
        either |= Q(conditions__contains=[said | {"operator": operator}])
    return RoutingRule.objects.filter(either).select_related("model")
