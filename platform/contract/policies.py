"""Policy configurations as the data plane receives them.

A policy is a kind and a config. The kind is the struct's tag; adding one is a struct
here, a file in ``proxy/policies`` and a line in its registry.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Measure = Literal["calls", "concurrency", "tokens", "cost"]
Scope = Literal["tenant", "api", "plan", "subscription", "application", "key", "user"]


class Limit(Struct, frozen=True, tag="limit"):
    """At most ``amount`` of ``measure`` over all workers and nodes, for each ``scope``.

    ``measure``:

    - ``calls``: calls let through
    - ``concurrency``: calls in flight at once (neither ``window`` nor ``period``)
    - ``tokens``: input and output tokens together
    - ``cost``: micro-units of ``currency``

    Counted in any ``window`` seconds, sliding, or, where ``period`` is set, in the calendar
    day or month of the tenant's time zone. Whatever calls share ``scope`` share one
    counter: all of the tenant's, of one API, of one plan, of one subscription (one
    application's use of one API), of one application, of one key, or of one end user (whom
    the API's ``user_from`` names).

    ``exact`` asks for every call; ``leased`` lets each worker draw shares ahead, which
    costs less and may let through more, up to a stated bound.
    """

    measure: Measure
    amount: int
    window: int = 60
    period: Literal["", "day", "month"] = ""
    scope: Scope = "subscription"
    mode: Literal["exact", "leased"] = "exact"
    currency: str = "USD"


class RateLimit(Struct, frozen=True, tag="rate_limit"):
    """At most ``limit`` calls in any ``window`` seconds, counted over all workers and nodes.

    The window slides; whatever calls share ``scope`` share one counter:

    - ``subscription``: one application's use of one API under its plan
    - ``application``: all of one application's calls
    - ``api``: all calls to one API
    - ``tenant``: all calls of the tenant
    """

    limit: int
    window: int
    scope: str = "subscription"


class BodyLimit(Struct, frozen=True, tag="body_limit"):
    """Refuses request bodies of more than ``max_bytes`` with 413, before and while reading."""

    max_bytes: int


Policy = RateLimit | BodyLimit | Limit
