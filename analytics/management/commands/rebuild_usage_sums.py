"""``manage.py rebuild_usage_sums``: the sums by minute, hour and day, from the records again."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection

from analytics import rebuild


class Command(BaseCommand):
    help = (
        "Works out the sums of usage again from the records, day by day, as far as records are "
        "kept. Calls are recorded meanwhile, a little later while their day is at work."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--first", type=date.fromisoformat, help="day of UTC, like 2026-03-01")
        parser.add_argument("--last", type=date.fromisoformat, help="day of UTC")

    def handle(self, *args: Any, **options: Any) -> None:
        connection.set_schema_to_public()
        days = 0
        for day, done in rebuild.rebuild(options["first"], options["last"]):
            days += done
            told = "done" if done else "left, since some of its records are no longer kept"
            self.stdout.write(f"{day}: {told}")
        self.stdout.write(f"The sums of {days} days are rebuilt.")
