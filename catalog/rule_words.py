"""Rules and prices in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from catalog.models import Deployment, RoutingRule
from catalog.models.prices import PRICE_FIELDS, PriceColumns
from catalog.named_applications import told

_LONGEST = 60
"""Characters of an example prompt that are shown."""
_MOST = 4
"""Of values and deployments, so many are named in a sentence."""


def sentence(rule: RoutingRule, applications: Mapping[str, str]) -> str:
    """What the rule does. Asks for its deployments and their providers. ``applications``: names
    by id of those that the rule names."""
    when = ", and ".join(words(rule, applications, _MOST))
    deployments = list(rule.deployments.all())
    named = _some([place(one) for one in deployments], _MOST)
    if rule.target is not None:
        then = f"{rule.target} is asked in its place"
    elif named:
        then = f"only {_joined(named, 'and')} {'is' if len(deployments) == 1 else 'are'} asked"
    else:
        then = "any deployment is asked"
    return f"When {when}: {then}." if when else f"Always: {then}."


def words(rule: RoutingRule, applications: Mapping[str, str], most: int = 0) -> list[str]:
    """Of each of its conditions, with so many of its values, cut short; 0: with all of all."""
    return [_condition(told(one, applications), most) for one in rule.conditions]


def place(deployment: Deployment) -> str:
    return f"{deployment.provider_model} at {deployment.provider}"


def _condition(said: dict[str, Any], most: int) -> str:
    subject, operator, values = said["subject"], said["operator"], said["values"]
    quoted = [_quoted(one, _LONGEST if most else 0) for one in values]
    if most:
        values, quoted = _some(values, most), _some(quoted, most)
    if subject in ("header", "metadata", "application"):
        noun = {"header": "header", "metadata": "metadata", "application": "application"}[subject]
        name = f" {said['name']}" if said.get("name") else ""
        return f"the {noun}{name} {_compared(operator, quoted)}"
    if subject in ("prompt_tokens", "complexity"):
        bound = f"{'at least' if operator == 'at_least' else 'at most'} {int(values[0]):,}"
        if subject == "prompt_tokens":
            return f"the prompt has {bound} token{'' if values[0] == '1' else 's'}"
        return f"the question's complexity is {bound} of 100"
    if subject == "language":
        return f"the question's language {_compared(operator, values)}"
    if subject == "content":
        if operator == "is_not":
            return f"the call has {_joined([f'no {one}' for one in values], 'and')}"
        return f"the call has {_joined(values)}"
    if subject == "similarity":
        examples = _joined(quoted)
        meant = f" in meaning (by {said['embedding_model']})" if "embedding_model" in said else ""
        return f"the question is at least {said.get('least', 50)} % like {examples}{meant}"
    return f"{_joined(['a stream' if one == 'true' else 'no stream' for one in values])} is wanted"


def _compared(operator: str, values: Sequence[str]) -> str:
    if operator == "is_not":
        if len(values) == 1:
            return f"is not {values[0]}"
        return f"is neither {' nor '.join(values)}"
    return f"{'contains' if operator == 'contains' else 'is'} {_joined(values)}"


def _quoted(value: str, longest: int) -> str:
    """``longest``: characters that are shown; 0: all."""
    short = longest and len(value) > longest
    return f"“{value[:longest].rstrip() + '…' if short else value}”"


def _some(words: Sequence[str], most: int) -> list[str]:
    """So many of them, the last of which stands for the others."""
    if len(words) <= most:
        return list(words)
    return [*words[: most - 1], f"{len(words) - most + 1} more"]


def _joined(words: Sequence[str], last: str = "or") -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


_APART = {
    "picture_price": "a picture",
    "heard_hour_price": "an hour of sound",
    "characters_price": "a million characters",
}


def price_words(row: PriceColumns) -> str:
    """Like “0.15 in, 0.6 out, 3 more, USD” or “0.04 a picture, USD”."""
    apart, tokens = apart_words(row), (row.input_price, row.output_price)
    said = [apart] if apart else []
    if not apart or tokens != (None, None):
        said.insert(0, f"{_plain(tokens[0])} in, {_plain(tokens[1])} out")
    told = (*PRICE_FIELDS[:2], *_APART)
    further = sum(getattr(row, name) is not None for name in PRICE_FIELDS if name not in told)
    further += len(row.price_steps)
    if further:
        said.append(f"{further} more")
    return ", ".join([*said, row.currency])


def apart_words(row: PriceColumns) -> str:
    """What is billed otherwise than by the token: “0.04 to 0.25 a picture, 0.36 an hour of
    sound”."""
    said = []
    for name, of in _APART.items():
        prices = [] if (own := getattr(row, name)) is None else [own]
        if name == "picture_price":
            prices += [Decimal(str(one["price"])) for one in row.picture_prices]
        if prices:
            low, high = _plain(min(prices)), _plain(max(prices))
            said.append(f"{low} {of}" if low == high else f"{low} to {high} {of}")
    return ", ".join(said)


def _plain(price: Decimal | None) -> str:
    return "unknown" if price is None else f"{price.normalize():f}"
