"""How much a model of Anthropic's may think, as another format asks for it.

``thinking`` says whether, ``output_config.effort`` how hard; older models have a budget instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from proxy.ai.formats.messages.models import Model
from proxy.ai.formats.messages.names import NAME
from proxy.ai.formats.seals import is_others
from proxy.ai.middle import Reasoning, Request, Thinking, ToolCall, ToolResult
from proxy.ai.middle.rules import Notes

BUDGETS = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16_384,
    "xhigh": 24_576,
    "max": 30_000,
}
_SMALLEST = 1024
"""Of a budget; it must be less than ``max_tokens``."""
_EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "max")


def as_it_came(reasoning: Reasoning | None, body: dict[str, Any]) -> None:
    """For a client that speaks this format itself."""
    if reasoning is None:
        return
    thinking: dict[str, Any] = {}
    if not reasoning.on:
        thinking["type"] = "disabled"
    elif reasoning.budget is not None:
        thinking.update(type="enabled", budget_tokens=reasoning.budget)
    elif reasoning.adaptive:
        thinking["type"] = "adaptive"
    if reasoning.summary:
        thinking["display"] = "summarized"
    if thinking:
        body["thinking"] = thinking
    if reasoning.effort:
        body["output_config"] = {"effort": reasoning.effort}


def _of_anthropic(seal: str) -> bool:
    return not is_others(NAME, seal)


def tell(
    request: Request,
    model: Model,
    body: dict[str, Any],
    notes: Notes,
    takes: Callable[[str], bool] = _of_anthropic,
) -> None:
    """Writes ``thinking`` and ``output_config.effort``; ``max_tokens`` and ``tool_choice`` are in
    ``body`` already. ``takes``: whether a thought's signature is one that the provider made."""
    reasoning = request.reasoning
    if reasoning is None:
        return
    if not reasoning.on or reasoning.effort == "none":
        _stop(model, body, notes)
    elif model.thinks == "never":
        notes.lacks("reasoning")
    elif model.thinks == "by budget" or (model.thinks == "either" and reasoning.budget):
        _by_budget(request, reasoning, body, notes, takes)
    else:
        body["thinking"] = {"type": "adaptive"}
        if reasoning.summary and model.thinks != "either":
            body["thinking"]["display"] = "summarized"
        _effort(_wanted(reasoning, notes), model, body, notes)


def _stop(model: Model, body: dict[str, Any], notes: Notes) -> None:
    if model.thinks == "always":
        notes.maps("reasoning", "effort low")
        body["output_config"] = {"effort": "low"}
    elif model.thinks != "never":
        body["thinking"] = {"type": "disabled"}


def _by_budget(
    request: Request,
    reasoning: Reasoning,
    body: dict[str, Any],
    notes: Notes,
    takes: Callable[[str], bool],
) -> None:
    choice = body.get("tool_choice", {}).get("type")
    room = body["max_tokens"] * 4 // 5
    if choice in ("any", "tool") or room < _SMALLEST or _began_without(request, takes):
        # Each of the three is refused together with a budget.
        notes.lacks("reasoning")
        return
    wanted = reasoning.budget
    if wanted is None:
        wanted = BUDGETS.get(reasoning.effort, BUDGETS["medium"])
    budget = max(_SMALLEST, min(wanted, room))
    if budget != reasoning.budget:
        notes.maps("reasoning", f"a budget of {budget} tokens")
    body["thinking"] = {"type": "enabled", "budget_tokens": budget}


def _began_without(request: Request, takes: Callable[[str], bool]) -> bool:
    """The turn that is to be gone on with called tools and has no thoughts to begin with."""
    if not request.messages or len(request.messages) < 2:
        return False
    last = request.messages[-1]
    if last.role != "user" or not any(isinstance(part, ToolResult) for part in last.parts):
        return False
    for message in reversed(request.messages):
        if message.role == "assistant":
            called = any(isinstance(part, ToolCall) for part in message.parts)
            return called and not any(_signed(part, takes) for part in message.parts)
    return False


def _signed(part: object, takes: Callable[[str], bool]) -> bool:
    seal = part.signature or part.sealed if isinstance(part, Thinking) else ""
    return bool(seal) and takes(seal)


def _wanted(reasoning: Reasoning, notes: Notes) -> str:
    if reasoning.effort or reasoning.budget is None or reasoning.adaptive:
        return reasoning.effort
    effort = next((e for e in _EFFORTS[1:] if reasoning.budget <= BUDGETS[e]), "max")
    notes.maps("reasoning", f"effort {effort}")
    return effort


def _effort(effort: str, model: Model, body: dict[str, Any], notes: Notes) -> None:
    if not effort or effort not in _EFFORTS:
        if effort:
            notes.lacks("reasoning.effort")
        return
    least = _EFFORTS.index(effort)
    known = [e for e in model.efforts if _EFFORTS.index(e) <= least]
    nearest = known[-1] if known else model.efforts[0]
    if nearest != effort:
        notes.maps("reasoning", f"effort {nearest}")
    body["output_config"] = {"effort": nearest}
