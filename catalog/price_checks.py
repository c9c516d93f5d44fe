"""What a price list must be like before it is saved."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError

from catalog.models.prices import UNITS, PriceColumns

MOST_STEPS = 50
NOT_OF_TOKENS = ("request", "search", "picture", "heard_hour", "characters")
STEPPED = tuple(unit for unit in UNITS if unit not in NOT_OF_TOKENS)
"""What may cost otherwise in long prompts."""
_KIND = re.compile(r"[a-z0-9][a-z0-9:._-]{0,23}")


def check_prices(row: PriceColumns) -> None:
    """Leaves tidy steps. Raises ValidationError by field, with keys like
    ``price_steps[1].above``."""
    currency = row.currency
    if len(currency) != 3 or not (currency.isascii() and currency.isalpha() and currency.isupper()):
        message = "Use the three capital letters of the currency, like USD."
        raise ValidationError({"currency": ValidationError(message, code="invalid")})
    steps = _tidy(row.price_steps, "price_steps", check_step, "unit", "above")
    # The gateway takes the last one that the prompt is long enough for.
    row.price_steps = sorted(steps, key=lambda step: (UNITS.index(step["unit"]), step["above"]))
    row.picture_prices = _tidy(
        row.picture_prices, "picture_prices", check_picture, "quality", "size"
    )


def _tidy(
    given: Any, name: str, check: Callable[[Any], dict[str, Any]], *key: str
) -> list[dict[str, Any]]:
    """Rows of a column, checked one by one. Two of the same ``key`` are said to be at its last
    field."""
    if not isinstance(given, list) or len(given) > MOST_STEPS:
        message = f"Enter a list of at most {MOST_STEPS} prices."
        raise ValidationError({name: ValidationError(message, code="invalid")})
    errors: dict[str, Any] = {}
    tidy: list[dict[str, Any]] = []
    seen = set()
    for position, row in enumerate(given):
        try:
            row = check(row)
        except ValidationError as error:
            for field, problems in error.error_dict.items():
                errors[f"{name}[{position}].{field}"] = problems
            continue
        identity = tuple(row[field] for field in key)
        if identity in seen:
            message = "There is a price for this size already: change that one."
            errors[f"{name}[{position}].{key[-1]}"] = ValidationError(message, code="twice")
        seen.add(identity)
        tidy.append(row)
    if errors:
        raise ValidationError(errors)
    return tidy


def check_step(given: Any) -> dict[str, Any]:
    """Raises ValidationError by field."""
    if not isinstance(given, Mapping) or given.get("unit") not in STEPPED:
        raise _refused("unit", f"Choose what it is the price of: {', '.join(STEPPED)}.")
    above = str(given.get("above", "")).strip()
    if not above.isascii() or not above.isdigit() or not 0 < int(above) < 2**31:
        raise _refused("above", "Enter a number of input tokens, like 200000.")
    return {"unit": given["unit"], "above": int(above), "price": _price(given)}


def check_picture(given: Any) -> dict[str, Any]:
    """Raises ValidationError by field."""
    if not isinstance(given, Mapping):
        raise _refused("size", "Enter a size, like 1024x1536.")
    size = str(given.get("size", "")).strip().lower()
    quality = str(given.get("quality", "")).strip().lower()
    if not _KIND.fullmatch(size):
        message = "Enter a size as the provider names it, like 1024x1536, or auto where none is."
        raise _refused("size", message)
    if quality and not _KIND.fullmatch(quality):
        raise _refused("quality", "Enter a quality, like high, or nothing for any.")
    return {"size": size, "quality": quality, "price": _price(given)}


def _price(given: Mapping[str, Any]) -> str:
    try:
        price = Decimal(str(given.get("price", "")).strip())
    except InvalidOperation:
        raise _refused("price", "Enter a price, like 0.15.") from None
    if not price.is_finite() or not 0 <= price < 10**8 or price != round(price, 6):
        message = "Enter a price from 0, with at most 8 digits before the point and 6 after it."
        raise _refused("price", message)
    return f"{price.normalize():f}"


def _refused(field: str, message: str) -> ValidationError:
    return ValidationError({field: ValidationError(message, code="invalid")})
