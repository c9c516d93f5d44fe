"""What the pages of a tenant's reports and alerts have in common."""

from __future__ import annotations

from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from analytics.own_rows import own_rows
from tenants.admin.base import ConsoleAdmin


class OwnAdmin(ConsoleAdmin):
    """Shows the rows of the tenant whose host this is, and nobody else's."""

    class Media:
        css = {"all": ["catalog/console.css", "analytics/usage.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows = own_rows(self.model, request.tenant.pk)
        return rows.order_by(*self.get_ordering(request) or self.model._meta.ordering)


class ReadOnlyAdmin(OwnAdmin):
    """What is written by the platform and only looked at."""

    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def link(url: str, text: str) -> SafeString:
    return format_html('<a class="console-link" href="{}">{}</a>', url, text)
