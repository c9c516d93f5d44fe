"""Names in Redis or Valkey, and the one way an API key becomes a digest.

Every name starts with ``hubpo:``. Names that a script touches together carry the
tenant in braces, so that in a cluster they share a slot.
"""

from __future__ import annotations

import secrets
from hashlib import sha256

SNAPSHOT_INDEX = "hubpo:snapshots"
"""Hash: tenant id -> ``<version>:<hash>`` of the stored blob. A deleted tenant has no field."""

SNAPSHOT_CHANNEL = "hubpo:snapshots:changed"
"""Published after a store, with the tenant id as the message."""

USAGE_STREAM = "hubpo:usage"
"""Stream of usage events; field ``e`` holds one encoded ``UsageEvent``."""

API_KEY_PREFIX = "hub_"


def snapshot_blob(tenant_id: str) -> str:
    """String: the encoded ``TenantSnapshot``."""
    return f"hubpo:snapshot:{tenant_id}"


def limit_counter(tenant_id: str, subject: str, window: int) -> str:
    """Counter of one limit: ``subject`` names what is counted, ``window`` is in seconds."""
    return f"hubpo:limit:{{{tenant_id}}}:{subject}:{window}"


def new_api_key() -> str:
    """A fresh key of 192 random bits. Shown once by whoever asks for it, then only its digest."""
    return API_KEY_PREFIX + secrets.token_urlsafe(24)


def digest(key: str | bytes) -> bytes:
    """SHA-256 of a key: 32 bytes. Keys are random, so no salt and no stretching is needed."""
    return sha256(key if isinstance(key, bytes) else key.encode()).digest()
