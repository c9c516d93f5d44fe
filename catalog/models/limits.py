"""How much may be used: limits on calls, tokens and money, at every level."""

from __future__ import annotations

from decimal import Decimal

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q

from catalog.models.access import ApiKey, Application, Plan
from catalog.models.apis import Api
from catalog.models.base import Row
from catalog.validators import validate_currency

PLACES = ("plan", "application", "key", "api")
"""What a limit may be set on; one that is set on none of them is the tenant's."""

_ONE_PLACE = [Q(**{f"{name}__isnull": True for name in PLACES if name != one}) for one in PLACES]


class Limit(Row):
    """At most ``amount`` of ``measure`` in any ``window``, for each ``per``.

    ``amount`` is a whole number, or for a cost so much of ``currency``, exact to the
    micro-unit. It holds for the calls of what the limit is set on: ``plan``, ``application``,
    ``key`` or ``api``, or all of the tenant's where these are empty. ``per`` says which of
    those calls share one counter.
    """

    class Measure(models.TextChoices):
        CALLS = "calls", "Calls"
        CONCURRENCY = "concurrency", "Calls at once"
        TOKENS = "tokens", "Tokens"
        COST = "cost", "Cost"

    class Window(models.TextChoices):
        SECOND = "second", "second"
        MINUTE = "minute", "minute"
        HOUR = "hour", "hour"
        DAY = "day", "24 hours"
        CALENDAR_DAY = "calendar_day", "calendar day"
        CALENDAR_MONTH = "calendar_month", "calendar month"

    class Per(models.TextChoices):
        ALL = "all", "all calls together"
        API = "api", "each API"
        SUBSCRIPTION = "subscription", "each subscription"
        APPLICATION = "application", "each application"
        KEY = "key", "each API key"
        USER = "user", "each end user"

    class Mode(models.TextChoices):
        EXACT = "exact", "Exact"
        LEASED = "leased", "Leased"

    class Then(models.TextChoices):
        REFUSE = "refuse", "is refused"
        CHEAPER = "cheaper", "is made to another model"

    # place -> what its calls may be counted by
    PERS = {
        "": (Per.ALL, Per.API, Per.APPLICATION, Per.KEY, Per.USER),
        "plan": (Per.SUBSCRIPTION, Per.ALL, Per.APPLICATION, Per.KEY, Per.USER),
        "application": (Per.ALL, Per.API, Per.KEY, Per.USER),
        "key": (Per.ALL, Per.USER),
        "api": (Per.ALL, Per.APPLICATION, Per.KEY, Per.USER),
    }

    plan = models.ForeignKey(
        Plan, on_delete=models.CASCADE, null=True, blank=True, related_name="limits"
    )
    application = models.ForeignKey(
        Application, on_delete=models.CASCADE, null=True, blank=True, related_name="limits"
    )
    key = models.ForeignKey(
        ApiKey,
        verbose_name="API key",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="limits",
    )
    api = models.ForeignKey(
        Api,
        verbose_name="API",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="limits",
    )
    measure = models.CharField("limit on", max_length=12, choices=Measure, default=Measure.CALLS)
    amount = models.DecimalField(
        "at most",
        max_digits=18,
        decimal_places=6,
        validators=[MaxValueValidator(9_000_000_000)],
        help_text="A whole number, or for a cost an amount of money like 12.50.",
    )
    currency = models.CharField(
        max_length=3,
        blank=True,
        validators=[validate_currency],
        help_text="For a cost: the currency of your models' prices, like USD.",
    )
    window = models.CharField(
        "in any",
        max_length=14,
        choices=Window,
        default="",
        blank=True,
        help_text="Seconds to 24 hours slide with the clock; calendar days and months begin at "
        "midnight in the tenant's time zone. Calls at once have none.",
    )
    per = models.CharField(
        "counted for",
        max_length=12,
        choices=Per,
        default=Per.ALL,
        help_text="Which calls share one counter.",
    )
    mode = models.CharField(
        max_length=6,
        choices=Mode,
        default=Mode.EXACT,
        help_text="Exact asks the counter for every call. Leased lets each gateway draw shares "
        "ahead, which costs less and may let a little more through.",
    )
    then = models.CharField(
        "a call above it",
        max_length=7,
        choices=Then,
        default=Then.REFUSE,
        help_text="Above a limit on cost another model can be asked, until there is room again; "
        "all other limits hold for it, and what it costs is not counted here.",
    )
    fallback = models.ForeignKey(
        "catalog.AIModel",
        verbose_name="the other model",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Without it, or where it cannot do what the call asks for, calls are refused.",
    )

    class Meta:
        ordering = ["measure", "window", "per", "created_at"]
        constraints = [
            models.CheckConstraint(
                name="limit_on_one_place",
                condition=_ONE_PLACE[0] | _ONE_PLACE[1] | _ONE_PLACE[2] | _ONE_PLACE[3],
                violation_error_message="Set a limit on one thing: a plan, an application, an "
                "API key or an API, or on none of them for the whole tenant.",
            ),
            models.UniqueConstraint(
                name="one_limit_of_a_kind",
                fields=[*PLACES, "measure", "window", "per", "currency"],
                nulls_distinct=False,
                violation_error_message="There is such a limit already: change that one.",
            ),
        ]

    def __str__(self) -> str:
        window = f" per {self.get_window_display()}" if self.window else ""
        return f"{self.quantity}{window}"

    @property
    def place(self) -> str:
        """Of ``PLACES``, or empty for the tenant. Also that of a row not saved yet."""
        known = self._state.fields_cache
        return next((name for name in PLACES if getattr(self, f"{name}_id") or known.get(name)), "")

    @property
    def quantity(self) -> str:
        """``60 calls``, ``5 calls at once``, ``1,000 tokens`` or ``12.50 USD``."""
        return quantity(self.measure, self.amount, self.currency)

    @property
    def units(self) -> int:
        """The amount as the gateway counts it: money in micro-units."""
        return int(self.amount.scaleb(6)) if self.measure == self.Measure.COST else int(self.amount)

    def clean(self) -> None:
        """Raises ValidationError by field for what cannot be counted together."""
        errors = {
            field: ValidationError(message, code=code)
            for field, code, message in self._contradictions()
        }
        if errors:
            raise ValidationError(errors)

    def _contradictions(self) -> list[tuple[str, str, str]]:
        """(field, code, sentence); the later of two for a field wins."""
        found: list[tuple[str, str, str]] = []
        if self.measure not in self.Measure.values:
            return found  # which the field itself tells
        measure = self.Measure(self.measure)
        if self.amount is not None and self.amount <= 0:
            found.append(("amount", "too_small", "Let at least something through: more than 0."))
        elif self.amount is not None and measure != measure.COST and self.amount % 1:
            found.append(("amount", "whole", f"{measure.label} are counted in whole numbers."))
        if measure == measure.CONCURRENCY:
            if self.window:
                found.append(("window", "no_window", "Calls at once have no window: choose none."))
            if self.mode == self.Mode.LEASED:
                found.append(("mode", "not_leased", "Calls at once are always counted exactly."))
        elif not self.window:
            found.append(("window", "missing", "Say in which time."))
        if measure == measure.COST and not self.currency:
            found.append(("currency", "missing", "Say in which currency, like USD."))
        if measure != measure.COST and self.currency:
            found.append(("currency", "no_currency", "Only a cost has a currency: leave it empty."))
        if self.then == self.Then.CHEAPER and measure != measure.COST:
            found.append(
                ("then", "only_cost", "Only above a limit on cost is another model asked.")
            )
        elif self.then == self.Then.CHEAPER and self.fallback is None:
            found.append(("fallback", "missing", "Say which model is asked then."))
        elif self.then != self.Then.CHEAPER and self.fallback is not None:
            found.append(("fallback", "refused", "Calls are refused here: choose no model."))
        if self.per not in self.PERS[self.place]:
            allowed = ", ".join(self.Per(per).label for per in self.PERS[self.place])
            found.append(("per", "not_here", f"Here a limit can be counted for {allowed}."))
        return found + self._against_the_api()

    def _against_the_api(self) -> list[tuple[str, str, str]]:
        if self.api is None:
            return []
        found = []
        if self.api.kind == Api.Kind.HTTP and self.measure in ("tokens", "cost"):
            sentence = "Only AI models and prompts use tokens; this API forwards to an upstream."
            found.append(("measure", "no_tokens", sentence))
        if self.per == self.Per.USER and not self.api.user_from:
            sentence = "Say first, on the API's own page, what names its end users."
            found.append(("per", "no_users", sentence))
        return found


# measure -> what one unit is called, and several
_UNITS = {
    Limit.Measure.CALLS: ("call", "calls"),
    Limit.Measure.CONCURRENCY: ("call at once", "calls at once"),
    Limit.Measure.TOKENS: ("token", "tokens"),
}


def quantity(measure: str, amount: Decimal, currency: str = "") -> str:
    """An amount with its unit, for people."""
    if measure == Limit.Measure.COST:
        whole, _, decimals = f"{amount.normalize():,f}".partition(".")
        return f"{whole}.{decimals:0<2} {currency}"
    one, many = _UNITS[Limit.Measure(measure)]
    return f"{int(amount):,} {one if amount == 1 else many}"
