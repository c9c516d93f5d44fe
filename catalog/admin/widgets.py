"""Inputs for values that are lists: a few words to choose from, and rows of cells."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from unfold.widgets import (
    CHECKBOX_CLASSES,
    INPUT_CLASSES,
    SELECT_CLASSES,
    TEXTAREA_CLASSES,
    UnfoldAdminTextareaWidget,
)


class Chips(forms.CheckboxSelectMultiple):
    """Checkboxes side by side, for a handful of short words."""

    template_name = "catalog/widgets/chips.html"
    input_classes = " ".join(CHECKBOX_CLASSES)


def chips_field(choices: Sequence[tuple[str, str]], **kwargs: Any) -> forms.MultipleChoiceField:
    """For an array column with choices; cleaned as a list in the order of ``choices``."""
    return forms.MultipleChoiceField(choices=choices, widget=Chips, **kwargs)


class JSONArea(UnfoldAdminTextareaWidget):
    def __init__(self) -> None:
        super().__init__({"rows": 4, "spellcheck": "false", "class": "console-code"})


@dataclass(frozen=True)
class Column:
    """One cell of each row. ``kind``: text, number, area, check or select (with ``choices``).

    A select that ``steers`` decides by its value which cells (``only``) and which choices
    (``choices_only``) of its row are shown.
    """

    name: str
    label: str
    kind: str = "text"
    choices: tuple[tuple[str, str], ...] = ()
    empty: Any = ""
    wide: bool = False
    lines: int = 4
    steers: bool = False
    only: tuple[str, ...] = ()
    choices_only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def options(self) -> list[tuple[str, str, str]]:
        """Value, label, and the values of what steers at which it can be chosen."""
        return [(v, label, " ".join(self.choices_only.get(v, ()))) for v, label in self.choices]


_NATIVE_SELECT = [name for name in SELECT_CLASSES if name not in ("appearance-none", "pr-8!")]
_CLASSES = {"select": _NATIVE_SELECT, "area": TEXTAREA_CLASSES, "check": CHECKBOX_CLASSES}


MOST_SIDE_BY_SIDE = 5
"""Columns of a table of rows; with more, each row is a few lines with its own labels."""


class RowsWidget(forms.Widget):
    """A table whose rows can be added and removed; the value is a list of dicts.

    Cells are posted as ``<name>-<row>-<column>``. Rows may have gaps in their numbers and
    keep the order of these. Where they are ``ordered`` they can be moved.
    """

    template_name = "catalog/widgets/rows.html"

    def __init__(
        self, columns: Sequence[Column], add_label: str, tool: str = "", *, ordered: bool = False
    ) -> None:
        super().__init__()
        self.ordered = ordered
        self.columns = columns
        self.add_label = add_label
        self.tool = tool

    def id_for_label(self, id_: str, index: str = "0") -> str:
        return f"{id_}-0-{self.columns[0].name}"

    def use_required_attribute(self, initial: Any) -> bool:
        return False

    def get_context(self, name: str, value: Any, attrs: dict | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        rows = value if isinstance(value, list) else []
        context["widget"] |= {
            "rows": [self._cells(name, str(index), row) for index, row in enumerate(rows)],
            "blank": self._cells(name, "__row__", {c.name: c.empty for c in self.columns}),
            "columns": self.columns,
            "add_label": self.add_label,
            "tool": self.tool,
            "ordered": self.ordered,
            "folded": len(self.columns) > MOST_SIDE_BY_SIDE,
        }
        return context

    def _cells(self, name: str, index: str, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [
            {
                "column": column,
                "name": f"{name}-{index}-{column.name}",
                "value": row.get(column.name, column.empty),
                "classes": " ".join(_CLASSES.get(column.kind, INPUT_CLASSES)),
            }
            for column in self.columns
        ]

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[dict[str, Any]]:
        pattern = re.compile(rf"{re.escape(name)}-(\d{{1,4}})-\w+")
        indexes = sorted({int(m[1]) for key in data if (m := pattern.fullmatch(key))})
        return [
            {
                column.name: (f"{name}-{index}-{column.name}" in data)
                if column.kind == "check"
                else data.get(f"{name}-{index}-{column.name}", "")
                for column in self.columns
            }
            for index in indexes
        ]

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return False


class RowsField(forms.Field):
    """Cleaned as a list of what ``clean_row(row)`` makes of each row's dict; None drops it."""

    def __init__(
        self,
        columns: Sequence[Column],
        add_label: str,
        clean_row: Callable[[dict[str, Any]], Any],
        tool: str = "",
        *,
        ordered: bool = False,
        **kwargs: Any,
    ) -> None:
        self.clean_row = clean_row
        widget = RowsWidget(columns, add_label, tool, ordered=ordered)
        super().__init__(widget=widget, **kwargs)

    def clean(self, value: list[dict[str, Any]]) -> list[Any]:
        rows = []
        for number, row in enumerate(value, start=1):
            try:
                cleaned = self.clean_row(row)
            except forms.ValidationError as error:
                raise forms.ValidationError(f"Row {number}: {error.messages[0]}") from None
            if cleaned is not None:
                rows.append(cleaned)
        if self.required and not rows:
            raise forms.ValidationError("Add at least one row.", code="required")
        return rows

    def has_changed(self, initial: Any, data: Any) -> bool:
        return (initial or []) != (data or [])
