"""What the sidebar tells about the catalogue."""

from __future__ import annotations

from typing import Any

from catalog.models import Subscription

CAP = 100
"""Beyond this the badge says so instead of counting on."""


def pending() -> dict[str, Any]:
    """A badge with how many subscriptions wait for a decision; none where none does."""
    count = Subscription.objects.filter(status="pending")[:CAP].count()
    if not count:
        return {}
    return {"badge": f"{CAP - 1}+" if count == CAP else str(count), "badge_variant": "warning"}
