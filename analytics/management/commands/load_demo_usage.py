"""``manage.py load_demo_usage``: calls that never happened, to look at and to try things on."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.utils import timezone

from analytics import reports
from analytics.demo import load
from analytics.demo.progress import Progress
from tenants.models import Tenant


class Command(BaseCommand):
    """Replaces the tenant's demo usage. Real usage is never touched."""

    help = "Gives a tenant generated usage, marked as demo data."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", default="demo", help="its slug (demo)")
        parser.add_argument("--days", type=int, default=30, help="how far it goes back (30)")
        parser.add_argument("--records", type=int, default=60_000, help="how many calls (60000)")
        parser.add_argument("--seed", type=int, default=1, help="another gives other calls (1)")
        parser.add_argument(
            "--if-empty", action="store_true", help="does nothing where there is usage already"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        connection.set_schema_to_public()
        tenant = Tenant.objects.filter(slug=options["tenant"]).first()
        if tenant is None:
            raise CommandError(f"There is no tenant {options['tenant']}.")
        if not 1 <= options["days"] <= 365 or options["records"] < 1:
            raise CommandError("Give 1 to 365 days and at least one record.")
        if options["if_empty"] and load.has_usage(tenant):
            self.stdout.write(f"{tenant} has usage already.")
            return
        try:
            load.load(
                tenant,
                records=options["records"],
                days_back=options["days"],
                seed=options["seed"],
                now=timezone.now(),
                report=Progress(options["records"], self.stderr),
            )
        except load.NothingToCall as error:
            raise CommandError(str(error)) from error
        reports.catch_up(tenant, now=timezone.now())
        self.stdout.write(f"{tenant} has {options['records']:,} demo calls.")
