"""Whole answers, in both directions.

Source: OpenAI's API reference, "The chat completion object", and those of the providers named in
``thoughts``, ``usage`` and ``finish``.
"""

from __future__ import annotations

import secrets
import time
from typing import Any

from proxy.ai.formats import data_url
from proxy.ai.formats.chat import finish, messages, thoughts, tools, usage
from proxy.ai.formats.chat.dialects import OWN, Telling
from proxy.ai.formats.chat.messages import merged
from proxy.ai.formats.chat.names import NAME, own, owned
from proxy.ai.formats.fields import Fields, answer_fields, encode, tables
from proxy.ai.middle import (
    Answer,
    Choice,
    Citation,
    Media,
    Part,
    Refusal,
    Request,
    Text,
    ToolCall,
)
from proxy.ai.middle.rules import Notes

_TOLD = Telling(OWN, Notes(), own=True, former=False)


def read_answer(body: bytes) -> Answer:
    fields = answer_fields(body)
    if not fields.has("choices"):
        raise fields.wrong("choices", "an array")
    answer = Answer(
        format=NAME,
        id=fields.text("id"),
        model=fields.text("model"),
        created=created(fields),
    )
    sources = _sources(fields)
    for place, choice in enumerate(fields.each("choices")):
        answer.choices.append(_choice(choice, call_id(answer.id, place), sources))
    counted = fields.take("usage")
    answer.usage = usage.of_chunk(counted, None)
    fields.take("object")
    answer.extra = fields.rest()
    if type(counted) is dict:
        answer.extra |= usage.rest(counted)
    return answer


def created(fields: Fields) -> int:
    """Some providers send fractions of seconds."""
    given = fields.take("created")
    return int(given) if type(given) in (int, float) and 0 <= given < 1 << 40 else 0


def call_id(answer_id: str, choice: int) -> str:
    """What calls of tools without an id of their own are named by, as far as the answer goes."""
    plain = "".join(c for c in answer_id if c.isascii() and (c.isalnum() or c in "-_"))
    return f"call_{plain}_{choice}"


def _sources(fields: Fields) -> list[Citation]:
    """Perplexity's: addresses for the whole answer, which it numbers in the text."""
    found = tables(fields.rest().get("search_results"))
    if found is not None:
        return [
            Citation(_str(entry, "url"), _str(entry, "title"), _str(entry, "snippet"))
            for entry in found
        ]
    urls = fields.rest().get("citations")
    if type(urls) is list:
        return [Citation(url) for url in urls if type(url) is str]
    return []


def _str(entry: dict[str, Any], name: str) -> str:
    value = entry.get(name)
    return value if type(value) is str else ""


def _choice(fields: Fields, made_id: str, sources: list[Citation]) -> Choice:
    message = fields.inner("message")
    if message is None:
        raise fields.wrong("message", "an object")
    parts, more = messages.said(message, made_id)
    choice = Choice(parts)
    text = next((part for part in choice.parts if isinstance(part, Text)), None)
    if text is not None and not text.citations:
        text.citations = list(sources)
    reason = fields.text("finish_reason")
    choice.finish = finish.read(reason) if reason else finish.unsaid(choice.parts)
    choice.stop_sequence = stop_sequence(fields)
    logprobs = fields.inner("logprobs")
    if logprobs is not None:
        choice.logprobs = tables(logprobs.take("content"))
    fields.take("index")
    rest = fields.rest()
    if logprobs is not None and logprobs.rest():
        rest["logprobs"] = {"content": choice.logprobs} | logprobs.rest()
    if reason and not finish.known(reason):
        rest["finish_reason"] = reason
    if more:
        rest["message"] = more
    choice.extra = own(rest)
    return choice


def stop_sequence(fields: Fields) -> str | None:
    """vLLM's ``stop_reason``; a number is a token's and stays where it is."""
    given = fields.rest().get("stop_reason")
    return given if type(given) is str else None


def write_answer(answer: Answer, request: Request) -> bytes:
    former = tools.old(request)
    body: dict[str, Any] = {
        "id": answer.id or f"chatcmpl-{secrets.token_hex(12)}",
        "object": "chat.completion",
        "created": answer.created or int(time.time()),
        "model": answer.model or request.model,
        "choices": [
            _choice_written(choice, place, former) for place, choice in enumerate(answer.choices)
        ],
    }
    if answer.usage is not None:
        body["usage"] = usage.write(answer.usage)
    if answer.format == NAME:
        for name, value in answer.extra.items():
            if name.startswith("usage.") and "usage" in body:
                merged(body["usage"], {name.removeprefix("usage."): value})
            else:
                body[name] = value
    return encode(body)


def _choice_written(choice: Choice, place: int, former: bool) -> dict[str, Any]:
    written: dict[str, Any] = {
        "index": place,
        "message": _message(choice.parts, owned(choice.extra).get("message", {}), former),
        "logprobs": None,
        "finish_reason": finish.write(choice.finish, former),
    }
    if choice.logprobs is not None:
        written["logprobs"] = {"content": choice.logprobs, "refusal": None}
    if choice.stop_sequence is not None:
        written["stop_reason"] = choice.stop_sequence
    more = {name: value for name, value in owned(choice.extra).items() if name != "message"}
    return merged(written, more)


def _message(parts: list[Part], more: dict[str, Any], former: bool) -> dict[str, Any]:
    texts = [part.text for part in parts if isinstance(part, Text)]
    refusals = [part.text for part in parts if isinstance(part, Refusal)]
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
    if texts or not (refusals or any(isinstance(part, ToolCall) for part in parts)):
        message["content"] = "".join(texts)
    if refusals:
        message["refusal"] = "".join(refusals)
    message |= thoughts.write(parts, _TOLD)
    message |= tools.write_calls(parts, former)
    cited = _annotations(parts)
    if cited:
        message["annotations"] = cited
    message |= _media(parts)
    return merged(message, more)


def _annotations(parts: list[Part]) -> list[dict[str, Any]]:
    """Their places are counted in the whole content, which the texts are parts of."""
    written: list[dict[str, Any]] = []
    before = 0
    for part in parts:
        if not isinstance(part, Text):
            continue
        for citation in part.citations:
            entry = messages.annotation(citation)
            if citation.start is not None:
                entry["url_citation"]["start_index"] += before
                entry["url_citation"]["end_index"] += before
            written.append(entry)
        before += len(part.text)
    return written


def _media(parts: list[Part]) -> dict[str, Any]:
    written: dict[str, Any] = {}
    for part in parts:
        if not isinstance(part, Media):
            continue
        if part.kind == "audio":
            written["audio"] = sound(part)
        elif part.kind == "image":
            written.setdefault("images", []).append(image(part))
    return written


def image(media: Media) -> dict[str, Any]:
    """As OpenRouter gives images that a model made."""
    url = media.url or data_url.join(media.media_type or "image/png", media.data)
    return {"type": "image_url", "image_url": {"url": url}}


def sound(media: Media) -> dict[str, Any]:
    """Nobody keeps it for later calls, unless a provider said so."""
    return {
        "id": media.id or "audio",
        "data": media.data,
        "transcript": media.transcript,
        "expires_at": 0,
    } | owned(media.extra)
