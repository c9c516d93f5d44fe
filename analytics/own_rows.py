"""Querysets for pages: a tenant's rows, read where PostgreSQL shows no others.

Pages mix what they read of usage with people, sessions and the catalogue, which the role of
``analytics.access`` may not see. So each query enters and leaves it by itself.
"""

from __future__ import annotations

from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet

from analytics.access import tenant_session

M = TypeVar("M", bound=Model)


class OwnRows(QuerySet[M]):
    """Reads as the tenant; writes, such as ``update``, are the platform's own."""

    tenant_id: UUID

    def _clone(self) -> OwnRows[M]:
        clone = super()._clone()
        clone.tenant_id = self.tenant_id
        return clone

    def _fetch_all(self) -> None:
        with tenant_session(self.tenant_id):
            super()._fetch_all()

    def count(self) -> int:
        with tenant_session(self.tenant_id):
            return super().count()

    def exists(self) -> bool:
        with tenant_session(self.tenant_id):
            return super().exists()

    def aggregate(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        with tenant_session(self.tenant_id):
            return super().aggregate(*args, **kwargs)


def own_rows(model: type[M], tenant_id: UUID) -> OwnRows[M]:
    """The tenant's rows of a model that has a ``tenant_id``."""
    rows: OwnRows[M] = OwnRows(model)
    rows.tenant_id = tenant_id
    return rows.filter(tenant_id=tenant_id)
