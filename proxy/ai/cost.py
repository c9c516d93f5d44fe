"""What a call costs, in whole micro-units of a currency (0.000001 of it).

Integers only: prices are micro-units per million tokens, so tokens times price is the exact cost
in millionths of a micro-unit. That sum is rounded once, half to even, so that rounding favours
nobody over many calls.

Tokens of a kind with a price of its own (read from a cache, written to one, sound, pictures,
thoughts) are taken out of the sum they are part of, and all others cost what that sum's tokens do.
Tokens that are counted as both read from a cache and written to one are paid as both, as OpenRouter
bills them. Searches come with a call that has a price; elsewhere they need one of their own.
What is billed otherwise than by the token is in ``proxy.ai.apart``.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from contract.snapshot import Prices
from proxy.ai import apart
from proxy.ai.middle import Usage

Exact = int | Fraction

_MILLION = 1_000_000
_THOUSAND = 1_000


def cost_micros(prices: Prices, usage: Usage) -> int | None:
    """None where a price or a count is unknown; no tokens cost nothing at any price."""
    millionths = exact(prices, usage)
    return None if millionths is None else rounded(millionths)


def sum_micros(*parts: tuple[Prices, Usage]) -> int | None:
    """Of all together, rounded once; None where one is unknown, or their currencies differ."""
    costs = [exact(prices, usage) for prices, usage in parts]
    known = [one for one in costs if one is not None]
    if len(known) < len(costs) or len({prices.currency for prices, _ in parts}) > 1:
        return None
    return rounded(sum(known))


def batch_micros(prices: Prices, millionths: Exact | None) -> int | None:
    """What calls that cost so much (``exact``, and summed up) cost in a batch; None where that is
    unknown."""
    if millionths is None or prices.batch_percent is None:
        return None
    return rounded(millionths * prices.batch_percent, 100 * _MILLION)


def rounded(value: Exact, unit: int = _MILLION) -> int:
    """How many units; half to even."""
    whole = value // unit
    rest = value - whole * unit
    up = 2 * rest > unit or (2 * rest == unit and whole % 2 == 1)
    return whole + up


def saved_micros(
    compared: Iterable[Prices], usage: Usage, currency: str, cost: int | None
) -> int | None:
    """How much more the same usage costs at the dearest of these prices than it did; less than 0
    where it did not save. None where nothing can be compared: another currency, an unknown price.
    """
    costs = [cost_micros(prices, usage) for prices in compared if prices.currency == currency]
    known = [one for one in costs if one is not None]
    return max(known) - cost if known and cost is not None else None


def exact(prices: Prices, usage: Usage) -> Exact | None:
    """As ``cost_micros``, in millionths of a micro-unit and not rounded."""
    if usage.measured is not None and apart.billed(prices, usage.measured):
        return _apart(prices, usage)
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    went_in = _input(prices, usage, usage.input_tokens)
    came_out = _output(prices, usage, usage.output_tokens)
    if went_in is None or came_out is None:
        return None
    total = went_in + came_out
    if prices.request is not None:
        total += prices.request * _THOUSAND
    if usage.searches:
        if prices.search is None:
            return None if prices.request is None else total
        total += prices.search * _THOUSAND * usage.searches
    return total


def _apart(prices: Prices, usage: Usage) -> Exact | None:
    """Of a call that is not billed by the token, or not only: its tokens cost what has a price."""
    total = apart.cost(prices, usage.measured) if usage.measured is not None else None
    if total is None:
        return None
    came_in, came_out = usage.input_tokens, usage.output_tokens
    for price, tokens, paid in (
        (prices.input, came_in, _input),
        (prices.output, came_out, _output),
    ):
        if tokens is None:
            if price:
                return None
        elif price is not None:
            part = paid(prices, usage, tokens)
            if part is None:
                return None
            total += part
    return total + (prices.request or 0) * _THOUSAND


def _input(prices: Prices, usage: Usage, tokens: int) -> int | None:
    left, total = tokens, 0
    cached, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
    if not (cached or written or usage.input_audio_tokens or usage.input_image_tokens):
        return _rest(prices, "input", tokens, left, total)
    cached_audio = min(usage.cached_audio_tokens or 0, cached)
    hour = min(usage.cache_write_1h_tokens or 0, written)
    audio = (usage.input_audio_tokens or 0) - cached_audio
    if prices.cached_audio is None:
        cached_audio = 0
    if prices.cache_write_1h is None:
        hour = 0
    for unit, count in (
        ("cached_audio", cached_audio),
        ("cached", cached - cached_audio),
        ("cache_write_1h", hour),
        ("cache_write", written - hour),
        ("input_audio", audio),
        ("input_image", usage.input_image_tokens or 0),
    ):
        price = _price(prices, unit, tokens) if count > 0 else None
        if price is not None:
            left -= count
            total += price * count
    if cached + written > tokens and prices.cached is not None and prices.cache_write is not None:
        left += min(cached, written)
    return _rest(prices, "input", tokens, left, total)


def _output(prices: Prices, usage: Usage, tokens: int) -> int | None:
    left, total = tokens, 0
    if not (usage.reasoning_tokens or usage.output_audio_tokens or usage.output_image_tokens):
        return _rest(prices, "output", usage.input_tokens or 0, left, total)
    for unit, count in (
        ("reasoning", usage.reasoning_tokens or 0),
        ("output_audio", usage.output_audio_tokens or 0),
        ("output_image", usage.output_image_tokens or 0),
    ):
        price = _price(prices, unit, usage.input_tokens or 0) if count > 0 else None
        if price is not None:
            left -= count
            total += price * count
    return _rest(prices, "output", usage.input_tokens or 0, left, total)


def _rest(prices: Prices, unit: str, size: int, left: int, total: int) -> int | None:
    """With the tokens that have no price of their own. More of a kind than there are in all is a
    provider's slip, and not paid twice."""
    if left <= 0:
        return total
    price = _price(prices, unit, size)
    return None if price is None else total + price * left


def _price(prices: Prices, unit: str, size: int) -> int | None:
    """That of a call with ``size`` input tokens."""
    price: int | None = getattr(prices, unit)
    for step in prices.steps:
        if step.unit == unit and size > step.above:
            price = step.price
    return price
