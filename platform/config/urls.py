"""Pages of a tenant's host."""

from __future__ import annotations

from django.urls import include, path
from django.views.generic import RedirectView

from tenants.sites import tenant_site

urlpatterns = [
    path("", RedirectView.as_view(url="/admin/")),
    path("favicon.ico", RedirectView.as_view(url="/static/tenants/icon.svg")),
    path("admin/usage/", include("analytics.admin.urls")),
    path("admin/library/", include("catalog.admin.urls")),
    path("admin/", tenant_site.urls),
    path("api/usage/", include("analytics.api.urls")),
    path("api/", include("catalog.api.urls")),
]
