"""Joins the parts when Django starts, whichever program started it."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class WiringConfig(AppConfig):
    """Makes our Celery application the one that tasks are sent through, tells the catalogue
    where usage is recorded and usage where the catalogue is, and loads the pages that the apps
    register with the two consoles."""

    name = "config"
    verbose_name = "Wiring"

    def ready(self) -> None:
        import config.celery  # noqa: F401  (importing it is what does it)
        from analytics import catalogue, limits
        from catalog import offered
        from catalog.limits import source

        source.read_from(limits)
        catalogue.read_from(offered)

        autodiscover_modules("admin")
