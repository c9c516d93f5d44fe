"""What a request says of responses that are kept, and whom it may go to for that.

A call that goes on from a response goes to the account that holds it, whatever rules, strategy and
fallbacks say: the history is there alone. Where only one account of those that the model's calls
come to speaks this format (``ModelRuntime.several``) there is nothing to find out, and nothing is
noted unless the client says that it wants the response kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec import UNSET

from proxy.ai import choose, passing, reasons
from proxy.ai.answering import tell_notes
from proxy.ai.choose import Candidate, Wants
from proxy.ai.errors import ModelUnavailable
from proxy.ai.middle.rules import Notes
from proxy.ai.passing import AskedToKeep
from proxy.ai.runtime import keeps
from proxy.ai.stored import holders
from proxy.ai.stored.errors import (
    PreviousResponseNotFound,
    PreviousResponseUnreachable,
    ResponsesUnavailable,
)
from proxy.ai.stored.noting import Keep

if TYPE_CHECKING:
    from proxy.ai.asking import Asking
    from proxy.ai.estimate import Estimate
    from proxy.ai.stored.holders import Holder
    from proxy.exchange import Exchange
    from proxy.gateway import Gateway
    from proxy.runtime import DeploymentRuntime, ModelRuntime, TenantRuntime

_ESCAPED = (b"\\u005", b"\\u006", b"\\u007")


async def prepare(
    exchange: Exchange, gateway: Gateway, model: ModelRuntime, asking: Asking
) -> None:
    """Settles whom the call may go to (``asking.only``), and what is noted of its answer
    (``asking.keep``).

    Raises PreviousResponseNotFound, PreviousResponseUnreachable, ResponsesUnavailable, and
    ParameterUnsupported for what would be answered when nobody sees what it used.
    """
    first = model if exchange.instead is None else exchange.instead[0]
    says = asking.asked
    if not isinstance(says, AskedToKeep):
        return
    if says.background is not UNSET:
        _settle(asking, b'"background"')
        if says.background:
            _refuse_background(exchange, first, asking)
    previous = says.previous_response_id
    if first.several and previous:
        _settle(asking, b'"previous_response_id"')
        asking.only = await _holding(exchange, gateway, first, asking, previous)
    wanted = says.store is True or (first.several and says.store is not False)
    if wanted and asking.door.operation == "chat" and gateway.holders is not None:
        asking.keep = Keep(exchange, gateway.holders)


def _settle(asking: Asking, key: bytes) -> None:
    """Where a key might be there twice the body is written anew, with the one that was read. A
    letter or ``_`` may be written as an escape, which no encoder needs: keys can hide so."""
    body = asking.body
    hidden = b"\\u00" in body and any(start in body for start in _ESCAPED)
    if hidden or body.count(key) != 1:
        asking.body = passing.without(body)


def _refuse_background(exchange: Exchange, model: ModelRuntime, asking: Asking) -> None:
    notes = Notes(asking.asked.model, model.model.routing.unsupported)
    notes.lacks("background", "refuse")
    asking.body = passing.without(asking.body, "background")
    tell_notes(exchange, notes)


# Going on from one


async def _holding(
    exchange: Exchange, gateway: Gateway, model: ModelRuntime, asking: Asking, previous: str
) -> Iterator[Candidate]:
    tenant: TenantRuntime = exchange.tenant  # type: ignore[assignment]
    if gateway.holders is None:
        raise ResponsesUnavailable
    holder = await gateway.holders.find(holders.name(exchange, previous))
    if holder is None:
        raise PreviousResponseNotFound(previous)
    held = [(model, one) for one in model.deployments if _holds(one, holder)]
    held.sort(key=lambda pair: pair[1].id != holder.deployment)
    for id_ in model.reach:
        other = tenant.models_by_id[id_]
        held += [
            (other, one)
            for one in other.deployments
            if one.id == holder.deployment and _holds(one, holder)
        ]
    if not held:
        raise PreviousResponseUnreachable(
            f"no deployment of the model '{model.name}' is in the account that holds it"
        )
    unfit: dict[str, str] = {}
    if model.plain:
        estimate = choose.estimated(asking)
    else:
        wants = Wants(asking)
        estimate = wants.estimate
        unfit = {one.id: choose.why_unfit(one, owner, None, wants) for owner, one in held}
        if all(unfit.values()):
            told = [f"{reasons.name(one)}: {unfit[one.id]}" for _, one in held]
            raise PreviousResponseUnreachable(
                f"who holds it cannot serve this call ({reasons.listed(told)})"
            )
    asking.tokens = estimate.tokens
    return _candidates(gateway, model, held, unfit, estimate)


def _holds(one: DeploymentRuntime, holder: Holder) -> bool:
    return one.provider.id == holder.provider and keeps(one)


def _candidates(
    gateway: Gateway,
    model: ModelRuntime,
    held: list[tuple[ModelRuntime, DeploymentRuntime]],
    unfit: dict[str, str],
    estimate: Estimate,
) -> Iterator[Candidate]:
    """Raises ModelUnavailable where none can be called."""
    owners = {one.id: owner for owner, one in held if not unfit.get(one.id)}
    order = [one for _, one in held if one.id in owners]

    def because(one: DeploymentRuntime) -> str:
        why = unfit.get(one.id) or ("holds it too" if one.id in owners else "does not hold it")
        return why + reasons.ill(one, gateway.health)

    tried: list[str] = []
    while (one := gateway.balance.first(order, tried)) is not None:
        tried.append(one.id)
        left = [other for other in model.deployments if other.id not in tried]
        over = reasons.passed_over(left, because)
        wait = gateway.track.wait(one.key, estimate.tokens, estimate.output_tokens)
        yield Candidate(owners[one.id], one, reasons.HOLDS, over, wait)
    if not tried:
        raise ModelUnavailable(
            "The deployment that holds the response before is failing. Try again shortly, or send "
            "the conversation itself in its place."
        )
