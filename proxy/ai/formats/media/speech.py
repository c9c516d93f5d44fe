"""Speech as OpenAI's clients ask for it. Source: OpenAI's API reference, "Create speech"."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from typing import Any

from proxy.ai import usages
from proxy.ai.errors import AnswerUnreadable, InvalidRequest, ModelDeclined
from proxy.ai.formats.fields import encode, request_fields
from proxy.ai.middle import Usage
from proxy.ai.middle.media import SpeechAnswer, SpeechRequest
from proxy.ai.middle.rules import Notes, Rule

NAME = "speech"
LACKS: Mapping[str, Rule] = {}

_FORMATS = ("", "mp3", "opus", "aac", "flac", "wav", "pcm")
_RAW = ("audio/l16", "audio/pcm")
_SOUND = re.compile(r"audio/[a-z0-9.+-]+")
_RATE, _CHANNELS, _SAMPLE_BYTES = 24_000, 1, 2
"""Of raw sound where nothing else is said: 16-bit numbers, the low byte first."""
_MOST_RATE, _MOST_CHANNELS = 384_000, 64


def read_request(body: bytes, *, model: str = "", stream: bool = False) -> SpeechRequest:
    """Raises InvalidJson and InvalidRequest."""
    fields = request_fields(body)
    voice = fields.take("voice")
    own = fields.at(voice, "voice").text("id") if type(voice) is dict else voice
    request = SpeechRequest(
        format=NAME,
        model=fields.text("model"),
        input=fields.text("input"),
        voice=own if type(own) is str else "",
        instructions=fields.text("instructions"),
        response_format=fields.text("response_format"),
        speed=fields.number("speed"),
        stream_format=fields.text("stream_format"),
        extra=fields.rest(),
    )
    for name in ("input", "voice"):
        if not getattr(request, name):
            raise InvalidRequest(f"The field '{name}' must be a string that is not empty.", name)
    if request.response_format not in _FORMATS:
        text = f"The field 'response_format' must be one of {', '.join(_FORMATS[1:])}."
        raise InvalidRequest(text, "response_format")
    return request


def write_request(request: SpeechRequest, model: str, notes: Notes) -> bytes:
    told: dict[str, Any] = {
        "model": model,
        "input": request.input,
        "voice": request.voice,
        "instructions": request.instructions or None,
        "response_format": request.response_format or None,
        "speed": request.speed,
        "stream_format": request.stream_format or None,
        **request.extra,
    }
    return encode({name: value for name, value in told.items() if value is not None})


def read_answer(body: bytes) -> SpeechAnswer:
    """What it is only the head of the answer says."""
    return SpeechAnswer(format=NAME, sound=body, media_type="")


def write_answer(answer: SpeechAnswer, request: SpeechRequest) -> bytes:
    """Raw sound as it is where that is asked for, else with the head of a WAV file. Raises
    ModelDeclined, and AnswerUnreadable for sound of another kind."""
    if not answer.sound:
        raise ModelDeclined("sound", answer.why)
    plain, *options = (part.strip().lower() for part in answer.media_type.split(";"))
    if plain not in _RAW:
        if not _SOUND.fullmatch(plain) or request.response_format == "pcm":
            raise AnswerUnreadable
        answer.content_type = plain.encode()
        return answer.sound
    said = dict(option.partition("=")[::2] for option in options)
    rate = _number(said.get("rate"), _RATE, _MOST_RATE)
    channels = _number(said.get("channels"), _CHANNELS, _MOST_CHANNELS)
    if request.response_format == "pcm":
        answer.content_type = b"audio/pcm" if rate == _RATE else b"audio/pcm;rate=%d" % rate
        return answer.sound
    answer.content_type = b"audio/wav"
    return _wav_head(len(answer.sound), rate, channels) + answer.sound


def _number(text: str | None, otherwise: int, most: int) -> int:
    """Raises AnswerUnreadable."""
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) < 7 and 1 <= int(text) <= most):
        raise AnswerUnreadable
    return int(text)


def _wav_head(size: int, rate: int, channels: int) -> bytes:
    """Of 16-bit samples: the canonical 44 bytes."""
    frame = channels * _SAMPLE_BYTES
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        36 + size,
        b"WAVE",
        b"fmt ",
        16,
        1,
        channels,
        rate,
        rate * frame,
        frame,
        8 * _SAMPLE_BYTES,
        b"data",
        size,
    )


def read_usage(data: bytes) -> Usage | None:
    return usages.read(data)
