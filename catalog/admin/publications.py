"""What was sent to the gateways."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin import register
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from catalog.admin.base import CatalogAdmin
from catalog.admin.paging import CappedPaginator
from catalog.models import Publication
from catalog.services import publishing
from tenants.sites import tenant_site

STATUS_LABELS = {"Published": "success", "Refused": "danger", "Waiting": "warning"}


@register(Publication, site=tenant_site)
class PublicationAdmin(CatalogAdmin):
    list_display = ["version_name", "status_label", "created_at", "size_text", "problem"]
    list_filter = [("status", ChoicesDropdownFilter)]
    search_fields = ["problem"]
    paginator = CappedPaginator
    fields = ["version", "status", "created_at", "size_text", "digest", "problem"]
    readonly_fields = fields
    list_before_template = "admin/catalog/publish_again.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def may_publish(self, request: HttpRequest) -> bool:
        return request.user.has_perm("catalog.change_publication")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.publish_again)
        return [path("again/", view, name="catalog_publication_again"), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict | None = None
    ) -> HttpResponse:
        context = {**(extra_context or {}), "may_publish": self.may_publish(request)}
        return super().changelist_view(request, context)

    def publish_again(self, request: HttpRequest) -> HttpResponse:
        """On POST: compile and send once more; a page of its own is not needed."""
        if not self.may_publish(request):
            raise PermissionDenied
        if request.method == "POST":
            with self.telling(request) as outcomes:
                publishing.changed()
            if outcomes and outcomes[-1].in_effect:
                messages.success(request, "The gateways have the latest state.")
        return HttpResponseRedirect(reverse("admin:catalog_publication_changelist"))

    @display(description="Version", ordering="version")
    def version_name(self, publication: Publication) -> str:
        return f"Version {publication.version}"

    @display(description="Status", ordering="status", label=STATUS_LABELS)
    def status_label(self, publication: Publication) -> str:
        return publication.get_status_display()

    @display(description="Size", ordering="size")
    def size_text(self, publication: Publication) -> str:
        return filesizeformat(publication.size)
