"""Pictures from Google: of Gemini's models by ``generateContent``, of Imagen's by ``predict``.

Sources: the Gemini API's reference, "Image generation" and "Imagen"; Vertex AI's, "Imagen API".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import log
from typing import Any

from contract.usage import Measured
from proxy.ai import apart
from proxy.ai.errors import AnswerUnreadable, InvalidRequest, ParameterUnsupported
from proxy.ai.formats.fields import answer_fields, encode
from proxy.ai.formats.gemini import usage as counts
from proxy.ai.formats.media import images
from proxy.ai.formats.media.made import made, read_made
from proxy.ai.middle import Usage
from proxy.ai.middle.media import ImageAnswer, ImageRequest, Picture
from proxy.ai.middle.rules import Notes, Rule

NAME = "gemini_images"
LACKS: Mapping[str, Rule] = {
    "quality": "drop",
    "style": "drop",
    "moderation": "drop",
    "user": "drop",
    "stream": "refuse",
    "mask": "refuse",
    "partial_images": "drop",
}

_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")
_SHAPES = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
_IMAGEN_SHAPES = ("1:1", "3:4", "4:3", "9:16", "16:9")
_MOST = 4
"""Pictures that Imagen makes at once."""


def predicts(model: str) -> bool:
    """Whether the model is one of Imagen's."""
    return model.rpartition("/")[2].startswith("imagen")


def read_request(body: bytes, *, model: str = "", stream: bool = False) -> ImageRequest:
    return images.read_request(body, model=model, stream=stream)


def write_request(request: ImageRequest, model: str, notes: Notes) -> bytes:
    """Raises InvalidRequest and ParameterUnsupported."""
    if request.sources and predicts(model):
        raise ParameterUnsupported("image", notes.where)
    if request.background not in ("", "auto", "opaque"):
        notes.lacks("background", "refuse", only="opaque")
    if request.response_format == "url":
        notes.maps("response_format", "an address that holds the picture")
    return encode(_imagen(request, notes) if predicts(model) else _gemini(request, notes))


def _gemini(request: ImageRequest, notes: Notes) -> dict[str, Any]:
    if (request.n or 1) > 1:
        notes.lacks("n", "refuse", only="1")
    if request.output_format not in ("", "png"):
        notes.lacks("output_format", "refuse", only="png")
    if request.output_compression is not None:
        notes.lacks("output_compression")
    config: dict[str, Any] = {"responseModalities": ["IMAGE"]}
    shape = _shape(request.size, _SHAPES, notes)
    if shape:
        config["imageConfig"] = {"aspectRatio": shape}
    parts: list[dict[str, Any]] = [
        {"inlineData": {"mimeType": source.media_type, "data": source.data}}
        for source in request.sources
    ]
    contents = [{"role": "user", "parts": [*parts, {"text": request.prompt}]}]
    return {"contents": contents, "generationConfig": config}


def _imagen(request: ImageRequest, notes: Notes) -> dict[str, Any]:
    count = request.n or 1
    if count > _MOST:
        notes.lacks("n", "refuse", only=f"1 to {_MOST}")
        count = _MOST
    # Without a number Imagen makes as many as it can.
    parameters: dict[str, Any] = {"sampleCount": count}
    shape = _shape(request.size, _IMAGEN_SHAPES, notes)
    if shape:
        parameters["aspectRatio"] = shape
    output: dict[str, Any] = {}
    if request.output_format in ("png", "jpeg"):
        output["mimeType"] = f"image/{request.output_format}"
    elif request.output_format:
        notes.lacks("output_format", "refuse", only="png or jpeg")
    if request.output_compression is not None:
        if request.output_format == "jpeg":
            output["compressionQuality"] = request.output_compression
        else:
            notes.lacks("output_compression")
    if output:
        parameters["outputOptions"] = output
    return {"instances": [{"prompt": request.prompt}], "parameters": parameters}


def _shape(size: str, shapes: tuple[str, ...], notes: Notes) -> str:
    """The nearest that Google has; empty where the client leaves it to the model."""
    if size in ("", "auto"):
        return ""
    match = _SIZE.fullmatch(size)
    if match is None:
        raise InvalidRequest("The field 'size' must be auto, or like 1024x1024.", "size")
    wanted = log(int(match[1]) / int(match[2]))
    shape = min(shapes, key=lambda one: abs(log(_ratio(one)) - wanted))
    notes.maps("size", f"aspectRatio {shape}")
    return shape


def _ratio(shape: str) -> float:
    width, _, height = shape.partition(":")
    return int(width) / int(height)


def read_answer(body: bytes) -> ImageAnswer:
    """Raises AnswerUnreadable."""
    if b'"candidates"' not in body and b'"promptFeedback"' not in body:
        return _predicted(body)
    answer = read_made(body)
    found, why = made(answer, "image")
    pictures = [Picture(one.data, one.media_type) for one in found]
    usage = _counted(answer.usage, len(pictures))
    return ImageAnswer(format=NAME, pictures=pictures, why=why, usage=usage)


def _counted(usage: Usage | None, pictures: int) -> Usage:
    """Google is told neither a size nor a quality."""
    usage = usage or Usage()
    usage.measured = Measured(apart.PICTURE, pictures, apart.kind(None, None))
    return usage


def _predicted(body: bytes) -> ImageAnswer:
    """Where all pictures were filtered there is nothing at all, or only the reason."""
    fields = answer_fields(body)
    pictures, reasons = [], []
    for one in fields.each("predictions"):
        data, reason = one.text("bytesBase64Encoded"), one.text("raiFilteredReason")
        if data:
            kind = one.text("mimeType") or "image/png"
            pictures.append(Picture(data, kind, one.text("prompt")))
        elif reason:
            reasons.append(reason)
    if not pictures and not reasons and fields.rest():
        raise AnswerUnreadable
    why = " ".join(reasons) or "All of them were filtered."
    usage = _counted(None, len(pictures))
    return ImageAnswer(format=NAME, pictures=pictures, why=why, usage=usage)


def write_answer(answer: ImageAnswer, request: ImageRequest) -> bytes:
    """Raises ModelDeclined."""
    return images.write_answer(answer, request)


def read_usage(data: bytes) -> Usage | None:
    return counts.read_usage(data)
