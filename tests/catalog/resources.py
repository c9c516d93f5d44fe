"""What the management API has a list of, below ``/api/``."""

from __future__ import annotations

RESOURCES = [
    "upstreams",
    "apis",
    "applications",
    "keys",
    "plans",
    "limits",
    "subscriptions",
    "providers",
    "models",
    "prices",
    "prompts",
    "publications",
]
