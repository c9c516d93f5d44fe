"""The operator's page of stream entries that could not be recorded."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.decorators import display

from analytics.models import PoisonEntry
from tenants.admin.base import ConsoleAdmin
from tenants.sites import operator_site

SHOWN = 4096


@admin.register(PoisonEntry, site=operator_site)
class PoisonEntryAdmin(ConsoleAdmin):
    """To be looked at, and deleted when understood."""

    list_display = ["entry_id", "seen_at", "reason"]
    list_filter = ["seen_at"]
    search_fields = ["entry_id", "reason"]
    fields = ["entry_id", "seen_at", "reason", "content"]
    readonly_fields = fields

    @display(description=f"content, at most {SHOWN} bytes")
    def content(self, entry: PoisonEntry) -> str:
        return repr(bytes(entry.body[:SHOWN]))[2:-1]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
