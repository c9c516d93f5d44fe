"""Pages of the platform's own host."""

from __future__ import annotations

from django.urls import path
from django.views.generic import RedirectView

from config.health import healthz
from tenants.sites import operator_site

urlpatterns = [
    path("", RedirectView.as_view(url="/admin/")),
    path("favicon.ico", RedirectView.as_view(url="/static/tenants/icon.svg")),
    path("healthz", healthz),
    path("admin/", operator_site.urls),
]
