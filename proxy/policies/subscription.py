"""Subscription: the application may use the API only under an approved one.

Not a configured kind: every API that needs a key needs this, and it goes before all
configured policies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.errors import (
    Forbidden,
    SubscriptionMissing,
    SubscriptionPending,
    SubscriptionRejected,
    SubscriptionRevoked,
)

if TYPE_CHECKING:
    from proxy.runtime import ApiRuntime, Caller, SubscriptionRuntime

_REFUSALS: dict[str, type[Forbidden]] = {
    "pending": SubscriptionPending,
    "rejected": SubscriptionRejected,
    "revoked": SubscriptionRevoked,
}


def require(caller: Caller | None, api: ApiRuntime) -> SubscriptionRuntime:
    """The approved subscription of the caller's application to ``api``. Raises Forbidden."""
    found = caller.uses.get(api.id) if caller is not None else None
    if found is None:
        raise SubscriptionMissing
    if found.status != "approved":
        raise _REFUSALS[found.status]
    return found
