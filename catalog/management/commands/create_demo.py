"""``manage.py create_demo``: a tenant in which everything can be tried at once."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from catalog.demo import catalogue, people, told
from catalog.demo.people import DemoError
from tenants.models import Membership

Role = Membership.Role


class Command(BaseCommand):
    """Prints one JSON object on the last line of its output.

    Run again it repairs addresses and leaves everything else alone; a secret made earlier
    is null then, since it is kept nowhere.
    """

    help = "Creates the demo tenant, or brings its addresses up to date."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--reset-credentials",
            action="store_true",
            help="Replaces the demo's passwords, API key and management token by new ones.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        connection.set_schema_to_public()
        try:
            made = create(reset=options["reset_credentials"])
        except DemoError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(made))


def create(*, reset: bool) -> dict[str, Any]:
    """Everything that the demo consists of. Raises DemoError."""
    operator, operator_password = people.operator(reset=reset)
    owner, password = people.person("admin", reset=reset)
    tenant, created = people.tenant(owner)
    viewer, viewer_password = people.person("viewer", reset=reset)
    membership = people.membership(tenant, owner, Role.OWNER)
    people.membership(tenant, viewer, Role.VIEWER)
    fresh = reset or created
    with tenant:
        catalogue.fill(owner)
        catalogue.follow_sandbox()
        key = catalogue.key() if fresh else None
    made = told.addresses(tenant.domains.get(is_primary=True).domain)
    return made | {
        "created": created,
        "admin": {"username": owner.username, "password": password},
        "operator": {"username": operator.username, "password": operator_password},
        "viewer": {"username": viewer.username, "password": viewer_password},
        "api_key": key,
        "management_token": people.token(membership) if fresh else None,
        "model": catalogue.CHAT_MODEL,
        "paths": told.PATHS,
        "examples": told.examples(made["gateway"], key) if key else [],
    }
