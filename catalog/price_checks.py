"""What a price list must be like before it is saved."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError

from catalog.models.prices import UNITS, PriceColumns

MOST_STEPS = 50
STEPPED = tuple(unit for unit in UNITS if unit not in ("request", "search"))
"""What may cost otherwise in long prompts."""


def check_prices(row: PriceColumns) -> None:
    """Leaves tidy steps. Raises ValidationError by field, with keys like
    ``price_steps[1].above``."""
    currency = row.currency
    if len(currency) != 3 or not (currency.isascii() and currency.isalpha() and currency.isupper()):
        message = "Use the three capital letters of the currency, like USD."
        raise ValidationError({"currency": ValidationError(message, code="invalid")})
    check_steps(row)


def check_steps(row: PriceColumns) -> None:
    given, tidy = row.price_steps, []
    if not isinstance(given, list) or len(given) > MOST_STEPS:
        message = f"Enter a list of at most {MOST_STEPS} prices."
        raise ValidationError({"price_steps": ValidationError(message, code="invalid")})
    errors: dict[str, Any] = {}
    seen = set()
    for position, step in enumerate(given):
        try:
            step = check_step(step)
        except ValidationError as error:
            for field, problems in error.error_dict.items():
                errors[f"price_steps[{position}].{field}"] = problems
            continue
        if (step["unit"], step["above"]) in seen:
            message = "There is a price for this size already: change that one."
            errors[f"price_steps[{position}].above"] = ValidationError(message, code="twice")
        seen.add((step["unit"], step["above"]))
        tidy.append(step)
    if errors:
        raise ValidationError(errors)
    # The gateway takes the last one that the prompt is long enough for.
    row.price_steps = sorted(tidy, key=lambda step: (UNITS.index(step["unit"]), step["above"]))


def check_step(given: Any) -> dict[str, Any]:
    """Raises ValidationError by field."""
    if not isinstance(given, Mapping) or given.get("unit") not in STEPPED:
        raise _refused("unit", f"Choose what it is the price of: {', '.join(STEPPED)}.")
    above = str(given.get("above", "")).strip()
    if not above.isascii() or not above.isdigit() or not 0 < int(above) < 2**31:
        raise _refused("above", "Enter a number of input tokens, like 200000.")
    try:
        price = Decimal(str(given.get("price", "")).strip())
    except InvalidOperation:
        raise _refused("price", "Enter a price, like 0.15.") from None
    if not price.is_finite() or not 0 <= price < 10**8 or price != round(price, 6):
        message = "Enter a price from 0, with at most 8 digits before the point and 6 after it."
        raise _refused("price", message)
    return {"unit": given["unit"], "above": int(above), "price": f"{price.normalize():f}"}


def _refused(field: str, message: str) -> ValidationError:
    return ValidationError({field: ValidationError(message, code="invalid")})
