"""A tenant's schema in PostgreSQL: create, migrate, drop."""

from __future__ import annotations

from collections.abc import Callable

from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django_tenants.utils import quote_schema_name

Report = Callable[[int, int, str], None]
"""Called with migrations applied, migrations in all, and the one that comes next."""


def create(schema_name: str) -> None:
    """Makes the empty schema unless it is there."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {quote_schema_name(schema_name)}")


def migrate(schema_name: str, report: Report) -> None:
    """Applies what is missing, and tells ``report`` before each migration.

    Each migration is a transaction of its own, so whatever stopped one run, the next
    goes on after the last that was applied. The connection comes back to its schema.
    """
    before = connection.tenant
    try:
        # Without public on the path, or the migrations recorded there would count as ours.
        connection.set_schema(schema_name, include_public=False)
        MigrationRecorder(connection).ensure_schema()
        connection.set_schema(schema_name)
        executor = MigrationExecutor(connection)
        targets = executor.loader.graph.leaf_nodes()
        plan = executor.migration_plan(targets)
        done = 0

        def progress(action: str, migration: object = None, fake: bool = False) -> None:
            nonlocal done
            if action == "apply_start":
                report(done, len(plan), str(migration))
            elif action == "apply_success":
                done += 1

        executor.progress_callback = progress
        executor.migrate(targets, plan)
    finally:
        connection.set_tenant(before)


def drop(schema_name: str) -> None:
    """Drops the schema with all that is in it. Waits at most ten seconds for its locks."""
    if schema_name == "public":
        raise ValueError("The platform's own schema is never dropped.")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '10s'")
        cursor.execute(f"DROP SCHEMA IF EXISTS {quote_schema_name(schema_name)} CASCADE")
