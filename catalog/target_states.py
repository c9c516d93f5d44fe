"""How gateway workers see a tenant's targets: what they have told last."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from catalog import store
from contract import keys, target_states
from contract.target_states import WORST_FIRST

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seen:
    """One target in the eyes of one worker."""

    worker: str
    host: str
    state: str


def seen(tenant_id: object) -> dict[str, list[Seen]] | None:
    """By target id, the worst first; None where Valkey cannot be asked.

    A target of which no worker tells anything is not in there: it works as far as they know.
    """
    tellers = keys.target_tellers(str(tenant_id))
    try:
        client = store.client()
        workers = sorted(name.decode() for name in client.smembers(tellers))
        names = [keys.target_states(str(tenant_id), worker) for worker in workers]
        blobs = client.mget(names) if names else []
        gone = [worker for worker, blob in zip(workers, blobs, strict=True) if blob is None]
        if gone:
            client.srem(tellers, *gone)
    except store.StoreError as error:
        logger.warning("What gateways tell of targets cannot be read: %s", error)
        return None
    found: dict[str, list[Seen]] = {}
    for worker, blob in zip(workers, blobs, strict=True):
        if blob is None:
            continue
        told = target_states.decode(blob)
        for target_id, state in told.states.items():
            found.setdefault(target_id, []).append(Seen(worker, told.host, state))
    for states in found.values():
        states.sort(key=lambda one: WORST_FIRST.index(one.state))
    return found
