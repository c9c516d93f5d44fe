"""Where a set of policies applies: the ids that a policy may count or decide by."""

from __future__ import annotations

from msgspec import Struct


class Place(Struct, frozen=True):
    """``route_id``, ``application_id`` and ``subscription_id`` are empty where there is none."""

    tenant_id: str
    api_id: str
    route_id: str = ""
    application_id: str = ""
    subscription_id: str = ""
