"""Names in Redis or Valkey, and the one way an API key becomes a digest.

Every name starts with ``hubpo:``. Names that a script touches together carry the
tenant in braces, so that in a cluster they share a slot. All snapshots do, since each is
stored together with its entry in the index, and since who follows them then needs one node
only; they are read when something changes, not by calls.
"""

from __future__ import annotations

import secrets
from hashlib import blake2b, sha256

SNAPSHOT_INDEX = "hubpo:{snapshots}"
"""Hash: tenant id -> ``<version>:<hash>`` of the stored blob. A deleted tenant has no field."""

SNAPSHOT_CHANNEL = "hubpo:snapshots:changed"
"""Published after a store, with the tenant id as the message."""

USAGE_STREAM = "hubpo:usage"
"""Stream of usage events; field ``e`` holds one encoded ``UsageEvent``."""

PROVIDER_LIMITS_CHANNEL = "hubpo:provider-limits"
"""Published by a gateway worker: what providers have told it of limits, see ``proxy.ai.news``."""

API_KEY_PREFIX = "hub_"


def snapshot_blob(tenant_id: str) -> str:
    """String: the encoded ``TenantSnapshot``."""
    return f"hubpo:{{snapshots}}:{tenant_id}"


def target_tellers(tenant_id: str) -> str:
    """Set: the gateway workers that have told of the tenant's targets."""
    return f"hubpo:targets:{{{tenant_id}}}"


def target_states(tenant_id: str, worker: str) -> str:
    """String: what a worker has told of them last, see ``contract.target_states``. It expires."""
    return f"hubpo:targets:{{{tenant_id}}}:{worker}"


def limit_counter(tenant_id: str, measure: str, subject: str, span: str) -> str:
    """Hash: what one limit has counted.

    ``measure`` is ``calls``, ``concurrency``, ``tokens`` or ``cost-<currency>``; ``subject``
    names what is counted (``limit_subject``); ``span`` is the window in seconds, ``now`` for
    concurrency, or the name of a calendar period (``contract.periods``).
    """
    return f"hubpo:limit:{{{tenant_id}}}:{measure}:{subject}:{span}"


def limit_held(counter: str) -> str:
    """Hash: what workers hold of a counter for calls under way; see ``contract.counters``."""
    return counter + ":held"


def limits_rebuilt(tenant_id: str) -> str:
    """String: its presence says that the tenant's calendar counters hold what was used.

    Whoever fills a new or emptied Valkey sets it last. Without it the gateway refuses calls
    under calendar limits of tokens and cost.
    """
    return f"hubpo:limit:{{{tenant_id}}}:rebuilt"


def limits_settled(tenant_id: str, worker: str) -> str:
    """String: the number of the last settlement by a gateway worker that was counted."""
    return f"hubpo:limit:{{{tenant_id}}}:settled:{worker}"


def limit_bill(tenant_id: str, bill: str) -> str:
    """Hash: what a batch that is under way counts against limits; see ``proxy.limits.bills``."""
    return f"hubpo:limit:{{{tenant_id}}}:bill:{bill}"


def batch_file(tenant_id: str, file: str, piece: int = 0) -> str:
    """String: a sealed piece of a file of a batch that the gateway keeps, counted from 1, or what
    there is to know of it; it expires."""
    return f"hubpo:batch:{{{tenant_id}}}:file:{file}:{piece}"


def batch_files(tenant_id: str) -> str:
    """Hash: how much room each of the tenant's kept files takes, and until when."""
    return f"hubpo:batch:{{{tenant_id}}}:files"


def response_holder(tenant_id: str, whose: str) -> str:
    """String: which deployment holds a response that its provider keeps; it expires. ``whose`` is
    a digest of the application and the response's id."""
    return f"hubpo:response:{{{tenant_id}}}:{whose}"


def batch_room(number: int) -> str:
    """Hash: how many bytes the kept files of all tenants on a node take that expire by a time.
    The number is one that puts it on that node."""
    return f"hubpo:batch:{{{number}}}:room"


def limit_subject(scope: str, identifier: str = "", route_id: str = "", within: str = "") -> str:
    """``identifier`` is the id of what ``scope`` names, empty for ``tenant``; of a ``user``
    the application's id, a colon and ``user_digest``. ``route_id`` only for a route's own
    limits, which count the calls of that route; ``within`` is ``limit_within`` of the others.
    """
    subject = f"{scope}:{identifier}" if identifier else scope
    if within:
        return f"{subject}:{within}"
    return f"{subject}:route:{route_id}" if route_id else subject


_REACH_BEYOND = {
    "plan": ("application", "key", "user"),
    "api": ("application", "key", "user"),
    "key": ("user",),
}


def limit_within(place: str, identifier: str, scope: str) -> str:
    """``plan:<id>`` and so on where a limit set on a plan, an API or a key (``place``, with its
    ``identifier``) is counted for something that also calls elsewhere: its counter then
    counts the calls of that place alone. Empty for all others.
    """
    return f"{place}:{identifier}" if scope in _REACH_BEYOND.get(place, ()) else ""


def user_digest(user: str) -> str:
    """What stands for an end user in names: 24 characters, whatever the user is called."""
    return blake2b(user.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def new_api_key() -> str:
    """A fresh key of 192 random bits. Shown once by whoever asks for it, then only its digest."""
    return API_KEY_PREFIX + secrets.token_urlsafe(24)


def digest(key: str | bytes) -> bytes:
    """SHA-256 of a key: 32 bytes. Keys are random, so no salt and no stretching is needed."""
    return sha256(key if isinstance(key, bytes) else key.encode()).digest()
