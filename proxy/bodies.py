"""Request bodies that a worker holds whole, because it looks into them.

Mutable state shared between calls. A small body is not counted: the number of calls under way
bounds those. What is large is counted as it comes, until its call is over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from proxy.errors import GatewayOverloaded

if TYPE_CHECKING:
    from proxy.exchange import Exchange

SMALL = 1_048_576
MOST = 268_435_456
"""Bytes, of all calls; those of one tenant may hold half."""


class Bodies:
    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self.held = 0
        """Bytes."""
        self._of: Counter[str] = Counter()
        """By tenant id."""

    def read(self, exchange: Exchange, limit: int) -> Awaitable[bytes]:
        """The whole body, of at most ``limit`` bytes. Raises BodyTooLarge, ClientGone, and
        GatewayOverloaded where too much is held already."""
        if exchange.body_done or (exchange.length is not None and exchange.length <= SMALL):
            return exchange.read_body(limit)
        return self._counted(exchange, limit)

    async def _counted(self, exchange: Exchange, limit: int) -> bytes:
        exchange.limit_body(limit)
        pieces = []
        async for piece in exchange.body():
            self._hold(exchange, len(piece))
            pieces.append(piece)
        return b"".join(pieces)

    def _hold(self, exchange: Exchange, size: int) -> None:
        tenant_id = exchange.tenant.id if exchange.tenant is not None else ""
        if self.held + size > self.most or self._of[tenant_id] + size > self.most // 2:
            raise GatewayOverloaded
        self.held += size
        self._of[tenant_id] += size
        exchange.holds += size

    def release(self, exchange: Exchange) -> None:
        """Its call is over."""
        tenant_id = exchange.tenant.id if exchange.tenant is not None else ""
        self.held -= exchange.holds
        self._of[tenant_id] -= exchange.holds
        if not self._of[tenant_id]:
            del self._of[tenant_id]
        exchange.holds = 0
