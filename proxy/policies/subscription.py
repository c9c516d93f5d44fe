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
    from proxy.exchange import Exchange
    from proxy.runtime import ApiRuntime, SubscriptionRuntime, TenantRuntime

_REFUSALS: dict[str, type[Forbidden]] = {
    "pending": SubscriptionPending,
    "rejected": SubscriptionRejected,
    "revoked": SubscriptionRevoked,
}


def require(exchange: Exchange, tenant: TenantRuntime, api: ApiRuntime) -> SubscriptionRuntime:
    """The approved subscription of the exchange's application to ``api``. Raises Forbidden."""
    application = exchange.application
    found = tenant.subscriptions.get((application.id, api.id)) if application else None
    if found is None:
        raise SubscriptionMissing
    if found.status != "approved":
        raise _REFUSALS[found.status]
    return found
