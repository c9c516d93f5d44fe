"""What `make bench-limits` checks is a call as limits see it."""

from __future__ import annotations

from typing import Any

import pytest

from bench import limits


@pytest.mark.parametrize("case", limits.CASES)
async def test_a_call_passes_each_case(case: str, proxy_valkey: Any) -> None:
    gateway = limits.Gateway(proxy_valkey.url)
    await gateway.limiter.start()
    assert await limits.check(limits.step_of(*limits.CASES[case]), gateway)
    await gateway.limiter.close()
