"""What limits refuse a call with. See ``proxy.errors`` for all else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.errors import GatewayError, Headers

if TYPE_CHECKING:
    from proxy.limits.items import Item

UNAVAILABLE_SECONDS = 2


class RateLimitExceeded(GatewayError):
    """``seconds`` until another call is worth trying; None where no waiting helps."""

    status = 429
    code = "rate_limit_exceeded"
    title = "Rate limit exceeded"

    def __init__(
        self, item: Item, unit: int, left: int, seconds: int | None, told: Headers
    ) -> None:
        headers = [] if seconds is None else [(b"retry-after", b"%d" % seconds)]
        super().__init__(self.explain(item, unit, left, seconds), [*headers, *told])

    def explain(self, item: Item, unit: int, left: int, seconds: int | None) -> str:
        calls = "call" if item.amount == 1 else "calls"
        return (
            f"The limit of {item.amount} {calls} in {item.window} s is used up. "
            f"Try again in {seconds} s."
        )


class QuotaExceeded(RateLimitExceeded):
    code = "quota_exceeded"
    title = "Quota exceeded"

    def explain(self, item: Item, unit: int, left: int, seconds: int | None) -> str:
        calls = "call" if item.amount == 1 else "calls"
        return (
            f"The quota of {item.amount} {calls} a {item.period} is used up. "
            f"It begins anew in {seconds} s."
        )


class ConcurrencyLimited(RateLimitExceeded):
    code = "concurrency_limited"
    title = "Too many calls at once"

    def explain(self, item: Item, unit: int, left: int, seconds: int | None) -> str:
        return f"Only {item.amount} may be under way at once. Wait until an earlier call has ended."


class TokenLimitExceeded(RateLimitExceeded):
    code = "token_limit_exceeded"
    title = "Token limit exceeded"

    def explain(self, item: Item, unit: int, left: int, seconds: int | None) -> str:
        need = f"This call may use up to {unit} tokens"
        if seconds is None:
            return f"{need}, more than the limit of {item.amount} allows. Set a lower max_tokens."
        return (
            f"{need}, and {left} of the {item.amount} {_span(item)} are left. "
            f"Try again in {seconds} s, or set a lower max_tokens."
        )


class BudgetExceeded(RateLimitExceeded):
    code = "budget_exceeded"
    title = "Budget exceeded"

    def explain(self, item: Item, unit: int, left: int, seconds: int | None) -> str:
        need = f"This call may cost up to {_money(unit)} {item.currency}"
        if seconds is None:
            whole = _money(item.amount)
            return f"{need}, more than the budget of {whole} allows. Set a lower max_tokens."
        return (
            f"{need}, and {_money(left)} of the {_money(item.amount)} {_span(item)} are left. "
            f"Try again in {seconds} s, or set a lower max_tokens."
        )


class PriceUnknown(GatewayError):
    status = 403
    code = "price_unknown"
    title = "Price unknown"
    sentence = (
        "A budget applies to this call, and what its model costs in the budget's currency is not "
        "known. Use another model, or ask the administrator to enter the model's prices."
    )


class UserRequired(GatewayError):
    status = 400
    code = "user_required"
    title = "End user required"

    def __init__(self, user_from: str) -> None:
        kind, _, name = user_from.partition(":")
        where = f"the header '{name}'" if kind == "header" else f"the claim '{name}' of its token"
        hint = (
            f"Name the user in {where}."
            if name
            else "The API's administrator must choose what names its end users."
        )
        super().__init__(f"This API has limits for each end user, and the call names none. {hint}")


class LimitsUnavailable(GatewayError):
    status = 503
    code = "limits_unavailable"
    title = "Limits unavailable"
    sentence = (
        "Tokens and cost are limited here, and cannot be counted at the moment. Try again shortly."
    )

    def __init__(self) -> None:
        super().__init__(headers=[(b"retry-after", b"%d" % UNAVAILABLE_SECONDS)])


def _span(item: Item) -> str:
    return f"a {item.period}" if item.period else f"in {item.window} s"


def _money(micros: int) -> str:
    whole, rest = divmod(micros, 1_000_000)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip(".")
