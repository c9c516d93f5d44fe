"""What is billed otherwise than by the token: pictures made, sound heard, characters spoken.

Money is in millionths of a micro-unit, as in ``proxy.ai.cost``. Of sound that need not be a whole
number, as an hour has 3,600,000 milliseconds: then it is a fraction, and exact all the same.
"""

from __future__ import annotations

from fractions import Fraction

from msgspec.structs import replace

from contract.snapshot import PicturePrice, Prices
from contract.usage import Measured

PICTURE, MILLISECOND, CHARACTER, SEARCH = "picture", "millisecond", "character", "search"
"""Units of ``contract.usage.Measured``."""
AUTO = "auto"
_MILLION = 1_000_000
_HOUR = 3_600_000


def kind(size: object, quality: object) -> str:
    """Of a picture, as far as each is a text."""
    said = [part.strip().lower() if type(part) is str else "" for part in (size, quality)]
    return "/".join(part[:24] or AUTO for part in said)


def billed(prices: Prices, measured: Measured) -> bool:
    """Whether it is billed so, by this list."""
    if measured.unit == PICTURE:
        return prices.picture is not None or bool(prices.pictures)
    if measured.unit == MILLISECOND:
        return prices.heard_hour is not None
    return measured.unit == CHARACTER and prices.characters is not None


def cost(prices: Prices, measured: Measured) -> int | Fraction | None:
    """Of what is ``billed`` so. None where the count or the price is unknown."""
    price, per = _price(prices, measured)
    if price is None or measured.count is None:
        return None
    total = Fraction(price * _MILLION * measured.count, per)
    return total.numerator if total.denominator == 1 else total


def at_most(prices: Prices, measured: Measured) -> Measured:
    """The same, as a picture of the dearest kind where its own is not told or has no price."""
    if measured.unit != PICTURE or not prices.pictures:
        return measured
    if AUTO not in measured.kind.split("/") and _price(prices, measured)[0] is not None:
        return measured
    dearest = max(prices.pictures, key=_dear)
    if prices.picture is not None and prices.picture > dearest.price:
        return replace(measured, kind="")
    return replace(measured, kind=f"{dearest.size}/{dearest.quality}")


def _dear(one: PicturePrice) -> int:
    return one.price


def _price(prices: Prices, measured: Measured) -> tuple[int | None, int]:
    """And how many of the unit it is the price of."""
    if measured.unit == MILLISECOND:
        return prices.heard_hour, _HOUR
    if measured.unit == CHARACTER:
        return prices.characters, _MILLION
    size, _, quality = measured.kind.partition("/")
    own = {one.quality: one.price for one in prices.pictures if one.size == size}
    return own.get(quality, own.get("", prices.picture)), 1
