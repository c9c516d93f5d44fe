"""What a model can be told, by its name.

Anthropic refuses with 400 what a model does not take, and its models differ: those before 4.6 are
given a budget of tokens to think in, those from 4.7 on decide it themselves and have no sampling
parameters. Names vary from cloud to cloud, but the family and the version are always in them.
A model that is none of Anthropic's, behind somebody else's Messages API, is told what that API had
from its beginning.

Source: Anthropic's documentation of each model, of thinking, effort and structured outputs,
November 2026.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple

_NAME = re.compile(
    r"claude-(?:v?|instant-v?)(?:(?P<family>[a-z]+)-)?(?P<major>\d{1,2})"
    r"(?:[-.](?P<minor>\d{1,2}))?(?!\d)"
)
_NEWEST = (99, 0)


class Model(NamedTuple):
    thinks: Literal["never", "by budget", "either", "as it sees fit", "always"]
    """``either``: by a budget or as it sees fit. ``always``: it cannot be told not to."""
    efforts: tuple[str, ...]
    """From least to most."""
    samples: bool
    """It takes temperature, top_p and top_k."""
    samples_by_one: bool
    """It takes temperature or top_p, not both."""
    schemas: bool
    """The answer can be bound to a JSON Schema, and so can calls of tools."""
    max_tokens: int
    """For calls that name no limit: what every such model may write, and few answers need."""


@lru_cache(1024)
def model(name: str) -> Model:
    if "claude" not in name:
        return Model("by budget", (), True, False, False, 8192)
    found = _NAME.search(name)
    family = found["family"] if found else ""
    version = (int(found["major"]), int(found["minor"] or 0)) if found else _NEWEST
    return Model(
        thinks=_thinks(version, family or "", name),
        efforts=_efforts(version, family or ""),
        samples=version < (4, 7),
        samples_by_one=version >= (4, 1),
        schemas=version >= (4, 5) or (family == "opus" and version == (4, 1)),
        max_tokens=4096 if version < (3, 5) else 8192 if version < (3, 7) else 32_000,
    )


def _thinks(
    version: tuple[int, int], family: str, name: str
) -> Literal["never", "by budget", "either", "as it sees fit", "always"]:
    if version < (3, 7):
        return "never"
    if version < (4, 6):
        return "by budget"
    if version < (4, 7):
        return "either"
    return "always" if re.search("mythos|fable", family or name) else "as it sees fit"


def _efforts(version: tuple[int, int], family: str) -> tuple[str, ...]:
    if version >= (4, 7):
        return ("low", "medium", "high", "xhigh", "max")
    if version >= (4, 6):
        return ("low", "medium", "high", "max")
    if version >= (4, 5) and family == "opus":
        return ("low", "medium", "high")
    return ()
