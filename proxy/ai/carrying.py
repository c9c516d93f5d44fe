"""A stream that breaks off in the middle is carried on by the next deployment.

Where a model's routing says so (``Routing.on_break``), the next candidate is asked with the
conversation and the text so far as the assistant's turn, which Anthropic's format takes as the
beginning of the answer; in all others, and where a model of Anthropic's takes no such beginning, an
instruction to go on follows. To the client it is one answer (``proxy.ai.joined``). What cannot be
carried on (calls of tools, structured output, thoughts) ends with an error event, and so does an
answer that breaks off twice.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

from msgspec.structs import replace

from contract.usage import LONGEST_ROUTED
from proxy.ai import cost
from proxy.ai.asking import Asking, Told
from proxy.ai.calls import account, failed, field, first_of, note_saving
from proxy.ai.errors import (
    AnswerUnreadable,
    FormatUnsupported,
    ProviderRefused,
    ProviderRejectedCredentials,
)
from proxy.ai.formats import messages
from proxy.ai.formats.registry import FORMATS
from proxy.ai.joined import Joined
from proxy.ai.middle import Message, Request, Text
from proxy.ai.middle.events import added
from proxy.ai.middle.rules import Notes
from proxy.errors import GatewayError, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from contract.snapshot import Prices
    from proxy.ai.calls import Attempt, Others
    from proxy.ai.choose import Candidate
    from proxy.ai.formats import Reader
    from proxy.exchange import Exchange
    from proxy.runtime import DeploymentRuntime

GO_ON = (
    "Your answer above was cut off. Go on exactly where it ends, with the very next character, as "
    "if it had not been: repeat nothing of it, and say nothing about the interruption."
)
BAD_REQUEST = 400


class Onward(Asking):
    """The same call again, with the text so far. ``spent``: tokens that this took."""

    __slots__ = ("_spent", "_text", "began", "begins")

    def __init__(self, asking: Asking, text: str, spent: int) -> None:
        super().__init__(asking.door, asking.body, asking.asked)
        self._text = text
        self._spent = spent
        self.tokens = asking.tokens
        self.until = asking.until
        self.begins = True
        """Providers that can be given the beginning of an answer are."""
        self.began = False
        """The last one was."""

    def tell(self, exchange: Exchange, deployment: DeploymentRuntime) -> Told:
        into = self.into(deployment)
        if into not in self.formats:
            raise FormatUnsupported(self.door.operation, deployment.provider.provider.name)
        notes = Notes(exchange.model, self.mode)
        body = self._translated(into, deployment, notes, self._onward(into))
        return Told(into, body, notes)

    def _onward(self, into: str) -> Request:
        request: Request = self.request
        text, past = self._text, list(request.messages)
        thinks = request.reasoning is not None and request.reasoning.on
        self.began = into == messages.NAME and self.begins and not thinks and bool(text.strip())
        if self.began:
            text = text.rstrip()  # White space at the end is refused there.
        if text.strip():  # Anthropic and Bedrock refuse a turn of white space.
            said: list[Any] = [Text(text)]
            if past and past[-1].role == "assistant":
                said = [*past.pop().parts, *said]
            past.append(Message("assistant", said))
            if not self.began:
                past.append(Message("user", [Text(GO_ON)]))
        most = request.max_tokens
        return replace(
            request,
            messages=past,
            max_tokens=None if most is None else max(1, most - self._spent),
            include_usage=True,
        )


class Course(Protocol):
    """What reads the events of ``Carried`` and writes them for the client."""

    def feed(self, piece: bytes) -> bytes: ...

    def end(self) -> bytes: ...


class Carried(Joined):
    """A reader of the stream of ``attempt``, which is handed over to one of ``others`` where it
    breaks off."""

    def __init__(
        self,
        exchange: Exchange,
        asking: Asking,
        others: Others,
        attempt: Attempt,
        reader: Reader,
    ) -> None:
        super().__init__(reader, attempt.told.body)
        self._exchange = exchange
        self._asking = asking
        self._attempt = attempt
        self._others = others
        self._paid: Prices | None = None
        """What the first one's tokens cost, once the second goes on."""

    async def pour(self, course: Course) -> bytes:
        """Writes what comes, but for the last bytes, which are returned. Raises UpstreamError where
        it breaks off and nobody goes on."""
        while True:
            broken: UpstreamError | None = None
            last = b""
            try:
                last = course.feed(await self._exchange.pour(self._attempt.response, course.feed))
                self.close()
            except UpstreamError as error:
                broken = error
            if broken is None and self.ended and self.fault is None:
                return last + course.end()
            if last:
                await self._exchange.write(last)
            if await self._carry_on(broken):
                continue
            if broken is not None:
                raise broken
            self.give_up()
            return course.end()

    async def _carry_on(self, broken: UpstreamError | None) -> bool:
        """Whether somebody goes on, to whom the attempt was handed over."""
        text, fault = self.text, self.fault
        if text is None or not self._may() or (fault is not None and not failed(fault.status)):
            return False
        exchange, attempt = self._exchange, self._attempt
        before = exchange.provider_id, exchange.deployment_id, exchange.routed
        spent = self.used.total(whole=False).output_tokens or 0
        try:
            following = await self._next(Onward(self._asking, text, spent))
        except BaseException:  # The client left: what came is the first one's.
            exchange.provider_id, exchange.deployment_id, exchange.routed = before
            raise
        name = attempt.deployment.provider.provider.name
        code = AnswerUnreadable.code if broken is None else broken.code
        if fault is not None:
            code = f"{fault.status}"
        told = f"{before[2]}; {name} broke off ({code})"
        if following is None:
            exchange.provider_id, exchange.deployment_id, _ = before
            exchange.routed = f"{told}, nobody carried on"[:LONGEST_ROUTED]
            return False
        other = following.deployment.provider.provider.name
        exchange.routed = f"{told}, carried on by {other}: {exchange.routed}"[:LONGEST_ROUTED]
        self._paid = attempt.deployment.prices
        attempt.hand_over(following)
        self.go_on(FORMATS[following.told.format].reader(), following.told.body)
        return True

    def _may(self) -> bool:
        """One text without a form is asked for."""
        request: Request = self._asking.request
        output = request.output
        return (output is None or output.kind == "text") and (request.n or 1) == 1

    async def _next(self, onward: Onward) -> Attempt | None:
        """The first that answers with a stream."""
        candidates: Iterable[Candidate] = self._others
        while True:
            try:
                attempt = await first_of(self._exchange, self._others.gateway, onward, candidates)
            except (ProviderRejectedCredentials, ProviderRefused):
                candidates = self._others
                continue
            except GatewayError:
                return None
            kind = field(attempt.response, b"content-type") or b""
            status = attempt.response.status
            stream = FORMATS[attempt.told.format].STREAM_TYPE
            if status < BAD_REQUEST and attempt.fault is None and kind.startswith(stream):
                return attempt
            attempt.close()
            candidates = self._others
            onward.begins = status != BAD_REQUEST or not onward.began
            if not onward.begins and self._others.last is not None:
                candidates = chain((self._others.last,), self._others)

    def account(self) -> None:
        """Tokens and cost on the exchange: each one's at its own prices, rounded once."""
        exchange, deployment, total = self._exchange, self._attempt.deployment, self.total
        exchange.guessed = self.first is not None or total != self.used.usage
        account(exchange, deployment, total)
        if self.first is not None and self._paid is not None:
            second = self.used.total(whole=self.ended)
            exchange.cost_micros = cost.sum_micros(
                (self._paid, self.first),
                (deployment.prices, second),
                *(exchange.embedded or ()),
            )
            if exchange.compared is not None:
                note_saving(exchange, added(self.first, second))
