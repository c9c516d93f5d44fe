"""Policy configurations as the data plane receives them.

A policy is a kind and a config. The kind is the struct's tag; adding one is a struct
here, a file in ``proxy/policies`` and a line in its registry.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Measure = Literal["calls", "concurrency", "tokens", "cost"]
Scope = Literal["tenant", "api", "plan", "subscription", "application", "key", "user"]


class Limit(Struct, frozen=True, gc=False, tag="limit"):
    """At most ``amount`` of ``measure`` over all workers and nodes, for each ``scope``.

    ``measure``:

    - ``calls``: calls let through
    - ``concurrency``: calls in flight at once (neither ``window`` nor ``period``)
    - ``tokens``: input and output tokens together
    - ``cost``: micro-units of ``currency``

    Tokens and cost are reserved from an estimate before the call and settled to what the
    provider reports after it.

    Counted in any ``window`` seconds, sliding, or, where ``period`` is set, in the calendar
    day or month of the tenant's time zone. Whatever calls share ``scope`` share one
    counter: all of the tenant's, of one API, of one plan, of one subscription (one
    application's use of one API), of one application, of one key, or of one end user of
    one application (whom the API's ``user_from`` names). See ``keys.limit_within`` for the
    exceptions.

    ``exact`` asks Valkey for every call; ``leased`` lets each worker draw shares ahead, which
    costs less. Neither lets through more than ``amount``, but for what a worker that is
    killed has used of its shares since its last report: a quarter of a second's use, and
    at most a twentieth of ``amount``. While units lie idle in one worker's share, for up to
    a second, another worker may refuse calls.

    ``then``: what becomes of a call that a limit on cost does not let through. ``cheaper``: it is
    made to the model ``fallback`` in place of the one it names, under all limits but those that
    say the same; what it costs is not counted against these.
    """

    measure: Measure
    amount: int
    window: int = 60
    period: Literal["", "day", "month"] = ""
    scope: Scope = "subscription"
    mode: Literal["exact", "leased"] = "exact"
    currency: str = "USD"
    then: Literal["refuse", "cheaper"] = "refuse"
    fallback: str = ""


class BodyLimit(Struct, frozen=True, gc=False, tag="body_limit"):
    """Refuses request bodies of more than ``max_bytes`` with 413, before and while reading."""

    max_bytes: int


Policy = BodyLimit | Limit
