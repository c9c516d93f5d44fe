"""Transcripts as OpenAI's clients ask for them, and translations into English.

Source: OpenAI's API reference, "Create transcription" and "Create translation".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.ai import usages
from proxy.ai.errors import InvalidRequest, ModelDeclined, ParameterUnsupported
from proxy.ai.formats import data_url
from proxy.ai.formats.fields import answer_fields, encode
from proxy.ai.forms import Field, fields_of
from proxy.ai.middle import Usage
from proxy.ai.middle.media import TranscriptAnswer, TranscriptRequest
from proxy.ai.middle.rules import Notes, Rule

LIMIT = 26_214_400
"""Bytes of a recording, as at OpenAI."""

_TYPES = {
    "flac": "audio/flac",
    "m4a": "audio/mp4",
    "mp3": "audio/mpeg",
    "mp4": "audio/mp4",
    "mpeg": "audio/mpeg",
    "mpga": "audio/mpeg",
    "ogg": "audio/ogg",
    "wav": "audio/wav",
    "webm": "audio/webm",
}
_FORMATS = ("", "json", "text", "srt", "verbose_json", "vtt", "diarized_json")
_TEXTS = ("model", "language", "prompt", "response_format", "chunking_strategy")
_LISTS = ("timestamp_granularities", "include")


class Transcripts:
    """``translate``: into English."""

    LACKS: Mapping[str, Rule] = {}

    def __init__(self, name: str, *, translate: bool) -> None:
        self.NAME = name
        self._translate = translate

    def read_request(
        self, body: bytes, *, model: str = "", stream: bool = False
    ) -> TranscriptRequest:
        """``body``: a form that begins with its boundary. Raises InvalidRequest."""
        texts: dict[str, str] = {}
        lists: dict[str, list[str]] = {name: [] for name in _LISTS}
        extra: dict[str, Any] = {}
        file: Field | None = None
        for field in fields_of(body):
            name = field.name.removesuffix("[]")
            if name == "file":
                file = field
            elif name in lists:
                lists[name].append(field.text)
            elif name in _TEXTS or name in ("temperature", "stream"):
                texts[name] = field.text
            else:
                extra[name] = field.text
        if file is None or not file.value:
            raise InvalidRequest("The form needs a field 'file' with the recording.", "file")
        if len(file.value) > LIMIT:
            raise InvalidRequest("The recording may have 25 MB at most. Send it in parts.", "file")
        kind = texts.get("response_format", "")
        if kind not in _FORMATS:
            text = f"The field 'response_format' must be one of {', '.join(_FORMATS[1:])}."
            raise InvalidRequest(text, "response_format")
        return TranscriptRequest(
            format=self.NAME,
            model=texts.get("model", ""),
            sound=file.value,
            media_type=_type(file),
            translate=self._translate,
            language=texts.get("language", ""),
            prompt=texts.get("prompt", ""),
            response_format=kind,
            temperature=_temperature(texts.get("temperature", "")),
            stream=texts["stream"].strip().lower() == "true" if "stream" in texts else None,
            timestamp_granularities=lists["timestamp_granularities"],
            include=lists["include"],
            chunking_strategy=texts.get("chunking_strategy", ""),
            extra=extra,
        )

    def write_request(self, request: TranscriptRequest, model: str, notes: Notes) -> bytes:
        """Raises ParameterUnsupported: a form is only passed on."""
        raise ParameterUnsupported("file", notes.where)

    def read_answer(self, body: bytes) -> TranscriptAnswer:
        """Raises AnswerUnreadable."""
        return TranscriptAnswer(
            format=self.NAME, text=answer_fields(body).text("text"), usage=usages.read(body)
        )

    def write_answer(self, answer: TranscriptAnswer, request: TranscriptRequest) -> bytes:
        """Raises ModelDeclined."""
        if answer.why:
            raise ModelDeclined("transcript", answer.why)
        if request.response_format == "text":
            answer.content_type = b"text/plain; charset=utf-8"
            return answer.text.encode() + b"\n"
        written: dict[str, Any] = {"text": answer.text}
        if answer.usage is not None:
            written["usage"] = _usage(answer.usage)
        return encode(written)

    def read_usage(self, data: bytes) -> Usage | None:
        return usages.read(data)


def _type(file: Field) -> str:
    """What the client says that it is, or what its name speaks for."""
    said = file.media_type.partition(";")[0].strip().lower()
    if said.startswith("audio/"):
        return _TYPES.get(data_url.sound_format(said), said)
    if said.startswith("video/"):
        return said
    kind = _TYPES.get(file.filename.rpartition(".")[2].lower())
    if kind is None:
        raise InvalidRequest(
            f"It cannot be told what kind of recording 'file' is. Name it with one of the endings "
            f"{', '.join(_TYPES)}, or send its Content-Type.",
            "file",
        )
    return kind


def _temperature(text: str) -> float | None:
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise InvalidRequest("The field 'temperature' must be a number from 0 to 1.", "temperature")
    return value


def _usage(usage: Usage) -> dict[str, Any]:
    asked, wrote = usage.input_tokens or 0, usage.output_tokens or 0
    told = {"type": "tokens", "input_tokens": asked, "output_tokens": wrote}
    told["total_tokens"] = asked + wrote
    heard = usage.input_audio_tokens
    if heard is not None:
        told["input_token_details"] = {"audio_tokens": heard, "text_tokens": asked - heard}
    return told


TRANSCRIPTIONS = Transcripts("transcriptions", translate=False)
TRANSLATIONS = Transcripts("translations", translate=True)
