"""What a deployment costs: the columns of a price list, and lists that come later."""

from __future__ import annotations

from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from catalog.models.base import Row


def _price(label: str, **options: Any) -> models.DecimalField:
    return models.DecimalField(
        label,
        max_digits=14,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        **options,
    )


class PriceColumns(models.Model):
    """Per million tokens, but for calls and searches and what has a price by the piece, the hour or
    the character. Only ``input_price`` and ``output_price`` can be unknown: where another one of
    tokens is empty, those cost what all input, or output, does.
    """

    input_price = _price(
        "input, per million tokens",
        help_text="Empty: unknown, and calls that are billed by it are recorded without a cost.",
    )
    output_price = _price("output, per million tokens")
    cached_price = _price("input read from a cache")
    cache_write_price = _price("input written to a cache")
    cache_write_1h_price = _price("input written to a cache for an hour")
    reasoning_price = _price("thinking, where it is not output")
    input_audio_price = _price("sound heard")
    cached_audio_price = _price("sound read from a cache")
    output_audio_price = _price("sound made")
    input_image_price = _price("pictures seen")
    output_image_price = _price("pictures made")
    request_price = _price("a thousand calls")
    search_price = _price(
        "a thousand searches",
        help_text="On the web, or by a reranker, as its provider counts them.",
    )
    picture_price = _price(
        "a picture made", help_text="Of every kind that has no price of its own below."
    )
    picture_prices = models.JSONField(
        "pictures by size and quality",
        default=list,
        blank=True,
        help_text="Each with `size`, `quality` (empty: any) and the `price` of one picture.",
    )
    heard_hour_price = _price(
        "an hour of sound transcribed", help_text="0.006 a minute is 0.36 an hour."
    )
    characters_price = _price("a million characters spoken")
    price_steps = models.JSONField(
        "prices of long prompts",
        default=list,
        blank=True,
        help_text="Each with `unit` (input, output, cached …), `above` (input tokens) and `price`.",
    )
    batch_percent = models.PositiveSmallIntegerField(
        "percent of these prices in batches",
        null=True,
        blank=True,
        validators=[MaxValueValidator(100)],
        help_text="Like 50. Empty: unknown, and batches are recorded without a cost.",
    )
    currency = models.CharField(max_length=3, default="USD")

    class Meta:
        abstract = True


PRICE_FIELDS = (
    "input_price",
    "output_price",
    "cached_price",
    "cache_write_price",
    "cache_write_1h_price",
    "reasoning_price",
    "input_audio_price",
    "cached_audio_price",
    "output_audio_price",
    "input_image_price",
    "output_image_price",
    "request_price",
    "search_price",
    "picture_price",
    "heard_hour_price",
    "characters_price",
)
UNITS = tuple(name.removesuffix("_price") for name in PRICE_FIELDS)
"""As ``contract.snapshot.Prices`` names them."""


class PriceChange(Row, PriceColumns):
    """A deployment's prices from a moment on: calls before it keep theirs."""

    deployment = models.ForeignKey(
        "catalog.Deployment", on_delete=models.CASCADE, related_name="price_changes"
    )
    since = models.DateTimeField()

    class Meta:
        ordering = ["since"]
        constraints = [
            models.UniqueConstraint(
                fields=["deployment", "since"], name="one_price_change_at_a_time"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.deployment} from {self.since:%Y-%m-%d}"
