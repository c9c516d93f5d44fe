"""Counts the tokens of a prompt: by a provider, or as near as can be told.

A model's deployments are gone through as for an answer. Where none of those that are left has a
provider that counts, the gateway's own estimate is answered, and the answer's head says so. Either
way nothing is used: no token, and no money.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.ai import estimate
from proxy.ai.answering import answer
from proxy.ai.calls import call
from proxy.ai.errors import FormatUnsupported
from proxy.ai.formats.counting import Count

if TYPE_CHECKING:
    from proxy.ai.asking import Asking
    from proxy.exchange import Exchange
    from proxy.gateway import Gateway
    from proxy.runtime import ModelRuntime

ESTIMATED = (b"x-hubpo-estimated", b"tokens")
"""Header of an answer whose number no provider has counted."""


async def count(exchange: Exchange, gateway: Gateway, model: ModelRuntime, asking: Asking) -> None:
    """Writes the whole answer. Raises what ``calls.call`` raises, and InvalidRequest."""
    exchange.input_tokens = exchange.output_tokens = exchange.cost_micros = 0
    try:
        attempt = await call(exchange, gateway, model, asking)
    except FormatUnsupported:
        await _estimated(exchange, asking)
    else:
        await answer(exchange, asking, attempt)


async def _estimated(exchange: Exchange, asking: Asking) -> None:
    request = asking.request
    exchange.provider_id = exchange.deployment_id = ""
    exchange.adapted = "tokens estimated"
    exchange.added_headers = [*(exchange.added_headers or []), ESTIMATED]
    body = asking.formats[asking.format].write_answer(Count(estimate.about(asking.body)), request)
    await exchange.respond(200, [(b"content-type", b"application/json")], body)
