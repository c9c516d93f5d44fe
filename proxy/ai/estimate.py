"""What an AI call may use at most, guessed before it is made.

Input: half a token for each byte of the request, which is twice what English takes and
about what other scripts do; an attachment in base64 counts 2,000 tokens or, if that is
more, a hundredth of its bytes. Output: what the request names as the most, in whichever format,
times the answers it asks for; ``DEFAULT_OUTPUT`` where it does not say; none where nothing is
generated. Cost: these at the dearest of the deployments that the call may come to, also by rules
and fallbacks. What is billed otherwise than by the token: the pictures that are asked for, of the
dearest kind where that is left to the provider, the characters of the text, the queries that a
reranker's documents can be, and of a recording its length or, where that is not known, a second for
``SECOND_BYTES``.

The variables of a prompt count as often as its template repeats them; where their length is
not declared, as ``UNDECLARED`` bytes.

So a call uses more than its estimate only where it sends text of more than one token in
two bytes, large attachments, or sets no ``max_tokens`` and is answered at length.
"""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw, Struct, field

from contract.snapshot import Prices
from contract.usage import Measured
from proxy.ai import apart, delivered, values
from proxy.ai.cost import batch_micros, cost_micros, exact
from proxy.ai.middle import Usage

if TYPE_CHECKING:
    from proxy.ai.compiled import CompiledPrompt
    from proxy.exchange import Exchange
    from proxy.runtime import ModelRuntime

DEFAULT_OUTPUT = 4096
ATTACHMENT = 2000
BYTES_A_TOKEN = 2
UNDECLARED = 65_536
ATTACHED_BYTES_A_TOKEN = 100
MOST_OUTPUT = 1 << 40
"""Whoever asks for more asks for all there is: what is counted stays a number that can be."""
SECOND_BYTES = 1000
"""Of speech at 8 kbit/s, which is about the least that is used for it."""

# A data URL, or the base64 of "input_audio".
_MARKS = (b"base64,", b'"data"')
_attachments = re.compile(rb'(?:base64,|"data"\s*:\s*")([A-Za-z0-9+/_=-]+)').finditer


_NOTHING = Raw(b"null")


class _Generation(Struct, rename="camel"):
    max_output_tokens: Raw = _NOTHING
    candidate_count: Raw = _NOTHING


class _Asked(Struct):
    """The bounds of an answer in every format that clients speak, each to be read by itself."""

    max_tokens: Raw = _NOTHING
    max_completion_tokens: Raw = _NOTHING
    max_output_tokens: Raw = _NOTHING
    n: Raw = _NOTHING
    gemini: Raw = field(default=_NOTHING, name="generationConfig")


_decode = msgspec.json.Decoder(_Asked).decode
_decode_generation = msgspec.json.Decoder(_Generation).decode
_decode_number = msgspec.json.Decoder(float).decode
_encode = msgspec.json.Encoder().encode


class Estimate(Struct, frozen=True):
    """``prices``: of each deployment of the model that is asked."""

    input_tokens: int
    output_tokens: int
    prices: tuple[Prices, ...]
    further: tuple[Prices, ...] = ()
    """Of the deployments that rules and fallbacks may lead to. One without a known price adds
    nothing: what it will cost cannot be reserved."""
    batched: bool = False
    """At the prices of batches."""

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def cost_at(self, prices: Prices) -> int | None:
        """In micro-units of the prices' currency; None where one is unknown."""
        usage = Usage(self.input_tokens, self.output_tokens)
        if self.batched:
            return batch_micros(prices, exact(prices, usage))
        return cost_micros(prices, usage)

    def cost(self, currency: str) -> int | None:
        """In micro-units of ``currency``, 0 where no price is in it; None where one is unknown."""
        most = 0
        for prices in self.prices:
            if prices.currency == currency:
                cost = self.cost_at(prices)
                if cost is None:
                    return None
                most = max(most, cost)
        for prices in self.further:
            if prices.currency == currency:
                most = max(most, self.cost_at(prices) or 0)
        return most


class Apart(Estimate, frozen=True, kw_only=True):
    """Of a call that may be billed otherwise than by the token."""

    measured: Measured

    def cost_at(self, prices: Prices) -> int | None:
        usage = Usage(self.input_tokens, self.output_tokens, measured=self.measured)
        if self.measured.unit == apart.SEARCH and prices.search is not None:
            usage.searches = self.measured.count
            if prices.input is None:
                usage.input_tokens = 0
        elif apart.billed(prices, self.measured):
            usage.measured = apart.at_most(prices, self.measured)
        return cost_micros(prices, usage)


def without_answer(
    body: bytes,
    ability: str,
    prices: tuple[Prices, ...] = (),
    further: tuple[Prices, ...] = (),
) -> Estimate:
    """Of a request for something else than text, to a model that must have the ability. Raises
    TooManyValues."""
    measured = _measured(body, ability)
    if measured is None:
        return Estimate(input_tokens(body), 0, prices, further)
    return Apart(input_tokens(body), 0, prices, further, measured=measured)


def _measured(body: bytes, ability: str) -> Measured | None:
    if ability in ("images", "speech", "rerank") and not body.startswith(b"--"):
        values.check(body)
    if ability == "images":
        return delivered.pictures(body)
    if ability == "speech":
        spoken = delivered.spoken(body)
        return Measured(apart.CHARACTER, len(body) if spoken is None else spoken)
    if ability == "transcription":
        heard = delivered.recorded(body)
        return Measured(
            apart.MILLISECOND, len(body) * 1000 // SECOND_BYTES if heard is None else heard
        )
    return Measured(apart.SEARCH, delivered.searches(body)[1]) if ability == "rerank" else None


def of(exchange: Exchange) -> Estimate | None:
    """None for a call that asks no model."""
    if exchange.expected is not None:
        return exchange.expected
    if exchange.asked is not None:
        model, body, ability = exchange.asked
        if exchange.instead is not None:
            model = exchange.instead[0]
        if ability == "chat":
            return Estimate(input_tokens(body), output_tokens(body), _prices(model), model.further)
        return without_answer(body, ability, _prices(model), model.further)
    api, tenant = exchange.api, exchange.tenant
    if api is None or tenant is None or api.prompt is None:
        return None
    prompted = tenant.models_by_id.get(api.prompt.prompt.model_id)
    if exchange.instead is not None:
        prompted = exchange.instead[0]
    return Estimate(
        _prompt_tokens(api.prompt, UNDECLARED if exchange.length is None else exchange.length),
        output_tokens(_encode(api.prompt.prompt.parameters)),
        () if prompted is None else _prices(prompted),
        () if prompted is None else prompted.further,
    )


def _prices(model: ModelRuntime) -> tuple[Prices, ...]:
    return tuple(deployment.prices for deployment in model.deployments)


def input_tokens(body: bytes) -> int:
    """Of text or JSON. A form, which begins with its boundary, is an attachment."""
    if body.startswith(b"--"):
        return max(ATTACHMENT, len(body) // ATTACHED_BYTES_A_TOKEN)
    plain, tokens = len(body), 0
    if any(mark in body for mark in _MARKS):
        for attachment in _attachments(body):
            size = len(attachment[1])
            plain -= size
            tokens += max(ATTACHMENT, size // ATTACHED_BYTES_A_TOKEN)
    return tokens + -(-plain // BYTES_A_TOKEN)


def about(text: bytes) -> int:
    """How many tokens it has, as near as can be told, and not at most: what is billed where a
    provider broke off before it reported anything."""
    return -(-input_tokens(text) // 2)


def _prompt_tokens(prompt: CompiledPrompt, length: int) -> int:
    """Of a prompt with variables of ``length`` bytes, or their defaults; it may repeat them."""
    pieces = [piece for _, template in prompt.messages for piece in template[::2]]
    names = Counter(name for _, template in prompt.messages for name in template[1::2])
    length += sum(len(variable.default.encode()) for variable in prompt.variables.values())
    filled = length * max(names.values(), default=0)
    return -(-(sum(len(piece.encode()) for piece in pieces) + filled) // BYTES_A_TOKEN)


def output_tokens(body: bytes) -> int:
    """Of a request in any format that clients speak. A bound that is no number says nothing."""
    try:
        asked = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return DEFAULT_OUTPUT
    gemini = _Generation()
    if asked.gemini is not _NOTHING:
        with suppress(msgspec.DecodeError):
            gemini = _decode_generation(asked.gemini)
    answers = max(1, _number(asked.n) or _number(gemini.candidate_count) or 1)
    said = (
        asked.max_tokens,
        asked.max_completion_tokens,
        asked.max_output_tokens,
        gemini.max_output_tokens,
    )
    bounds = [most for most in map(_number, said) if most is not None]
    most = max(0.0, *bounds) if bounds else DEFAULT_OUTPUT
    return int(min(most * answers, MOST_OUTPUT))


def _number(value: Raw) -> float | None:
    if value is _NOTHING:
        return None
    try:
        return _decode_number(value)
    except msgspec.DecodeError:
        return None
