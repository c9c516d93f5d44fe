"""Token usage read from an answer in OpenAI's format while it passes through.

Source of the wire format: OpenAI's API reference, "usage" of chat completions,
embeddings and the last chunk of a stream. Compatible providers send the same fields,
or fewer of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, Struct

if TYPE_CHECKING:
    from proxy.exchange import Exchange

HELD_LIMIT = 1_048_576
"""Bytes of one unfinished line. A longer line is passed on as it arrives and not looked into."""

# A quote inside a JSON string is escaped, so this finds only keys.
_HAS_USAGE = re.compile(rb'"usage"\s*:\s*\{').search

Tokens = Annotated[int, Meta(ge=0, le=1 << 40)]
"""What says otherwise is taken for no report at all."""

_LINE_BREAKS = (b"\n", b"\r\n")
_BLANK = (b"\n\n", b"\n\r\n")


class PromptDetails(Struct):
    cached_tokens: Tokens | None = None


class CompletionDetails(Struct):
    reasoning_tokens: Tokens | None = None


class Usage(Struct):
    prompt_tokens: Tokens | None = None
    completion_tokens: Tokens | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None


class Answer(Struct):
    """A whole answer, or one chunk of a stream, as far as the usage goes."""

    usage: Usage | None = None
    choices: list[msgspec.Raw] | None = None


_decode = msgspec.json.Decoder(Answer).decode


def read(data: bytes) -> Answer:
    """An empty Answer where the data is no JSON object or has fields of other types."""
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Answer()


def record(exchange: Exchange, usage: Usage | None) -> None:
    """Puts the tokens on the exchange; what was not reported stays None."""
    if usage is None:
        return
    exchange.input_tokens = usage.prompt_tokens
    exchange.output_tokens = usage.completion_tokens
    if usage.prompt_tokens_details is not None:
        exchange.cached_tokens = usage.prompt_tokens_details.cached_tokens
    if usage.completion_tokens_details is not None:
        exchange.reasoning_tokens = usage.completion_tokens_details.reasoning_tokens


class StreamTap:
    """Passes a stream of server-sent events on in whole lines and remembers the last usage.

    An unfinished line is held until the rest arrives: no client can read half a line, and
    a stream that breaks off can then be ended with a readable error. ``drop_usage`` takes
    out the chunk that holds nothing but usage, for clients that did not ask for it; all
    else is passed on byte for byte.
    """

    __slots__ = ("_drop", "_held", "_skip_blank", "blank", "usage")

    def __init__(self, *, drop_usage: bool) -> None:
        self._drop = drop_usage
        self._held = b""
        self._skip_blank = False
        self.blank = True
        """What was passed on ends with an empty line, so a new event may begin."""
        self.usage: Usage | None = None

    def feed(self, chunk: bytes) -> bytes:
        """What to send on now, perhaps nothing."""
        if chunk[-1:] != b"\n" or self._held:
            chunk = self._whole_lines(chunk)
            if not chunk:
                return b""
        if self._skip_blank or (b'"usage"' in chunk and _HAS_USAGE(chunk)):
            chunk = self._look(chunk)
        if chunk:
            self.blank = chunk.endswith(_BLANK) or chunk in _LINE_BREAKS
        return chunk

    def end(self) -> bytes:
        """The last line, if the stream ends without a line break."""
        last, self._held = self._held, b""
        return self._look(last) if last else b""

    def _whole_lines(self, chunk: bytes) -> bytes:
        data = self._held + chunk if self._held else chunk
        end = data.rfind(b"\n") + 1
        if len(data) - end > HELD_LIMIT:
            end = len(data)
        self._held = data[end:]
        return data[:end]

    def _look(self, lines: bytes) -> bytes:
        kept = []
        for line in lines.splitlines(keepends=True):
            if self._skip_blank:
                self._skip_blank = False
                if not line.strip():
                    continue
            if line.startswith(b"data:") and _HAS_USAGE(line):
                answer = read(line[5:])
                if answer.usage is not None:
                    self.usage = answer.usage
                    if self._drop and not answer.choices:
                        self._skip_blank = True
                        continue
            kept.append(line)
        return b"".join(kept)
