"""Saving and deleting rows that need no more than their own checks, and lists of children."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import transaction

from catalog.models.base import Row
from catalog.services import publishing

R = TypeVar("R", bound=Row)


@transaction.atomic
def save(*, row: R) -> R:
    """Validates and saves. Raises ValidationError by field."""
    row.full_clean()
    row.save()
    publishing.changed()
    return row


@transaction.atomic
def delete(*, row: Row) -> None:
    """Deletes the row with what belongs to it. Raises ProtectedError where others need it."""
    row.delete()
    publishing.changed()


def replace_children(
    children: Any,
    wanted: Sequence[R],
    *,
    name: str,
    key: Callable[[R], Hashable],
    check: Callable[[R], None] | None = None,
) -> None:
    """Makes ``wanted`` the ``children`` (a parent's, like ``upstream.targets``), keeping ids where
    it can.

    A wanted row takes over the existing row with the same id, or else with the same
    ``key``, with what nobody can edit; the others are created, and what nobody took over is
    deleted. Raises ValidationError with keys like ``targets[1].url``. Call it inside a transaction.
    """
    errors: dict[str, Any] = {}
    left = {row.pk: row for row in children.all()}
    seen: set[Hashable] = set()
    for position, row in enumerate(wanted):
        place = f"{name}[{position}]"
        setattr(row, children.field.name, children.instance)
        if key(row) in seen:
            errors[place] = ["This stands in the list twice."]
        seen.add(key(row))
        found = left.pop(row.pk, None) or next(
            (left.pop(old.pk) for old in list(left.values()) if key(old) == key(row)), None
        )
        if found is not None:
            row._state.adding = False
            for kept in (one.attname for one in row._meta.concrete_fields if not one.editable):
                setattr(row, kept, getattr(found, kept))
    for row in left.values():
        row.delete()
    for position, row in enumerate(wanted):
        try:
            row.full_clean()
            if check is not None:
                check(row)
        except ValidationError as error:
            for field, messages in error.message_dict.items():
                errors[f"{name}[{position}].{field}"] = messages
    if errors:
        raise ValidationError(errors)
    for row in wanted:
        row.save()
