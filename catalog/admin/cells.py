"""Pieces of HTML for tables: labels, links, moments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Model
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime


def badge(text: str, kind: str = "") -> SafeString:
    """``kind``: success, warning, danger, info or nothing."""
    return render_to_string("unfold/helpers/label.html", {"text": text, "type": kind})


def link(obj: Model, text: str = "") -> SafeString:
    url = reverse(f"admin:{obj._meta.app_label}_{obj._meta.model_name}_change", args=[obj.pk])
    return format_html('<a class="console-link" href="{}">{}</a>', url, text or obj)


def moment(value: datetime | None, empty: str = "–") -> str:
    return date_format(localtime(value), "DATETIME_FORMAT") if value else empty


def buttons(deeds: Sequence[dict[str, Any]]) -> SafeString:
    """Small buttons to the pages of deeds, which open as dialogs where scripts run."""
    return format_html(
        '<span class="console-row-deeds">{}</span>',
        format_html_join(
            "",
            '<a href="{}" data-deed class="console-button{}">{}</a>',
            (
                (item["url"], " console-danger" if item["deed"].danger else "", item["deed"].label)
                for item in deeds
            ),
        ),
    )


def section(
    title: str,
    headers: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    empty: str,
    add: tuple[str, str] | None = None,
    more: tuple[str, str] | None = None,
) -> dict[str, Any]:
    """A table below the facts of a panel; ``add`` and ``more`` are (label, address)."""
    cells = [list(zip(headers, row, strict=True)) for row in rows]
    return {
        "title": title,
        "headers": headers,
        "rows": cells,
        "empty": empty,
        "add": add,
        "more": more,
    }
