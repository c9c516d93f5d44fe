"""What a call costs, in whole micro-units of a currency (0.000001 of it).

Integers only: prices are micro-units per million tokens, so tokens times price is the
exact cost in millionths of a micro-unit. That sum is rounded once, half to even, so that
rounding favours nobody over many calls. Cached input tokens are priced as input.
"""

from __future__ import annotations

from contract.snapshot import Prices

_MILLION = 1_000_000


def cost_micros(prices: Prices, input_tokens: int | None, output_tokens: int | None) -> int | None:
    """None where a price or a count is unknown; no tokens cost nothing at any price."""
    parts = (_part(input_tokens, prices.input), _part(output_tokens, prices.output))
    if parts[0] is None or parts[1] is None:
        return None
    whole, rest = divmod(parts[0] + parts[1], _MILLION)
    up = 2 * rest > _MILLION or (2 * rest == _MILLION and whole % 2 == 1)
    return whole + up


def _part(tokens: int | None, price: int | None) -> int | None:
    if tokens == 0:
        return 0
    return None if tokens is None or price is None else tokens * price
