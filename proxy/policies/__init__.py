"""What a call must pass before it is forwarded.

Each kind of the contract's ``Policy`` union has one module here with a ``compile``
function: from all configurations of its kind that apply at a place, in order, to one
step, or to None. A step is called with the exchange and the gateway and raises a
GatewayError to refuse; it returns an awaitable only where it must wait, so that a step
that does not costs next to nothing.

To add a kind: a struct in ``contract.policies``, a module here, a line in ``REGISTRY``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

from contract.policies import BodyLimit, Limit, Policy
from proxy.policies import body_limit, limits
from proxy.policies.place import Place

if TYPE_CHECKING:
    from proxy.exchange import Exchange
    from proxy.gateway import Gateway

Step = Callable[["Exchange", "Gateway"], Awaitable[None] | None]

REGISTRY: dict[type[Policy], Callable[[list[Any], Place], Step | None]] = {
    BodyLimit: body_limit.compile,
    Limit: limits.compile,
}
"""Kinds in the order in which they are applied, whatever order they were configured in."""


def compile_steps(place: Place, policies: Iterable[tuple[str, Policy]]) -> tuple[Step, ...]:
    """The steps for a place. Each policy comes with its level: tenant, api, route, plan,
    application or key."""
    grouped: dict[type[Policy], list[Any]] = {kind: [] for kind in REGISTRY}
    for level, policy in policies:
        grouped[type(policy)].append((level, policy))
    steps = (REGISTRY[kind](configs, place) for kind, configs in grouped.items() if configs)
    return tuple(step for step in steps if step is not None)
