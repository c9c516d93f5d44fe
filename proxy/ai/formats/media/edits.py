"""Pictures made from others, as OpenAI's clients ask for them: a form.

Source: OpenAI's API reference, "Create image edit".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.ai.errors import InvalidRequest, ParameterUnsupported
from proxy.ai.formats import data_url
from proxy.ai.formats.media import images
from proxy.ai.forms import Field, fields_of
from proxy.ai.middle import Usage
from proxy.ai.middle.media import ImageAnswer, ImageRequest, Source
from proxy.ai.middle.rules import Notes, Rule

NAME = "image_edits"
LACKS: Mapping[str, Rule] = {}

_TEXTS = (
    "model",
    "prompt",
    "size",
    "quality",
    "background",
    "output_format",
    "response_format",
    "user",
)
_NUMBERS = ("n", "output_compression", "partial_images")


def read_request(body: bytes, *, model: str = "", stream: bool = False) -> ImageRequest:
    """``body``: a form that begins with its boundary. Raises InvalidRequest."""
    request = ImageRequest(format=NAME, model=model, prompt="")
    extra: dict[str, Any] = {}
    for field in fields_of(body):
        name = field.name.removesuffix("[]")
        if name == "image":
            request.sources.append(Source(field.value, _type(field)))
        elif name == "mask":
            request.mask = True
        elif name in _TEXTS:
            setattr(request, name, field.text)
        elif name in _NUMBERS:
            setattr(request, name, _whole(field))
        elif name == "stream":
            request.stream = field.text.strip().lower() == "true"
        else:
            extra[name] = field.text
    request.extra = extra
    if not request.sources:
        raise InvalidRequest("The form needs a field 'image' with a picture.", "image")
    return images.checked(request)


def _type(field: Field) -> str:
    """What the client says that it is, or what its name speaks for."""
    said = field.media_type.partition(";")[0].strip().lower()
    kind = said if said.startswith("image/") else data_url.guessed(field.filename, "")
    if not field.value or not kind.startswith("image/"):
        raise InvalidRequest(
            "Each 'image' must be a picture: name it with an ending like .png, or send its "
            "Content-Type.",
            "image",
        )
    return kind


def _whole(field: Field) -> int:
    text = field.text.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidRequest(f"The field '{field.name}' must be a whole number.", field.name)
    return int(text)


def write_request(request: ImageRequest, model: str, notes: Notes) -> bytes:
    """Raises ParameterUnsupported: a form is only passed on."""
    raise ParameterUnsupported("image", notes.where)


def read_answer(body: bytes) -> ImageAnswer:
    """Raises AnswerUnreadable."""
    return images.read_answer(body)


def write_answer(answer: ImageAnswer, request: ImageRequest) -> bytes:
    """Raises ModelDeclined."""
    return images.write_answer(answer, request)


def read_usage(data: bytes) -> Usage | None:
    return images.read_usage(data)
