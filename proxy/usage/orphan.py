"""What a worker that is gone has left: its events, and the calls that were lost with it."""

from __future__ import annotations

import logging

import msgspec

from contract.usage import UsageEvent, decode, encode
from proxy.errors import GatewayLost
from proxy.usage.segment import HEADER, SUFFIX, Segment
from proxy.usage.slots import Slots

logger = logging.getLogger(__name__)

_encode = msgspec.msgpack.Encoder().encode


class Orphan:
    """The files of a worker that is gone.

    ``segments`` in their order; ``lost`` are the calls that it took upstream and never
    recorded, as events.
    """

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        numbered = []
        for path in slots.path.parent.glob(f"{slots.path.stem}-*{SUFFIX}"):
            if path.stat().st_size < HEADER:
                path.unlink()  # Its worker died while it was made.
                continue
            segment = Segment(path)
            numbered.append((segment.number, path, segment))
            segment.rest()
        self.segments = [segment for _, _, segment in sorted(numbered)]
        events = [event for known in slots.taken() if (event := _lost(known)) is not None]
        # It may have died after a record was written and before the slot was free.
        last = self.segments[-1].written() if events and self.segments else b""
        self.lost = [encode(event) for event in events if _encode(event.id) not in last]

    def delete(self) -> None:
        """Once all of it is shipped. The slots go last: they hold the lock."""
        for segment in self.segments:
            segment.delete()
        self._slots.path.unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        for segment in self.segments:
            segment.rest()
        self._slots.close()


def _lost(known: bytes) -> UsageEvent | None:
    """None where it is no event. How often it was sent nobody knows."""
    try:
        event = decode(known)
    except msgspec.DecodeError:
        logger.error("A call was lost of which nothing can be read.")
        return None
    return msgspec.structs.replace(
        event, status=GatewayLost.status, error_code=GatewayLost.code, attempts=None
    )
