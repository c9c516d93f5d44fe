"""One call to a model: what is asked, in which format, and how each provider is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import structs

from proxy.ai import fitting, passing, values
from proxy.ai.doors import Door
from proxy.ai.errors import FormatUnsupported
from proxy.ai.formats import Simple, chat, gemini, messages, responses
from proxy.ai.formats.chat.dialects import DIALECTS
from proxy.ai.formats.gemini import count as gemini_count
from proxy.ai.formats.operations import OPERATIONS, OWN
from proxy.ai.formats.rerank import cohere as rerank
from proxy.ai.formats.rerank.texts import SECOND
from proxy.ai.forms import Form
from proxy.ai.middle import rules
from proxy.ai.middle.rules import Mode, Notes

if TYPE_CHECKING:
    from proxy.ai.calls import Others
    from proxy.ai.choose import Candidate
    from proxy.ai.stored.noting import Keep
    from proxy.exchange import Exchange
    from proxy.runtime import DeploymentRuntime


_ANEW: Mapping[str, tuple[Callable[[bytes], bool], str]] = {
    gemini.NAME: (gemini.is_mixed, gemini.NAME),
    messages.NAME: (messages.is_mixed, messages.NAME),
    responses.NAME: (responses.is_mixed, responses.NAME),
    rerank.NAME: (rerank.is_first, SECOND.NAME),
}
"""By the client's format: which requests cannot be passed on as they are, and the format that they
are written in instead."""


class Told:
    """What one provider is sent. ``format`` is what it will answer in."""

    __slots__ = ("body", "format", "notes")

    def __init__(self, format: str, body: bytes, notes: Notes) -> None:  # noqa: A002
        self.format = format
        self.body = body
        self.notes = notes


class Asking:
    """``format`` is the client's; ``asked`` are the fields that decide; ``ask_usage``: it is a
    stream in which the client does not want the usage that we need to know."""

    __slots__ = (
        "_form",
        "_request",
        "ask_usage",
        "asked",
        "body",
        "door",
        "format",
        "formats",
        "keep",
        "mode",
        "only",
        "others",
        "stream",
        "tokens",
        "until",
    )

    def __init__(
        self, door: Door, body: bytes, asked: passing.Asked, form: Form | None = None
    ) -> None:
        self.door = door
        self.format = door.format
        self.body = body
        self.asked = asked
        self.stream = asked.stream is True and door.operation != "count"
        options = asked.stream_options
        wanted = options is not None and options.include_usage is True
        self.ask_usage = self.format == "chat" and self.stream and not wanted
        self.mode: Mode = "declared"
        self.others: Others | None = None
        """Who may carry a stream on that breaks off, where the model's routing says so."""
        self.only: Iterable[Candidate] | None = None
        """Whom the call may go to, where that is not for the model's routing to say."""
        self.keep: Keep | None = None
        """Is told of the response that the provider keeps."""
        self.tokens = 0
        """About how many the call takes of a provider's limits."""
        self.until = 0.0
        """Loop time at which the call must be over, as far as those allow that were asked."""
        self.formats: Mapping[str, Simple] = OPERATIONS.get(door.operation, {})
        """Between which the operation can be translated."""
        self._request: Any = None
        self._form = form

    @property
    def request(self) -> Any:
        """The whole of it in the middle form: read once, and a copy each time that it is asked for,
        since each provider's rules change it. Raises InvalidRequest and TooManyValues."""
        if self._request is None:
            if self._form is None:
                values.check(self.body)
            body = self.body if self._form is None else self._form.whole()
            self._request = self.formats[self.format].read_request(
                body, model=self.asked.model, stream=self.stream
            )
        return structs.replace(self._request)

    def tell(self, exchange: Exchange, deployment: DeploymentRuntime) -> Told:
        """The request for a deployment. Raises FormatUnsupported, ParameterUnsupported and
        InvalidRequest."""
        notes, into = Notes(exchange.model, self.mode), self.into(deployment)
        if into == self.format:
            return self._passed(deployment, notes)
        if into in self.formats and self.format in self.formats:
            return Told(into, self._translated(into, deployment, notes), notes)
        raise FormatUnsupported(self.door.operation, deployment.provider.provider.name)

    def into(self, deployment: DeploymentRuntime) -> str:
        """In which format the deployment is asked: the client's own where its provider speaks it.
        Empty where it cannot be."""
        to, quirks = deployment.provider.destination, deployment.quirks
        spoken = to.wire.speaks(to, self.door.operation)
        into = self.format if self.format in spoken else next(iter(spoken), "")
        if into == chat.NAME and quirks is not None and responses.NAME in spoken:
            if quirks.responses == "only":
                return responses.NAME
            if quirks.responses == "tools" and (request := self.request).tools:
                return responses.NAME if fitting.thinks(request, quirks) else into
        return into

    def _passed(self, deployment: DeploymentRuntime, notes: Notes) -> Told:
        """In the client's own format. Thoughts that another provider signed would be refused: they
        are left out."""
        spoken, model = self.format, deployment.deployment.model
        if self._form is not None:
            return Told(spoken, self._form.with_model(model), notes)
        anew = _ANEW.get(spoken)
        if anew is not None and anew[0](self.body):
            return Told(anew[1], self._translated(anew[1], deployment, notes), notes)
        if spoken.startswith("gemini"):
            wrapped = self.door.operation == "count" and gemini_count.is_wrapped(self.body)
            body = self._translated(spoken, deployment, notes) if wrapped else self.body
        else:
            quirks, ask = deployment.quirks, self.ask_usage
            body = passing.prepare(
                self.body, self.asked, model, quirks, spoken, notes, ask_usage=ask
            )
        return Told(spoken, body, notes)

    def _translated(
        self,
        into: str,
        deployment: DeploymentRuntime,
        notes: Notes,
        request: Any = None,
    ) -> bytes:
        """``request`` in place of the client's own."""
        request, format_ = request or self.request, self.formats[into]
        preset = deployment.provider.destination.preset
        rules.foreign(request, OWN.get(into, into), notes)
        lacks = fitting.lacks_of(request, deployment.quirks)
        rules.apply(request, {**format_.LACKS, **lacks}, notes)
        model = deployment.deployment.model
        if into == chat.NAME and request.format != into:
            body = chat.write_request(request, model, notes, DIALECTS.get(preset.name))
        else:
            body = format_.write_request(request, model, notes)
        return passing.fitted(body, deployment.quirks, into, notes)
