"""Speech of Gemini's models. Source: the Gemini API's documentation, "Speech generation": raw
sound of 16 bits comes back, and the voice is one of 30."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from contract.usage import Measured
from proxy.ai import apart
from proxy.ai.errors import AnswerUnreadable
from proxy.ai.formats.fields import encode
from proxy.ai.formats.gemini import usage as counts
from proxy.ai.formats.media import speech
from proxy.ai.formats.media.made import made, read_made
from proxy.ai.middle import Usage
from proxy.ai.middle.media import SpeechAnswer, SpeechRequest
from proxy.ai.middle.rules import Notes, Rule

NAME = "gemini_speech"
LACKS: Mapping[str, Rule] = {"speed": "drop", "stream_format": "refuse"}

_VOICES = {
    "alloy": "Kore",
    "ash": "Orus",
    "ballad": "Algieba",
    "cedar": "Iapetus",
    "coral": "Aoede",
    "echo": "Puck",
    "fable": "Fenrir",
    "marin": "Leda",
    "nova": "Zephyr",
    "onyx": "Charon",
    "sage": "Sulafat",
    "shimmer": "Achernar",
    "verse": "Rasalgethi",
}
"""A voice of Google's in the place of each of OpenAI's. All others are Google's own names."""


def read_request(body: bytes, *, model: str = "", stream: bool = False) -> SpeechRequest:
    return speech.read_request(body, model=model, stream=stream)


def write_request(request: SpeechRequest, model: str, notes: Notes) -> bytes:
    """Raises ParameterUnsupported."""
    if not request.response_format:
        notes.maps("response_format", "wav")
    elif request.response_format not in ("wav", "pcm"):
        notes.lacks("response_format", "refuse", only="wav or pcm")
    voice = _VOICES.get(request.voice, request.voice)
    if voice != request.voice:
        notes.maps("voice", voice)
    text = request.input
    if request.instructions:
        # These models are told how to speak in the text itself.
        text = f"{request.instructions.rstrip(' .:')}:\n{text}"
        notes.maps("instructions", "before the text")
    config: dict[str, Any] = {
        "responseModalities": ["AUDIO"],
        "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": voice}}},
    }
    contents = [{"role": "user", "parts": [{"text": text}]}]
    return encode({"contents": contents, "generationConfig": config})


def read_answer(body: bytes) -> SpeechAnswer:
    """Raises AnswerUnreadable."""
    answer = read_made(body)
    found, why = made(answer, "audio")
    try:
        sound = b"".join(b64decode(part.data, validate=True) for part in found)
    except ValueError as error:
        raise AnswerUnreadable from error
    kind = found[0].media_type if found else ""
    if answer.usage is not None:
        answer.usage.measured = Measured(apart.CHARACTER)
    return SpeechAnswer(format=NAME, sound=sound, media_type=kind, why=why, usage=answer.usage)


def write_answer(answer: SpeechAnswer, request: SpeechRequest) -> bytes:
    """Raises ModelDeclined and AnswerUnreadable."""
    return speech.write_answer(answer, request)


def read_usage(data: bytes) -> Usage | None:
    return counts.read_usage(data)
