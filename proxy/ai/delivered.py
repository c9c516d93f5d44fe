"""Counts of what is billed otherwise than by the token (``contract.usage.Measured``).

They are what the provider reports or what it delivered, and else follow exactly from the request;
where neither is so, the count is unknown. Sources: OpenAI's API reference ("The image generation
response", "The transcription object", "Create speech"); AWS's pricing of Bedrock, by which a query
of a reranker has up to 100 chunks of documents, and a chunk 500 tokens (Cohere's models; 512 at
Amazon's) with the query among them.
"""

from __future__ import annotations

import wave
from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct

from contract.usage import Measured
from proxy.ai import apart, usages, values
from proxy.ai.errors import InvalidRequest, TooManyValues
from proxy.ai.formats.registry import FORMATS
from proxy.ai.forms import places_of
from proxy.ai.middle import Usage

if TYPE_CHECKING:
    from proxy.ai.asking import Asking
    from proxy.exchange import Exchange
    from proxy.runtime import DeploymentRuntime

_CHUNKS, _CHUNK = 100, 490
"""Of a query, and tokens of each: some are reserved."""
_NOTHING = (b"null", b'""')
_MOST_SECONDS = 1_000_000.0
_MOST_PICTURES = 100_000
"""Whoever asks for more asks for all there are."""
_HEAD = 65_536
"""Bytes of a recording in which its sound begins."""


class _Picture(Struct):
    b64_json: Raw = Raw(b"null")
    url: Raw = Raw(b"null")


class _Pictures(Struct):
    """An answer with pictures, or the event of a stream that brings one."""

    data: list[_Picture] | None = None
    b64_json: Raw = Raw(b"null")
    usage: Raw = Raw(b"null")
    size: Any = None
    quality: Any = None


class _Duration(Struct):
    type: str = ""
    seconds: Any = None


class _Transcript(Struct):
    """``duration`` was a string once."""

    usage: _Duration | None = None
    duration: Any = None


class _Asked(Struct):
    n: Any = None
    size: Any = None
    quality: Any = None
    input: Any = None
    query: Any = None
    documents: list[Any] | None = None


_decode_pictures = msgspec.json.Decoder(_Pictures).decode
_decode_transcript = msgspec.json.Decoder(_Transcript).decode
_decode_asked = msgspec.json.Decoder(_Asked).decode
_encode = msgspec.json.Encoder().encode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def reader(asking: Asking) -> Callable[[bytes], Usage | None]:
    """As ``usages.reader``, for an answer that is passed on to this call."""
    if asking.format in FORMATS:
        return FORMATS[asking.format].read_usage
    if asking.door.ability == "images":
        return PicturesReader(asking.body).read
    if asking.door.ability == "transcription":
        return partial(_heard, asking.body)
    if asking.door.ability == "speech":
        return partial(_told, asking.body)
    return usages.read


class PicturesReader:
    """Of a whole answer, or of the events of a stream, one after the other."""

    def __init__(self, asked: bytes) -> None:
        self._asked = asked
        self._made = 0

    def read(self, data: bytes) -> Usage | None:
        try:
            answer = _decode_pictures(data)
        except _UNREADABLE:
            return Usage(measured=Measured(apart.PICTURE))
        usage = usages.read(b'{"usage":%b}' % bytes(answer.usage)) or Usage()
        usage.measured = Measured(apart.PICTURE)
        self._made += _there(answer)
        # Nothing where there should be something is another shape, which is not read here.
        if self._made or answer.data == []:
            size, quality = answer.size, answer.quality
            if not size or not quality:
                asked = wanted(self._asked)
                size, quality = size or asked.size, quality or asked.quality
            usage.measured = Measured(apart.PICTURE, self._made, apart.kind(size, quality))
        return usage


def _there(answer: _Pictures) -> int:
    if answer.data is None:
        return int(bytes(answer.b64_json) not in _NOTHING)
    return sum(map(_is_there, answer.data))


def _is_there(one: _Picture) -> bool:
    return bytes(one.b64_json) not in _NOTHING or bytes(one.url) not in _NOTHING


def _told(asked: bytes, data: bytes) -> Usage | None:
    """Where sound comes by itself there is nothing to be read."""
    usage = usages.read(data)
    if usage is not None:
        usage.measured = Measured(apart.CHARACTER, spoken(asked))
    return usage


def _heard(asked: bytes, data: bytes) -> Usage:
    """By what was billed, where the provider says so; else by the duration beside the times; else
    by the recording itself."""
    usage = usages.read(data) or Usage()
    duration: Any = None
    try:
        said = _decode_transcript(data)
    except _UNREADABLE:
        pass
    else:
        duration = said.usage.seconds if said.usage is not None else None
        duration = said.duration if duration is None else duration
    milliseconds = _milliseconds(duration)
    usage.measured = Measured(
        apart.MILLISECOND, recorded(asked) if milliseconds is None else milliseconds
    )
    return usage


def _milliseconds(seconds: Any) -> int | None:
    if type(seconds) not in (int, float, str):
        return None
    try:
        value = float(seconds)
    except (ValueError, OverflowError):
        return None
    return round(value * 1000) if 0 <= value <= _MOST_SECONDS else None


def unreported(exchange: Exchange, deployment: DeploymentRuntime) -> Usage | None:
    """Of a call whose provider answered and said nothing of its usage."""
    if exchange.asked is None:
        return None
    _, body, ability = exchange.asked
    if ability == "speech":
        return Usage(measured=Measured(apart.CHARACTER, spoken(body)))
    if ability == "transcription":
        return Usage(measured=Measured(apart.MILLISECOND, recorded(body)))
    if ability == "images":
        return Usage(measured=Measured(apart.PICTURE))
    if ability == "rerank" and deployment.provider.provider.wire_format == "bedrock":
        least, most = searches(body)
        count = most if least == most else None
        tokens = None if count is None else 0
        return Usage(tokens, tokens, searches=count, measured=Measured(apart.SEARCH, count))
    return None


def wanted(body: bytes) -> _Asked:
    """What a request says, be it JSON or a form; texts of a form are texts here too. Nothing of one
    that holds too much to be read."""
    try:
        if not body.startswith(b"--"):
            values.check(body)
            return _decode_asked(body)
        places = places_of(body)
        told: dict[str, Any] = {
            name: body[slice(*places[name])].decode()
            for name in ("n", "size", "quality")
            if name in places
        }
    except (*_UNREADABLE, InvalidRequest, TooManyValues):
        return _Asked()
    return _Asked(**told)


def pictures(body: bytes) -> Measured:
    """How many a request asks for, and of which kind."""
    asked = wanted(body)
    text = str(asked.n).strip()
    count = 1
    if text.isascii() and text.isdigit():
        count = int(text) if len(text) < len(str(_MOST_PICTURES)) else _MOST_PICTURES
    return Measured(apart.PICTURE, max(1, count), apart.kind(asked.size, asked.quality))


def spoken(body: bytes) -> int | None:
    text = wanted(body).input
    return len(text) if type(text) is str else None


def recorded(body: bytes) -> int | None:
    """Milliseconds of the recording in a form: exact where it is an uncompressed WAV file, and
    whole, else None."""
    try:
        place = places_of(body).get("file")
    except InvalidRequest:
        return None
    if place is None or not body.startswith(b"RIFF", place[0]):
        return None
    try:
        head = BytesIO(body[place[0] : place[0] + _HEAD])
        with wave.open(head) as file:
            frames: int = file.getnframes()
            rate: int = file.getframerate()
            end = head.tell() + frames * file.getnchannels() * file.getsampwidth()
    except (wave.Error, EOFError):
        return None
    if rate <= 0 or end > place[1] - place[0]:
        return None
    return -(-frames * 1000 // rate)


def searches(body: bytes) -> tuple[int, int]:
    """The least and the most queries of a reranker of Bedrock's that a request can be: a token has
    a byte at least, and a document a chunk."""
    asked = wanted(body)
    room = max(1, _CHUNK - _size(asked.query))
    chunks = [max(1, -(-_size(one) // room)) for one in asked.documents or ()]
    return max(1, -(-len(chunks) // _CHUNKS)), max(1, -(-sum(chunks) // _CHUNKS))


def _size(text: Any) -> int:
    return len(text.encode()) if type(text) is str else len(_encode(text))
