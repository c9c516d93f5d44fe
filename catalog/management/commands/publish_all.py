"""``manage.py publish_all``: brings every tenant's snapshot in the gateways' store up to date."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from catalog.reconcile import reconcile
from catalog.store import StoreError


class Command(BaseCommand):
    """Compiles and compares all tenants; fails where a snapshot was refused."""

    help = "Publishes every tenant whose snapshot in the store is not up to date."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            outcomes = reconcile(full=True)
        except StoreError as error:
            raise CommandError(f"The gateways' store cannot be reached: {error}") from error
        for tenant, outcome in outcomes.items():
            self.stdout.write(f"{tenant.slug}: {outcome.status} {outcome.problem}".rstrip())
        if not all(outcome.in_effect for outcome in outcomes.values()):
            raise CommandError("Not every tenant could be published.")
