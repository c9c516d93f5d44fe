"""The requests of a batch, line by line: the model's public name goes, the provider's comes.

All lines must name one model, so that one deployment answers them all and its prices hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
from msgspec import Raw, Struct

from proxy.ai import doors, estimate, passing, values
from proxy.ai.batches import keepers
from proxy.ai.batches.errors import BatchFileInvalid, BatchLineInvalid
from proxy.ai.batches.keepers.line import LINE_LIMIT, Line, Splitter
from proxy.ai.errands import Place
from proxy.ai.middle.rules import Notes
from proxy.errors import GatewayError

MOST_LINES = 50_000
"""As OpenAI takes."""
_FORMATS = ("chat", "responses", "embeddings", "moderations")


class _Line(Struct):
    url: str
    body: Raw
    custom_id: str
    method: str = "POST"


_decode = msgspec.json.Decoder(_Line).decode
_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode


class Lines:
    """``choose`` finds the place of a model by its public name, and raises GatewayErrors."""

    def __init__(self, choose: Callable[[str], Place]) -> None:
        self._choose = choose
        self._splitter = Splitter()
        self._model = ""
        self.place: Place | None = None
        self.number = 0
        self.notes = Notes()
        """What the provider cannot be told of them."""
        self.input_tokens = self.output_tokens = 0
        self._ids: set[str] = set()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Each line that is complete, as the provider is told it. Raises BatchLineInvalid and
        BatchFileInvalid, and what ``choose`` raises, with the line's number."""
        for line in self._splitter.feed(data):
            yield from self._line(line)
        if self._splitter.waiting > LINE_LIMIT:
            raise BatchLineInvalid(self.number + 1, f"it has more than {LINE_LIMIT} bytes.")

    def end(self) -> Iterator[bytes]:
        yield from self._line(self._splitter.end())
        if self.place is None:
            raise BatchFileInvalid("The file holds no request. Send one a line, as JSON.")

    def _line(self, line: bytes) -> Iterator[bytes]:
        self.number += 1
        # Some take a carriage return for the end of a line: what is one request here must be one
        # there. JSON has it between values only.
        line = line.strip().replace(b"\r", b" ")
        if self.number > MOST_LINES and (line or self.number > 2 * MOST_LINES):
            raise BatchFileInvalid(f"The file has more than {MOST_LINES} lines. Send several.")
        if not line:
            return
        try:
            yield self._rewritten(line)
        except GatewayError as error:
            if not isinstance(error, BatchLineInvalid):
                error.detail = f"Line {self.number} of the file: {error.detail}"
            raise

    def _rewritten(self, line: bytes) -> bytes:
        values.check(line)
        try:
            said, fields = _decode(line), _decode_fields(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BatchLineInvalid(
                self.number, f"it is no request with custom_id, url and body ({error})."
            ) from error
        found = doors.find(said.url.removeprefix("/v1")) if said.url.startswith("/v1/") else None
        if found is None or found[0].format not in _FORMATS or said.method != "POST":
            raise BatchLineInvalid(
                self.number, f"{said.method[:10]} {said.url[:100]} cannot be asked in a batch."
            )
        door, body = found[0], bytes(said.body)
        asked = passing.parse(body)
        first = self.place is None
        place = self._place(asked.model)
        if door.ability not in place.model.model.abilities:
            raise BatchLineInvalid(
                self.number, f"the model '{asked.model[:100]}' cannot be asked for {said.url}."
            )
        if first:
            self.notes = Notes(place.model.name, place.model.model.routing.unsupported)
        line_ = Line(self.number, said.url, said.custom_id, door, asked, body, fields, self._ids)
        told = keepers.of(place).write(line_, place, self.notes)
        self.input_tokens += estimate.input_tokens(body)
        if door.ability == "chat":
            self.output_tokens += estimate.output_tokens(body)
        return told

    def _place(self, model: str) -> Place:
        if self.place is None:
            self.place, self._model = self._choose(model), model
        elif model != self._model:
            raise BatchLineInvalid(
                self.number,
                f"it names the model '{model[:100]}' and those before it '{self._model[:100]}'. "
                "All lines of a file must name the same model.",
            )
        return self.place
