"""What a stream took that was cut off before its provider said so: the client left, or it broke.

It is estimated, as what came is billed by the provider: a token for four bytes of the prompt, and
of the answer as much as its bytes hold, by what its first pieces are like. Most providers send a
piece for each token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from proxy.ai import calls
from proxy.ai.estimate import about
from proxy.ai.formats.registry import FORMATS
from proxy.ai.middle import PartDelta, Usage

if TYPE_CHECKING:
    from proxy.ai.joined import Used
    from proxy.exchange import Exchange
    from proxy.runtime import DeploymentRuntime

_TOKEN = 4
"""Bytes of text."""


def account(exchange: Exchange, deployment: DeploymentRuntime, used: Used, *, whole: bool) -> None:
    """Tokens and cost of a stream that was read, on the exchange. ``whole``: it was not cut off."""
    usage = used.usage if whole else used.total(whole=False)
    exchange.guessed = usage != used.usage
    calls.account(exchange, deployment, usage)


def usage_of(
    format: str,  # noqa: A002
    prompt: bytes,
    sample: bytes,
    passed: int,
    reported: Usage | None,
) -> Usage | None:
    """Of a stream of ``passed`` bytes that begins with ``sample``. What was reported counts, but
    for Anthropic's first word on the answer, which comes before it."""
    if format not in FORMATS:
        return reported
    known = reported or Usage()
    came_in, came_out = known.input_tokens, known.output_tokens
    if came_in is None:
        came_in = about(prompt)
    if came_out is None or format == "messages":
        came_out = max(came_out or 0, _tokens(format, sample, passed))
    return replace(known, input_tokens=came_in, output_tokens=came_out)


def _tokens(format: str, sample: bytes, passed: int) -> int:  # noqa: A002
    events = FORMATS[format].reader().feed(sample)
    texts = [len(event.text.encode()) for event in events if isinstance(event, PartDelta)]
    pieces = max(1, sample.count(b"\n\n"))
    said = [size for size in texts if size]
    envelope = max(1.0, (len(sample) - sum(said)) / pieces)
    text = sum(said) / len(said) if said else _TOKEN
    return round(passed / (envelope + text) * max(1.0, text / _TOKEN))
