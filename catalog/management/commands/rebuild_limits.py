"""``manage.py rebuild_limits``: fills the counters of calendar limits from the records of usage."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.limits.rebuild import rebuild
from catalog.reconcile import every
from catalog.store import StoreError


class Command(BaseCommand):
    """Does at once, and for tenants that lost nothing too, what a worker does by itself."""

    help = "Fills the counters of daily and monthly limits from the records of usage."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", nargs="*", help="Tenants; all of them where none is named.")

    def handle(self, *args: Any, **options: Any) -> None:
        tenants = every().select_related("tier")
        if options["slug"]:
            tenants = tenants.filter(slug__in=options["slug"])
            unknown = set(options["slug"]) - {tenant.slug for tenant in tenants}
            if unknown:
                raise CommandError(f"There is no tenant {', '.join(sorted(unknown))}.")
        try:
            for tenant in tenants:
                filled = rebuild(tenant, again=True)
                self.stdout.write(f"{tenant.slug}: {filled} counters with usage")
        except StoreError as error:
            raise CommandError(f"The gateways' store cannot be reached: {error}") from error
