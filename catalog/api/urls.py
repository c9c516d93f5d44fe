"""The management API, below ``/api/`` on a tenant's host."""

from __future__ import annotations

from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework.routers import SimpleRouter

from catalog.api.ai import ModelViewSet, PriceChangeViewSet, ProviderViewSet
from catalog.api.apis import ApiViewSet
from catalog.api.applications import ApplicationViewSet, KeyViewSet
from catalog.api.library import LibraryViewSet
from catalog.api.limits import LimitViewSet
from catalog.api.missing import MissingView
from catalog.api.prompts import PromptViewSet, VersionViewSet
from catalog.api.publications import PublicationViewSet
from catalog.api.subscriptions import PlanViewSet, SubscriptionViewSet
from catalog.api.upstreams import UpstreamViewSet

router = SimpleRouter()
router.register("upstreams", UpstreamViewSet)
router.register("apis", ApiViewSet)
router.register("applications", ApplicationViewSet)
router.register("keys", KeyViewSet)
router.register("plans", PlanViewSet)
router.register("limits", LimitViewSet)
router.register("subscriptions", SubscriptionViewSet)
router.register("providers", ProviderViewSet)
router.register("models", ModelViewSet)
router.register("prices", PriceChangeViewSet)
router.register("library", LibraryViewSet, basename="library")
router.register("prompts", PromptViewSet)
router.register("publications", PublicationViewSet)

versions = "prompts/<uuid:prompt_id>/versions/"
urlpatterns = [
    *router.urls,
    path(versions, VersionViewSet.as_view({"get": "list", "post": "create"})),
    path(f"{versions}<int:number>/", VersionViewSet.as_view({"get": "retrieve"})),
    path(f"{versions}<int:number>/publish/", VersionViewSet.as_view({"post": "publish"})),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerView.as_view(), name="docs"),
    path("", include("tenants.api.urls")),
    re_path("", MissingView.as_view()),
]
