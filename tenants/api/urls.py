"""Members and tokens, under ``/api/`` of a tenant's host."""

from __future__ import annotations

from rest_framework.routers import SimpleRouter

from tenants.api import (
    schema,  # noqa: F401  (drf-spectacular finds its extensions by their import)
    views,
)

router = SimpleRouter()
router.register("members", views.MemberViewSet, basename="member")
router.register("tokens", views.TokenViewSet, basename="token")
urlpatterns = router.urls
