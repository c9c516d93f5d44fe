"""How the gateway chooses among a model's deployments, as the data plane receives it.

A strategy is a struct with a tag; adding one is a struct here, a function in ``proxy/ai/choose.py``
and a form in the console.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Weighted(Struct, frozen=True, gc=False, tag="weighted"):
    """Each in turn, as often as its weight says."""


class Priority(Struct, frozen=True, gc=False, tag="priority"):
    """The lowest ``priority`` first, those with the same one by weight."""


class LowestCost(Struct, frozen=True, gc=False, tag="lowest_cost"):
    """By the estimate of the call. Those without a price come last."""


class LowestLatency(Struct, frozen=True, gc=False, tag="lowest_latency"):
    """By what this worker has seen of the last calls. Those within ``within_percent`` of the best
    take turns, and one call in ``explore`` goes to another, so that a deployment that has become
    faster is noticed."""

    measure: Literal["first_token", "tokens_per_second"] = "first_token"
    within_percent: int = 10
    explore: int = 50


class LeastBusy(Struct, frozen=True, gc=False, tag="least_busy"):
    """The fewest calls under way from this worker, by weight."""


class Headroom(Struct, frozen=True, gc=False, tag="headroom"):
    """The most left under the provider's rate limits."""


Strategy = Weighted | Priority | LowestCost | LowestLatency | LeastBusy | Headroom

Subject = Literal[
    "header",
    "metadata",
    "prompt_tokens",
    "complexity",
    "language",
    "content",
    "similarity",
    "application",
    "stream",
]
Operator = Literal["is", "is_not", "contains", "at_least", "at_most", "like"]

EMBEDDING_WIRE_FORMATS = frozenset({"openai", "azure", "gemini", "cohere"})
"""Of the providers whose embeddings the gateway can read: others say nothing of likeness."""
MOST_EXAMPLES, LONGEST_EXAMPLE = 50, 2000
"""Example prompts of one condition, and characters of each."""


class Condition(Struct, frozen=True, gc=False):
    """``name`` is the header's or the metadata's key; ``values``: any of these will do.

    - ``prompt_tokens``: estimated; ``complexity``: 0 to 100, how hard the last question looks
    - ``language``: ISO 639-1 of the last question, as far as its words and script tell
    - ``content``: ``code``, ``math``, ``images``, ``audio``, ``files``, ``tools``
    - ``similarity``: ``values`` are example prompts, and ``least`` (0 to 100) how near to one of
      them the last question must be: in meaning, where ``embedding_model`` is the public name of
      one of the tenant's models with the ability ``embeddings``, else in words
    - ``application``: its name, or a part of it for ``contains``
    - ``stream``: ``true`` or ``false``
    """

    subject: Subject
    operator: Operator
    values: tuple[str, ...]
    name: str = ""
    least: int = 50
    embedding_model: str = ""


class Rule(Struct, frozen=True, gc=False):
    """Where all conditions hold, only these deployments are asked, or another model in this one's
    place. The first rule that holds decides."""

    name: str
    conditions: tuple[Condition, ...]
    deployment_ids: tuple[str, ...] = ()
    model_id: str = ""


class Routing(Struct, frozen=True, gc=False):
    """``fallbacks``: ids of models that are asked once all deployments have failed, in order.

    ``unsupported``: what is done with parameters that a provider lacks. ``regions``: only
    deployments there, where any are named, in upper or lower case.

    ``on_break``: a stream that breaks off after its first token ends with an error event, or is
    carried on by the next deployment, as one answer. ``compare_with``: id of the model, perhaps
    this one, at whose dearest deployment's price each call's saving is reckoned; empty: at none.
    """

    strategy: Strategy = Weighted()
    rules: tuple[Rule, ...] = ()
    fallbacks: tuple[str, ...] = ()
    unsupported: Literal["declared", "drop", "refuse"] = "declared"
    regions: tuple[str, ...] = ()
    on_break: Literal["error", "continue"] = "error"
    compare_with: str = ""
