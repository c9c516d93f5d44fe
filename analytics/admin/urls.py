"""Pages of usage that belong to no model's admin: the dashboard is the home itself."""

from __future__ import annotations

from django.urls import path

from analytics.admin.calls import call, log, page
from analytics.admin.dashboard import live
from analytics.admin.models import models

app_name = "usage"
urlpatterns = [
    path("calls/", page(log), name="calls"),
    path("calls/<uuid:request_id>/", page(call), name="call"),
    path("models/", page(models), name="models"),
    path("live/", page(live), name="live"),
]
