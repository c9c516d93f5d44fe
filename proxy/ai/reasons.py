"""Why a deployment was asked and others were not, in words: for records and for who asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.ai.runtime import DeploymentRuntime
    from proxy.health import Health

MOST_NAMED = 5
"""Of what was passed over, so much is named."""
SPENT = "its rate limit is used up"
ONLY = "the only deployment"
ONLY_FIT = "the only one that fits"
HOLDS = "holds the response before"
_ILL = {
    "down": "down",
    "open": "left out after failures",
    "half-open": "being tried again",
    "resting": "resting after a failure",
}


def name(one: DeploymentRuntime) -> str:
    return f"{one.provider.provider.name} {one.deployment.model}"


def listed(words: Sequence[str]) -> str:
    more = len(words) - MOST_NAMED
    return f"{', '.join(words[:MOST_NAMED])}{f' and {more} more' if more > 0 else ''}"


def passed_over(
    others: Iterable[DeploymentRuntime], because: Callable[[DeploymentRuntime], str]
) -> str:
    """What follows the reason for which another was asked; empty where there are no others."""
    told = [f"{name(one)} ({because(one)})" for one in others]
    return f"; passed over: {listed(told)}" if told else ""


def ill(one: DeploymentRuntime, health: Health) -> str:
    """What is held against it, behind a comma; empty where nothing is."""
    circuit = health.circuits.get(one.id)
    held = "" if circuit is None else _ILL.get(circuit.state(health.clock()), "")
    return f", {held}" if held else ""
