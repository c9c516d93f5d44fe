"""What a recorded answer says, read in the plain way and without the gateway's readers.

Each function takes the JSON of a whole answer, or of the events of a stream, and gives a ``Told``.
Words for the end of an answer are kept: ``FINISHES`` knows those of all providers and clients.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from struct import unpack_from
from typing import Any, NamedTuple

from recordings import Exchange

FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "STOP": "stop",
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "completed": "stop",
    "eos": "stop",
    "max_tokens": "length",
    "MAX_TOKENS": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "tool_use": "tool_calls",
    "tool_call": "tool_calls",
    "tool-calls": "tool_calls",
    "TOOL_CALL": "tool_calls",
    "function_call": "tool_calls",
    "refusal": "content_filter",
    "content-filter": "content_filter",
    "SAFETY": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "ERROR_TOXIC": "content_filter",
}
Json = dict[str, Any]


class Told(NamedTuple):
    """``calls`` are names and arguments as values; tokens are None where nothing is said."""

    text: str
    calls: list[tuple[str, Any]]
    finish: str | None
    input: int | None
    output: int | None


class Unsaid(Exception):
    """The recording has something that is not compared here, which it names."""


def finish_of(word: str | None, calls: list[Any]) -> str | None:
    """One word for all. Some formats end calls of tools as they end a text."""
    neutral = FINISHES.get(word or "", word)
    return "tool_calls" if calls and neutral == "stop" else neutral


def value_of(arguments: Any) -> Any:
    if arguments is None or arguments == "":
        return {}
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def _total(usage: Json, *names: str) -> int | None:
    """None where the first is not there."""
    if usage.get(names[0]) is None:
        return None
    return sum(usage.get(name) or 0 for name in names)


def _chat_text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(block.get("text", "") for block in content if block["type"] == "text")
    return content or ""


def _one(choices: list[Json]) -> Json:
    if len(choices) != 1:
        raise Unsaid(f"{len(choices)} choices")
    return choices[0]


def _chat_tokens(usage: Json | None) -> tuple[int | None, int | None]:
    usage = usage or {}
    return usage.get("prompt_tokens"), usage.get("completion_tokens")


def chat(answer: Json) -> Told:
    choice = _one(answer["choices"])
    message = choice["message"]
    if message.get("refusal") or message.get("audio") or message.get("function_call"):
        raise Unsaid("a refusal, a sound or a call of the first kind")
    calls = [_function(call) for call in message.get("tool_calls") or []]
    text = _chat_text(message.get("content"))
    return Told(text, calls, choice["finish_reason"], *_chat_tokens(answer.get("usage")))


def _function(call: Json) -> tuple[str, Any]:
    if "function" not in call:
        raise Unsaid("a custom tool")
    return call["function"]["name"], value_of(call["function"].get("arguments", ""))


def chat_stream(events: list[Json]) -> Told:
    text, finish, usage = "", None, None
    calls: dict[int, list[str]] = {}
    for event in events:
        usage = event.get("usage") or usage
        for choice in event.get("choices") or []:
            if choice.get("index", 0):
                raise Unsaid("several choices")
            delta = choice.get("delta") or {}
            if delta.get("refusal") or delta.get("function_call"):
                raise Unsaid("a refusal or a call of the first kind")
            text += _chat_text(delta.get("content"))
            for place, piece in enumerate(delta.get("tool_calls") or []):
                call = calls.setdefault(piece.get("index", place), ["", ""])
                call[0] += piece["function"].get("name") or ""
                call[1] += piece["function"].get("arguments") or ""
            finish = choice.get("finish_reason") or finish
    made = [(name, value_of(arguments)) for name, arguments in calls.values()]
    return Told(text, made, finish, *_chat_tokens(usage))


def responses(answer: Json) -> Told:
    text, calls = "", []
    for item in answer["output"]:
        if item["type"] == "message":
            for part in item["content"]:
                if part["type"] != "output_text":
                    raise Unsaid("a refusal")
                text += part["text"]
        elif item["type"] == "function_call":
            calls.append((item["name"], value_of(item["arguments"])))
        elif item["type"] != "reasoning":
            raise Unsaid(f"an item {item['type']}")
    usage = answer.get("usage") or {}
    reason = (answer.get("incomplete_details") or {}).get("reason")
    finish = reason or answer["status"]
    return Told(text, calls, finish, usage.get("input_tokens"), usage.get("output_tokens"))


def responses_stream(events: list[Json]) -> Told:
    last = [e for e in events if e["type"] in ("response.completed", "response.incomplete")]
    if not last:
        raise Unsaid("no end")
    return responses(last[-1]["response"])


def messages(answer: Json) -> Told:
    text = "".join(block["text"] for block in answer["content"] if block["type"] == "text")
    calls = [(b["name"], b["input"]) for b in answer["content"] if b["type"] == "tool_use"]
    return Told(text, calls, answer["stop_reason"], *_anthropic_tokens(answer.get("usage") or {}))


def _anthropic_tokens(usage: Json) -> tuple[int | None, int | None]:
    asked = _total(usage, "input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return asked, usage.get("output_tokens")


def messages_stream(events: list[Json]) -> Told:
    usage: Json = {}
    finish, blocks = None, {}
    for event in events:
        kind = event["type"]
        if kind == "message_start":
            usage.update(event["message"]["usage"])
        elif kind == "content_block_start":
            blocks[event["index"]] = {**event["content_block"], "json": ""}
        elif kind == "content_block_delta":
            block, delta = blocks[event["index"]], event["delta"]
            if delta["type"] == "text_delta":
                block["text"] += delta["text"]
            elif delta["type"] == "input_json_delta":
                block["json"] += delta["partial_json"]
        elif kind == "message_delta":
            finish = event["delta"].get("stop_reason") or finish
            usage.update({k: v for k, v in (event.get("usage") or {}).items() if v is not None})
    content = [
        {**block, "input": value_of(block["json"])} if block["type"] == "tool_use" else block
        for block in blocks.values()
    ]
    return messages({"content": content, "stop_reason": finish, "usage": usage})


def gemini(answer: Json) -> Told:
    return gemini_stream([answer])


def gemini_stream(events: list[Json]) -> Told:
    text, finish, usage = "", None, {}
    calls = []
    for event in events:
        usage = event.get("usageMetadata") or usage
        for candidate in event.get("candidates") or []:
            if candidate.get("index", 0):
                raise Unsaid("several candidates")
            finish = candidate.get("finishReason") or finish
            for part in (candidate.get("content") or {}).get("parts") or []:
                if part.get("functionCall"):
                    call = part["functionCall"]
                    calls.append((call["name"], call.get("args") or {}))
                elif "inlineData" in part:
                    raise Unsaid("an image")
                elif not part.get("thought"):
                    text += part.get("text", "")
    asked = _total(usage, "promptTokenCount", "toolUsePromptTokenCount")
    wrote = (usage.get("candidatesTokenCount") or 0) + (usage.get("thoughtsTokenCount") or 0)
    return Told(text, calls, finish, asked, None if asked is None else wrote)


def converse(answer: Json) -> Told:
    content = answer["output"]["message"]["content"]
    text = "".join(block.get("text", "") for block in content)
    calls = [(b["toolUse"]["name"], b["toolUse"]["input"]) for b in content if "toolUse" in b]
    return Told(text, calls, answer["stopReason"], *_bedrock_tokens(answer.get("usage") or {}))


def _bedrock_tokens(usage: Json) -> tuple[int | None, int | None]:
    asked = _total(usage, "inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
    return asked, usage.get("outputTokens")


def converse_stream(events: list[Json]) -> Told:
    text, finish, usage = "", None, {}
    calls: dict[int, list[str]] = {}
    for event in events:
        start = event.get("start") or {}
        delta = event.get("delta") or {}
        if "toolUse" in start:
            calls[event["contentBlockIndex"]] = [start["toolUse"]["name"], ""]
        if "toolUse" in delta:
            calls[event["contentBlockIndex"]][1] += delta["toolUse"]["input"]
        text += delta.get("text", "")
        finish = event.get("stopReason") or finish
        usage = event.get("usage") or usage
    made = [(name, value_of(arguments)) for name, arguments in calls.values()]
    return Told(text, made, finish, *_bedrock_tokens(usage))


def cohere(answer: Json) -> Told:
    message = answer["message"]
    text = "".join(block.get("text", "") for block in message.get("content") or [])
    calls = [_function(call) for call in message.get("tool_calls") or []]
    return Told(text, calls, answer["finish_reason"], *_cohere_tokens(answer.get("usage") or {}))


def _cohere_tokens(usage: Json) -> tuple[int | None, int | None]:
    """Of the tokens those that are billed."""
    units = usage.get("billed_units") or {}
    return units.get("input_tokens"), units.get("output_tokens")


def cohere_stream(events: list[Json]) -> Told:
    text, finish, usage = "", None, {}
    calls: dict[int, list[str]] = {}
    for event in events:
        delta = event.get("delta") or {}
        message = delta.get("message") or {}
        if event["type"] == "content-delta":
            text += message["content"].get("text", "")
        elif event["type"] == "tool-call-start":
            function = message["tool_calls"]["function"]
            calls[event["index"]] = [function["name"], function["arguments"]]
        elif event["type"] == "tool-call-delta":
            calls[event["index"]][1] += message["tool_calls"]["function"]["arguments"]
        elif event["type"] == "message-end":
            finish, usage = delta["finish_reason"], delta.get("usage") or {}
    made = [(name, value_of(arguments)) for name, arguments in calls.values()]
    return Told(text, made, finish, *_cohere_tokens(usage))


WHOLE: dict[str, Callable[[Json], Told]] = {
    "chat": chat,
    "responses": responses,
    "messages": messages,
    "gemini": gemini,
    "converse": converse,
    "cohere": cohere,
}
STREAMS: dict[str, Callable[[list[Json]], Told]] = {
    "chat": chat_stream,
    "responses": responses_stream,
    "messages": messages_stream,
    "gemini": gemini_stream,
    "converse": converse_stream,
    "cohere": cohere_stream,
}


def told(exchange: Exchange, spoken: str) -> Told:
    """Raises Unsaid."""
    if not exchange.stream:
        return WHOLE[spoken](json.loads(exchange.response))
    read = _frames if exchange.stream == "aws-eventstream" else _events
    return STREAMS[spoken](read(exchange.response))


def _events(body: bytes) -> list[Json]:
    lines = [line[5:] for line in body.decode().splitlines() if line.startswith("data:")]
    events = [json.loads(line) for line in lines if "[DONE]" not in line]
    if any("error" in event and event["error"] for event in events):
        raise Unsaid("an error in the stream")
    return events


def _frames(body: bytes) -> list[Json]:
    """The payloads of AWS's event stream."""
    found, at = [], 0
    while at < len(body):
        total, headers = unpack_from(">II", body, at)
        found.append(json.loads(body[at + 12 + headers : at + total - 4]))
        at += total
    return found


def vectors(exchange: Exchange) -> list[list[float]]:
    """Numbers, or base64 of such as 32 bits each."""
    answer = json.loads(exchange.response)
    if "data" in answer:
        made = [one["embedding"] for one in answer["data"]]
    elif isinstance(answer.get("embeddings"), dict):
        made = answer["embeddings"].get("float")
    elif "embeddings" in answer:
        made = [one["values"] for one in answer["embeddings"]]
    else:
        made = [answer["embedding"]["values"]]
    return [_numbers(one) for one in made or ()]


def _numbers(vector: list[float] | str) -> list[float]:
    if isinstance(vector, list):
        return vector
    data = base64.b64decode(vector)
    return list(unpack_from(f"<{len(data) // 4}f", data))


def fault(exchange: Exchange) -> tuple[str, str]:
    """The message and the code, where one is said in words."""
    try:
        body = json.loads(exchange.response)
    except ValueError:
        raise Unsaid("an error that is no JSON") from None
    body = body[0] if isinstance(body, list) else body
    error = body.get("error", body)
    if isinstance(error, str):
        return error, ""
    code = error.get("code")
    if code is None or isinstance(code, int):
        code = ""
    return error.get("message") or error.get("detail") or "", str(code)
