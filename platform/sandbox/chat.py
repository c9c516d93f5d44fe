"""``POST /v1/chat/completions``: reads the request and sends the answer, whole or streamed.

Source of the wire format: OpenAI's API reference, chat completions and its streaming events.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import msgspec

from sandbox import directives
from sandbox.answers import Answer, ChatRequest, decide
from sandbox.directives import Directives
from sandbox.web import Refused, Request, decode

CREATED = 1_767_225_600
"""The time in every answer, so that the same request gives the same bytes."""


_decoder = msgspec.json.Decoder(ChatRequest)
_encoder = msgspec.json.Encoder()


async def serve(request: Request, known: Callable[[str], None]) -> None:
    """``known(model)`` raises Refused for a model that there is not."""
    body = await request.body()
    chat = decode(_decoder, body)
    known(chat.model)
    if not chat.messages:
        raise Refused(400, "invalid_request", "There must be a message.", param="messages")
    if chat.n is not None and not 1 <= chat.n <= 16:
        raise Refused(400, "invalid_request", "n must be from 1 to 16.", param="n")
    last_user = next((m.text for m in reversed(chat.messages) if m.role == "user"), "")
    wanted, text = directives.take(last_user)
    await directives.act(wanted)
    answer = decide(chat, text, body)
    if chat.stream:
        await _stream(request, chat, answer, wanted)
    else:
        await _whole(request, answer, wanted)


async def _whole(request: Request, answer: Answer, wanted: Directives) -> None:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.calls:
        message |= {"content": None, "tool_calls": answer.calls}
    choice = {"message": message, "logprobs": None, "finish_reason": answer.finish}
    value = _head(answer, "chat.completion") | {
        "choices": [{"index": index} | choice for index in range(answer.choices)],
        "usage": answer.usage,
    }
    if not wanted.abort:
        return await request.answer(value)
    # Half of what the length promises, and no more: the server then cuts the connection.
    data = _encoder.encode(value)
    headers = [("content-type", "application/json"), ("content-length", str(len(data)))]
    await request.start(200, headers)
    await request.write(data[: len(data) // 2])


def _head(answer: Answer, kind: str) -> dict[str, Any]:
    return {
        "id": answer.id,
        "object": kind,
        "created": CREATED,
        "model": answer.model,
        "system_fingerprint": "fp_sandbox",
    }


async def _stream(request: Request, chat: ChatRequest, answer: Answer, wanted: Directives) -> None:
    await request.start(200, [("content-type", "text/event-stream"), ("cache-control", "no-cache")])
    deltas = list(_deltas(answer, wanted.chunks))
    with_usage = chat.stream_options is not None and chat.stream_options.include_usage
    head = _head(answer, "chat.completion.chunk")
    if with_usage:
        head["usage"] = None
    for position, (index, delta, finish) in enumerate(deltas):
        if wanted.abort and position * 2 >= len(deltas):
            return  # With no last chunk sent, the server cuts the connection.
        if wanted.pause and position:
            await asyncio.sleep(wanted.pause)
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        await _event(request, head | {"choices": [choice]})
    if with_usage:
        await _event(request, head | {"choices": [], "usage": answer.usage})
    await request.write(b"data: [DONE]\n\n", more=False)


async def _event(request: Request, value: Any) -> None:
    await request.write(b"data: " + _encoder.encode(value) + b"\n\n")


def _deltas(answer: Answer, chunks: int | None) -> Iterator[tuple[int, dict[str, Any], str | None]]:
    for index in range(answer.choices):
        opening: dict[str, Any] = {"role": "assistant", "content": None if answer.calls else ""}
        yield index, opening, None
        for place, call in enumerate(answer.calls):
            name, arguments = call["function"]["name"], call["function"]["arguments"]
            start = call | {"index": place, "function": {"name": name, "arguments": ""}}
            yield index, {"tool_calls": [start]}, None
            for part in pieces(arguments, None):
                rest = {"index": place, "function": {"arguments": part}}
                yield index, {"tool_calls": [rest]}, None
        if not answer.calls:
            for part in pieces(answer.text, chunks):
                yield index, {"content": part}, None
        yield index, {}, answer.finish


def pieces(text: str, count: int | None) -> list[str]:
    """The text word by word, or in exactly ``count`` pieces, some of them empty in a short text."""
    if count is None:
        return re.findall(r"\s*\S+\s*$|\s*\S+|\s+$", text)
    cuts = [len(text) * position // count for position in range(count + 1)]
    return [text[start:end] for start, end in pairwise(cuts)]
