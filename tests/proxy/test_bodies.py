"""Large bodies that are held whole are bounded, for all calls of a worker and for each tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.bodies import SMALL, Bodies
from proxy.errors import BodyTooLarge, GatewayOverloaded

PIECE = b"x" * SMALL


class Asked:
    """An exchange, as far as its body goes; ``length`` None: it comes in chunks."""

    body_done = False

    def __init__(self, tenant: str, pieces: int, *, declared: bool = True) -> None:
        self.tenant: Any = SimpleNamespace(id=tenant)
        self.pieces = pieces
        self.length = pieces * SMALL if declared else None
        self.holds = 0
        self.limit = 0

    def limit_body(self, limit: int) -> None:
        if self.length is not None and self.length > limit:
            raise BodyTooLarge(limit)

    async def body(self) -> AsyncIterator[bytes]:
        for _ in range(self.pieces):
            yield PIECE

    async def read_body(self, limit: int) -> bytes:
        return PIECE * self.pieces


async def read(bodies: Bodies, asked: Any) -> int:
    return len(await bodies.read(asked, 100 * SMALL))


@pytest.mark.parametrize("declared", [True, False])
async def test_one_tenant_holds_half_and_the_other_half_is_for_others(declared: bool) -> None:
    bodies = Bodies(8 * SMALL)
    first = Asked("a", 3, declared=declared)
    assert await read(bodies, first) == 3 * SMALL
    second = Asked("a", 2, declared=declared)
    with pytest.raises(GatewayOverloaded):
        await read(bodies, second)
    other = Asked("b", 3, declared=declared)
    assert await read(bodies, other) == 3 * SMALL
    with pytest.raises(GatewayOverloaded):
        await read(bodies, Asked("c", 2, declared=declared))
    for asked in (first, second, other):
        bodies.release(asked)
    assert bodies.held == SMALL, "of c's, which is not over"


async def test_what_is_small_is_not_counted() -> None:
    bodies = Bodies(SMALL)
    for _ in range(5):
        assert await read(bodies, Asked("a", 1)) == SMALL
    assert bodies.held == 0


async def test_what_is_too_large_for_the_api_is_refused_as_such() -> None:
    with pytest.raises(BodyTooLarge):
        await read(Bodies(), Asked("a", 101))
