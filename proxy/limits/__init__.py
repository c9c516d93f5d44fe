"""Limits that hold over all workers and nodes.

Mutable state shared between calls. The counters themselves live in Valkey, which also decides:

- ``items``: what a call must pass, and which counters that means now
- ``batch``: gathers the checks of a turn of the event loop into one script call
- ``held``, ``ledger``: units reserved for calls under way, and their settlement
- ``shares``: leased limits
- ``bills``: what batches may use, which is known long after their calls are over
- ``link``: the connection, and the breaker on it
- ``shard`` puts these together for one Valkey; ``limiter`` is what others use, ``spread``
  the same for a cluster
- ``*.lua``: what Valkey does

All limits of a call are taken together, over all measures: a call that one refuses uses up
none. A sliding counter never grants more than its amount in any window. It keeps 60 slots a
window, by Valkey's own clock, so a used unit comes free up to 1/60 window late and never
early. Where that clock jumps backwards, what was used counts for a window more. The clocks of
gateways do not matter.

Where Valkey is gone or slow, calls pass uncounted, except under limits of tokens and cost,
which refuse them.
"""

from __future__ import annotations

from contract.servers import is_cluster
from proxy.limits.held import Held
from proxy.limits.items import NEVER, UNKNOWN, Item, Limits, Verdict
from proxy.limits.limiter import Limiter
from proxy.limits.spread import SpreadLimiter

AnyLimiter = Limiter | SpreadLimiter

__all__ = [
    "NEVER",
    "UNKNOWN",
    "AnyLimiter",
    "Held",
    "Item",
    "Limiter",
    "Limits",
    "SpreadLimiter",
    "Verdict",
    "make_limiter",
]


def make_limiter(url: str) -> AnyLimiter:
    """For a single server or a cluster; see ``contract.servers``. Raises AddressError."""
    return SpreadLimiter(url) if is_cluster(url) else Limiter(url)
