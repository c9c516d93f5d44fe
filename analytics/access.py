"""Reading usage for a tenant: under a role that sees that tenant's rows and no others.

This is the second lock; the first is that every query names its tenant. It holds for
queries that are wrong, not for SQL that an attacker writes: whoever may run any statement
can also run ``RESET ROLE``, since the session still belongs to the platform's own user.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.db import connection, transaction

from analytics.row_security import ROLE


class OtherTenant(RuntimeError):
    """A session for one tenant was asked for inside that of another."""


@contextmanager
def tenant_session(tenant_id: UUID | str) -> Iterator[None]:
    """A transaction in which PostgreSQL shows the usage of ``tenant_id`` alone, to be read.

    The tenant's catalogue cannot be read inside it; fetch names before or after. Afterwards
    the role is what it was, also inside an outer transaction. May be nested for the same
    tenant. Raises OtherTenant inside another tenant's session, ValueError for what is no UUID.
    """
    wanted = str(UUID(str(tenant_id)))
    current = getattr(connection, "_usage_tenant", None)
    if current is not None:
        if current != wanted:
            raise OtherTenant(f"This session is that of tenant {current}.")
        yield
        return
    with transaction.atomic():
        _become(ROLE, wanted)
        connection._usage_tenant = wanted
        try:
            yield
        finally:
            connection._usage_tenant = None
        # Not after an exception: what was set locally is then rolled back with the rest.
        _become("NONE", "")


def _become(role: str, tenant: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {role}")
        cursor.execute("SELECT set_config('hubpo.tenant', %s, true)", [tenant])
