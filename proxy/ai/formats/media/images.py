"""Pictures as OpenAI's clients ask for them. Source: OpenAI's API reference, "Create image"."""

from __future__ import annotations

from collections.abc import Mapping
from time import time
from typing import Any

from proxy.ai import usages
from proxy.ai.errors import AnswerUnreadable, InvalidRequest, ModelDeclined
from proxy.ai.formats import data_url
from proxy.ai.formats.fields import answer_fields, encode, request_fields
from proxy.ai.middle import Usage
from proxy.ai.middle.media import ImageAnswer, ImageRequest, Picture
from proxy.ai.middle.rules import Notes, Rule

NAME = "images"
LACKS: Mapping[str, Rule] = {}


def read_request(body: bytes, *, model: str = "", stream: bool = False) -> ImageRequest:
    """Raises InvalidJson and InvalidRequest."""
    fields = request_fields(body)
    request = ImageRequest(
        format=NAME,
        model=fields.text("model"),
        prompt=fields.text("prompt"),
        n=fields.whole("n"),
        size=fields.text("size"),
        quality=fields.text("quality"),
        style=fields.text("style"),
        background=fields.text("background"),
        output_format=fields.text("output_format"),
        output_compression=fields.whole("output_compression"),
        moderation=fields.text("moderation"),
        response_format=fields.text("response_format"),
        stream=fields.flag("stream"),
        partial_images=fields.whole("partial_images"),
        user=fields.text("user"),
        extra=fields.rest(),
    )
    return checked(request)


def checked(request: ImageRequest) -> ImageRequest:
    """Raises InvalidRequest."""
    if not request.prompt:
        raise InvalidRequest("The field 'prompt' is missing.", "prompt")
    if request.n is not None and not 1 <= request.n <= 10:
        raise InvalidRequest("The field 'n' must be 1 to 10.", "n")
    if request.response_format not in ("", "url", "b64_json"):
        raise InvalidRequest(
            "The field 'response_format' must be url or b64_json.", "response_format"
        )
    return request


def write_request(request: ImageRequest, model: str, notes: Notes) -> bytes:
    told: dict[str, Any] = {"model": model, "prompt": request.prompt, **request.extra}
    for name in (
        "n",
        "size",
        "quality",
        "style",
        "background",
        "output_format",
        "output_compression",
        "moderation",
        "response_format",
        "stream",
        "partial_images",
        "user",
    ):
        value = getattr(request, name)
        if value is not None and value != "":
            told[name] = value
    return encode(told)


def read_answer(body: bytes) -> ImageAnswer:
    """Raises AnswerUnreadable."""
    fields = answer_fields(body)
    pictures = []
    for one in fields.each("data"):
        data, url = one.text("b64_json"), one.text("url")
        inside = data_url.split(url) if not data else None
        kind = f"image/{fields.text('output_format') or 'png'}"
        if inside is not None:
            kind, data = inside
        pictures.append(Picture(data, kind, one.text("revised_prompt")))
    if not pictures:
        raise AnswerUnreadable
    return ImageAnswer(format=NAME, pictures=pictures, usage=usages.read(body))


def write_answer(answer: ImageAnswer, request: ImageRequest) -> bytes:
    """An address where one is wanted holds the picture itself. Raises ModelDeclined."""
    if not answer.pictures:
        raise ModelDeclined("picture", answer.why)
    data = []
    for picture in answer.pictures:
        told = {"b64_json": picture.data}
        if request.response_format == "url":
            told = {"url": data_url.join(picture.media_type, picture.data)}
        if picture.prompt:
            told["revised_prompt"] = picture.prompt
        data.append(told)
    written: dict[str, Any] = {"created": int(time()), "data": data}
    written["output_format"] = answer.pictures[0].media_type.partition("/")[2]
    if answer.usage is not None and answer.usage.input_tokens is not None:
        written["usage"] = _usage(answer.usage)
    return encode(written)


def _usage(usage: Usage) -> dict[str, Any]:
    asked, wrote = usage.input_tokens or 0, usage.output_tokens or 0
    seen, drawn = usage.input_image_tokens or 0, usage.output_image_tokens or 0
    return {
        "input_tokens": asked,
        "output_tokens": wrote,
        "total_tokens": asked + wrote,
        "input_tokens_details": {"text_tokens": asked - seen, "image_tokens": seen},
        "output_tokens_details": {"text_tokens": wrote - drawn, "image_tokens": drawn},
    }


def read_usage(data: bytes) -> Usage | None:
    return usages.read(data)
