"""Where a set of policies applies: the ids that a policy may count or decide by."""

from __future__ import annotations

from msgspec import Struct


class Place(Struct, frozen=True, gc=False):
    """Ids are empty where there is none. ``ai``: its calls use tokens, which cost money."""

    tenant_id: str
    api_id: str
    route_id: str = ""
    application_id: str = ""
    subscription_id: str = ""
    plan_id: str = ""
    key_id: str = ""
    """Only for the policies of a key."""
    time_zone: str = "UTC"
    user_from: str = ""
    ai: bool = False
