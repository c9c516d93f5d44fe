"""``data:`` addresses, and the names of types of media.

Source: RFC 2397.
"""

from __future__ import annotations

import mimetypes

_SOUNDS = {
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/wav": "wav",
    "audio/wave": "wav",
    "audio/x-wav": "wav",
    "audio/vnd.wave": "wav",
    "audio/x-m4a": "m4a",
    "audio/mp4": "m4a",
    "audio/mp4a-latm": "m4a",
    "audio/x-flac": "flac",
    "audio/l16": "pcm16",
}
_SOUND_TYPES = {"mp3": "audio/mpeg", "m4a": "audio/mp4"}


def split(url: str) -> tuple[str, str] | None:
    """Media type and base64 data; None for any other address, and for data that is not base64."""
    if url[:5].lower() != "data:":
        return None
    head, comma, data = url[5:].partition(",")
    media_type, *options = head.split(";")
    if not comma or "base64" not in (option.strip().lower() for option in options):
        return None
    return media_type.strip().lower(), unbroken(data)


def join(media_type: str, data: str) -> str:
    return f"data:{media_type};base64,{data}"


def unbroken(data: str) -> str:
    """Base64 without line breaks and blanks."""
    return data if data.isascii() and data.isalnum() else "".join(data.split())


def guessed(name: str, otherwise: str) -> str:
    """The media type that a file's name speaks for."""
    return mimetypes.guess_type(name)[0] or otherwise


def sound_type(format: str) -> str:  # noqa: A002
    """Of what is called ``mp3``, ``wav``, ``pcm16`` and so on."""
    return _SOUND_TYPES.get(format, f"audio/{format}") if format else ""


def sound_format(media_type: str) -> str:
    """The other way round; ``wav`` where nothing is known."""
    plain = media_type.partition(";")[0].strip().lower()
    return _SOUNDS.get(plain) or plain.partition("/")[2] or "wav"
