"""Policy configurations as the data plane receives them.

A policy is a kind and a config. The kind is the struct's tag; adding one is a struct
here, a file in ``proxy/policies`` and a line in its registry.
"""

from __future__ import annotations

from msgspec import Struct


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


Policy = RateLimit | BodyLimit
