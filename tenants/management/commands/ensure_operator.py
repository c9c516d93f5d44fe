"""Makes what the platform needs before its first tenant; may be run any number of times."""

from __future__ import annotations

import json

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from tenants import services


class Command(BaseCommand):
    help = (
        "Creates the account tiers, the platform's own host and, if there is none, an operator. "
        "The last line is JSON: username, and password where one was generated (else null)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--domain", default=settings.DOMAIN, help="the operator's host")
        parser.add_argument("--username", default="operator")

    def handle(self, *, domain: str, username: str, **options: object) -> None:
        services.ensure_public(domain=domain)
        user, password = services.ensure_operator(username=username)
        self.stdout.write(json.dumps({"username": user.username, "password": password}))
