"""One module or package per format of AI calls, by name. All have the shape of ``Format``.

A format is both what clients speak and what providers speak: its readers turn bytes into the
middle form (``proxy.ai.middle``), its writers turn the middle form into bytes. Formats know
nothing of each other, of addresses or of credentials (those are ``proxy.ai.providers``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from proxy.ai.middle import Answer, Event, Fault, Request, Usage
from proxy.ai.middle.rules import Notes, Rule


class Simple(Protocol):
    """A format of calls that are answered whole, as embeddings are. ``Any``: a type of the middle
    form, the same for all formats of an operation; it has ``format`` and ``extra``."""

    NAME: str
    LACKS: Mapping[str, Rule]

    def read_request(self, body: bytes, *, model: str = "", stream: bool = False) -> Any: ...

    def write_request(self, request: Any, model: str, notes: Notes) -> bytes: ...

    def read_answer(self, body: bytes) -> Any: ...

    def write_answer(self, answer: Any, request: Any) -> bytes: ...

    def read_usage(self, data: bytes) -> Usage | None: ...


class Reader(Protocol):
    """Reads a streamed answer, cut anywhere. Bad input is a ``Failed`` event, no exception."""

    def feed(self, data: bytes) -> list[Event]:
        """What is complete with this piece."""

    def end(self) -> list[Event]:
        """The stream is over. Parts and choices that are still open are not ended here: their end
        is missing, and who reads on can tell that the answer broke off."""


class Writer(Protocol):
    """Writes a streamed answer for a client."""

    def write(self, events: list[Event]) -> bytes:
        """Perhaps nothing. Whole events of the stream only, each with its end."""

    def end(self) -> bytes:
        """After the last event, what this format ends a stream with; nothing after ``Failed``."""


class Format(Protocol):
    NAME: str
    LACKS: Mapping[str, Rule]
    """Fields of ``Request`` that this format cannot say (``middle.rules``)."""
    STREAM_TYPE: bytes
    """Content type of a streamed answer."""
    USAGE_MARK: bytes
    """In a line of a stream that holds no such bytes there is no usage to look for."""

    def read_request(self, body: bytes, *, model: str = "", stream: bool = False) -> Request:
        """``model`` and ``stream`` where the path says so and not the body.

        Raises InvalidJson, and InvalidRequest with the name of the field at fault. What the
        middle form has no place for goes to ``extra`` or a ``Foreign`` part: nothing is lost.
        """

    def write_request(self, request: Request, model: str, notes: Notes) -> bytes:
        """For a provider that knows the model as ``model``. Takes the request as it is: rules were
        applied (``rules.apply`` with ``LACKS``). Parts that cannot be said go to ``notes``: raises
        ParameterUnsupported where they are refused.
        """

    def read_answer(self, body: bytes) -> Answer:
        """Raises AnswerUnreadable."""

    def write_answer(self, answer: Answer, request: Request) -> bytes:
        """For the client that asked ``request``."""

    def reader(self) -> Reader: ...

    def writer(self, request: Request) -> Writer: ...

    def read_usage(self, data: bytes) -> Usage | None:
        """Of a whole answer's body, or of the JSON of one event of a stream; None where it has no
        usage. Never raises. Reports of one stream are put together by ``events.merged``."""

    def read_fault(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> Fault:
        """Of an answer with an error status, in whatever shape it came. Never raises."""

    def write_fault(self, fault: Fault) -> bytes:
        """The body of an error in this format's own shape."""

    def write_stream_fault(self, fault: Fault) -> bytes:
        """An error as the last event of a stream that has begun."""
