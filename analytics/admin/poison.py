"""The operator's page of stream entries that could not be recorded."""

from __future__ import annotations

from typing import Any

import redis
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from analytics.ingest import Stream, take_again
from analytics.models import PoisonEntry
from tenants.admin.base import ConsoleAdmin
from tenants.sites import operator_site

SHOWN = 4096


@admin.register(PoisonEntry, site=operator_site)
class PoisonEntryAdmin(ConsoleAdmin):
    """To be looked at, and recorded after all or deleted when understood."""

    list_display = ["entry_id", "seen_at", "reason"]
    list_filter = ["seen_at"]
    search_fields = ["entry_id", "reason"]
    fields = ["entry_id", "seen_at", "reason", "content"]
    readonly_fields = fields
    actions = ["take_again"]

    @admin.action(description="Try to record them again", permissions=["delete"])
    def take_again(self, request: HttpRequest, entries: QuerySet[PoisonEntry]) -> None:
        stream = Stream(settings.REDIS_URL)
        try:
            count = take_again(stream, entries)
        except redis.RedisError as error:
            messages.error(request, f"Valkey does not take them ({error}). Try again later.")
        else:
            messages.success(
                request, f"{count} taken up again. What cannot be recorded will be back here."
            )
        finally:
            stream.close()

    @display(description=f"content, at most {SHOWN} bytes")
    def content(self, entry: PoisonEntry) -> str:
        return repr(bytes(entry.body[:SHOWN]))[2:-1]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
