from __future__ import annotations

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    name = "catalog"
    verbose_name = "Catalogue"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from catalog.publish import withdraw
        from catalog.services import publishing
        from tenants import hooks

        hooks.on_change(publishing.changed)
        hooks.on_purge(lambda tenant_id: withdraw(str(tenant_id)))
