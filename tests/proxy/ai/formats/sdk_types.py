"""What the official SDKs require of an answer: by the name of a format, checks of what was written.

A check of a whole answer takes its JSON, a check of a stream takes its bytes; both give the places
that are wrong. Enumerations and shapes that a provider itself does not keep to are not the
writer's fault: see ``test_all_formats``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, get_args

import msgspec
from anthropic.types import Message, RawMessageStreamEvent
from google.genai.types import GenerateContentResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter, ValidationError

decode = msgspec.json.decode


_adapter = cache(TypeAdapter)


def wrong(type_: Any, value: Any) -> list[str]:
    try:
        _adapter(type_).validate_python(value)
    except ValidationError as error:
        return [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()][:5]
    return []


def events(stream: bytes) -> list[tuple[str, Any]]:
    """The name and the JSON of each event of a stream of server-sent events, in the plain way."""
    found = []
    for block in stream.replace(b"\r\n", b"\n").split(b"\n\n"):
        lines = [line.partition(b":") for line in block.split(b"\n")]
        fields = {name.decode(): value.strip() for name, _, value in lines if name}
        if "data" in fields and fields["data"] != b"[DONE]":
            found.append((fields.get("event", b"").decode(), decode(fields["data"])))
    return found


def wrong_chunks(stream: bytes) -> list[str]:
    chunks = [value for _, value in events(stream)]
    if not stream.endswith(b"data: [DONE]\n\n") and not any("error" in c for c in chunks):
        return ["the end is missing"]
    return [f for c in chunks if "error" not in c for f in wrong(ChatCompletionChunk, c)]


def wrong_responses_events(stream: bytes) -> list[str]:
    found = events(stream)
    faults = [f"{name} is not {v['type']}" for name, v in found if name != v.get("type")]
    numbers = [v.get("sequence_number") for _, v in found]
    if numbers != list(range(len(numbers))):
        faults.append(f"sequence numbers are {numbers[:10]}")
    return faults + [f for _, v in found for f in wrong(_event_type(v.get("type")), v)]


@cache
def _event_type(kind: str) -> Any:
    """The type of one kind of event: the union of all is slow, and says little of what is wrong."""
    union = get_args(ResponseStreamEvent)
    members = get_args(union[0]) or union
    named = {get_args(member.model_fields["type"].annotation)[0]: member for member in members}
    return named.get(kind, ResponseStreamEvent)


def wrong_messages_events(stream: bytes) -> list[str]:
    found = events(stream)
    faults = [f"{name} is not {v['type']}" for name, v in found if name != v.get("type")]
    known = [v for name, v in found if name not in ("ping", "error")]
    return faults + [f for v in known for f in wrong(RawMessageStreamEvent, v)]


def wrong_gemini_events(stream: bytes) -> list[str]:
    values = [v for _, v in events(stream)]
    return [f for v in values if "error" not in v for f in wrong(GenerateContentResponse, v)]


WHOLE: dict[str, Callable[[Any], list[str]]] = {
    "chat": lambda value: wrong(ChatCompletion, value),
    "responses": lambda value: wrong(Response, value),
    "messages": lambda value: wrong(Message, value),
    "gemini": lambda value: wrong(GenerateContentResponse, value),
}
STREAMS: dict[str, Callable[[bytes], list[str]]] = {
    "chat": wrong_chunks,
    "responses": wrong_responses_events,
    "messages": wrong_messages_events,
    "gemini": wrong_gemini_events,
}
