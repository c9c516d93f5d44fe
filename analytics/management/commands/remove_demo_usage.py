"""``manage.py remove_demo_usage``: what ``load_demo_usage`` made, and nothing else."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.utils import timezone

from analytics import reports
from analytics.demo import load
from tenants.models import Tenant


class Command(BaseCommand):
    help = "Takes a tenant's demo usage away. Real usage stays."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", default="demo", help="its slug (demo)")

    def handle(self, *args: Any, **options: Any) -> None:
        connection.set_schema_to_public()
        tenant = Tenant.objects.filter(slug=options["tenant"]).first()
        if tenant is None:
            raise CommandError(f"There is no tenant {options['tenant']}.")
        removed = load.remove(tenant)
        reports.catch_up(tenant, now=timezone.now())
        self.stdout.write(f"{removed:,} demo calls of {tenant} are removed.")
