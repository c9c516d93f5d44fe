"""What a provider signed or sealed comes back to it, whoever's client kept it.

Each provider's answer is given to each official SDK, whole and streamed, which is then asked to go
on: what it hands back is written for the provider again, and must hold what the answer held. What
does not is in ``LOST``, in the words of docs/ai.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cohere
import httpx
import httpx2
import pytest
from anthropic import Anthropic
from google import genai
from google.genai.types import GenerateContentConfig, HttpOptions, Part
from msgspec import Struct
from openai import OpenAI
from openai.lib.streaming._deltas import accumulate_delta

from proxy.ai.formats.chat.dialects import DIALECTS
from proxy.ai.formats.registry import FORMATS
from proxy.ai.middle import Request
from proxy.ai.middle.events import unfold
from proxy.ai.middle.rules import Notes, foreign

DOCS = Path(__file__).resolve().parents[4] / "docs/ai.md"

HERE, THERE = {"at": "here+/"}, {"at": "there"}
"""Arguments of two calls in parallel."""

Seals = list[tuple[Any, ...]]


class Provider(Struct):
    """``seals``: what must come back, in order, of what the model said, which ``said`` finds in an
    answer and in a request."""

    format: str
    answer: dict[str, Any]
    seals: Callable[[list[Any]], Seals]
    said: Callable[[dict[str, Any]], list[Any]]
    stream: Callable[[], bytes] | None = None
    dialect: str = ""
    model: str = "m"


# Gemini

_THOUGHT = {"thought": True, "thoughtSignature": "R2V/bWlua+k="}
_GEMINI_PARTS = [
    {"text": "Hm. Well.", **_THOUGHT},
    {"text": "So."},
    {
        "functionCall": {"id": "c:1", "name": "look", "args": HERE},
        "thoughtSignature": "Y2F/bGw+Zzo=",
    },
    {"functionCall": {"id": "c:2", "name": "look", "args": THERE}},
]


def _without_ids(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    plain = json.loads(json.dumps(parts))
    for part in plain:
        part.get("functionCall", {}).pop("id", None)
    return plain


def _of_gemini(parts: list[dict[str, Any]]) -> dict[str, Any]:
    content = {"role": "model", "parts": parts}
    return {"candidates": [{"content": content, "finishReason": "STOP"}], "modelVersion": "m"}


def _gemini_stream(parts: list[dict[str, Any]]) -> bytes:
    first = {"text": "Hm. ", "thought": True}
    pieces = [first, {"text": "Well.", **_THOUGHT}, *parts[1:]]
    events = [{"candidates": [{"content": {"role": "model", "parts": [p]}}]} for p in pieces]
    events[-1]["candidates"][0]["finishReason"] = "STOP"
    return b"".join(b"data: %b\r\n\r\n" % json.dumps(event).encode() for event in events)


def _said_by_gemini(body: dict[str, Any]) -> list[Any]:
    contents = [one["content"] for one in body.get("candidates", [])] or body["contents"]
    return [part for one in contents if one["role"] == "model" for part in one["parts"]]


def _gemini_seals(parts: list[Any]) -> Seals:
    found: Seals = []
    for part in parts:
        if part.get("thought"):
            found.append(("thought", part["text"], part.get("thoughtSignature")))
        elif "functionCall" in part:
            call = part["functionCall"]
            found.append(("call", call["args"]["at"], part.get("thoughtSignature")))
        elif "thoughtSignature" in part:
            found.append(("signature", part["thoughtSignature"]))
    return found


# Anthropic

_CLAUDE_BLOCKS = [
    {"type": "redacted_thinking", "data": "c2Vh/GVkIG9u+ZQ=="},
    {"type": "thinking", "thinking": "Hm. Well.", "signature": "YW50/aHJv+cGlj=="},
    {"type": "redacted_thinking", "data": "c2Vh/GVkIHR3bw=="},
    {"type": "text", "text": "So."},
    {"type": "tool_use", "id": "toolu_1", "name": "look", "input": HERE},
    {"type": "tool_use", "id": "toolu_2", "name": "look", "input": THERE},
]
_CLAUDE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": _CLAUDE_BLOCKS,
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}


def _said_by_claude(body: dict[str, Any]) -> list[Any]:
    if "content" in body:
        return body["content"]
    return [block for m in body["messages"] if m["role"] == "assistant" for block in m["content"]]


def _claude_seals(blocks: list[Any]) -> Seals:
    kinds = {
        "thinking": ("thinking", "signature"),
        "redacted_thinking": ("data",),
        "tool_use": ("id", "input"),
    }
    return [
        (block["type"], *(block[name] for name in kinds[block["type"]]))
        for block in blocks
        if block["type"] in kinds
    ]


# Bedrock

_BEDROCK_BLOCKS = [
    {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "YmVk/cm9j+w=="}}},
    {"reasoningContent": {"redactedContent": "c2Vh/GVk+w=="}},
    {"text": "So."},
    {"toolUse": {"toolUseId": "tu_1", "name": "look", "input": HERE}},
    {"toolUse": {"toolUseId": "tu_2", "name": "look", "input": THERE}},
]
_BEDROCK = {
    "output": {"message": {"role": "assistant", "content": _BEDROCK_BLOCKS}},
    "stopReason": "tool_use",
    "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
}


def _said_by_bedrock(body: dict[str, Any]) -> list[Any]:
    if "output" in body:
        return body["output"]["message"]["content"]
    return [block for m in body["messages"] if m["role"] == "assistant" for block in m["content"]]


def _bedrock_seals(blocks: list[Any]) -> Seals:
    return [tuple(block.items()) for block in blocks if "text" not in block]


# OpenAI

_REASONED = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "Hm."}],
    "encrypted_content": "gAAAAA/b+w==",
}
_OPENAI = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "gpt",
    "output": [
        _REASONED,
        *(
            {
                "type": "function_call",
                "id": f"fc_{n}",
                "call_id": f"call_{n}",
                "name": "look",
                "arguments": json.dumps(given, separators=(",", ":")),
                "status": "completed",
            }
            for n, given in enumerate((HERE, THERE))
        ),
    ],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
}


def _said_by_openai(body: dict[str, Any]) -> list[Any]:
    return body.get("output") or body["input"]


def _openai_seals(items: list[Any]) -> Seals:
    found: Seals = []
    for item in items:
        if item.get("type") == "reasoning":
            found.append(("reasoning", item["id"], item["encrypted_content"]))
        elif item.get("type") == "function_call":
            found.append(("call", item["call_id"], item["arguments"]))
    return found


# Providers of chat

_CALLS = [
    {
        "id": f"call_{n}",
        "type": "function",
        "function": {"name": "look", "arguments": json.dumps(a)},
    }
    for n, a in enumerate((HERE, THERE))
]
_DETAILS = [
    {"type": "reasoning.text", "text": "Hm.", "signature": "c2ln/bmVk+w=="},
    {
        "type": "reasoning.encrypted",
        "data": "c2Vh/GVk+w==",
        "id": "rs:1",
        "format": "openai-responses-v1",
    },
]
_SIGNED_CALL = {"extra_content": {"google": {"thought_signature": "Y2FsbGVk"}}}
"""Without what the two alphabets of base64 write otherwise: Google's SDKs choose their own."""


def _of_chat(**message: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": "So.", "refusal": None, **message}
    choice = {"index": 0, "message": said, "finish_reason": "tool_calls", "logprobs": None}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    head = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
    return {**head, "choices": [choice], "usage": usage}


def _chat_stream(**message: Any) -> bytes:
    """All of it in one chunk, as Google's endpoint has it."""
    calls = [{"index": n, **call} for n, call in enumerate(message["tool_calls"])]
    deltas = [{"role": "assistant", "content": "So."}, {"tool_calls": calls}, {}]
    chunks = [{"id": "c", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks[-1]["choices"][0]["finish_reason"] = "tool_calls"
    return b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in chunks)


def _said_by_chat(body: dict[str, Any]) -> list[Any]:
    if "choices" in body:
        return [body["choices"][0]["message"]]
    return [message for message in body["messages"] if message["role"] == "assistant"]


def _chat_seals(messages: list[Any]) -> Seals:
    found: Seals = []
    for message in messages:
        for detail in message.get("reasoning_details", []):
            known = ("text", "signature", "data", "id", "format")
            found.append(tuple(detail.get(name) for name in known))
        for call in message["tool_calls"]:
            found.append((call["id"], call.get("extra_content")))
    return found


_GOOGLES_CALLS = [_CALLS[0] | _SIGNED_CALL, _CALLS[1]]
_IDLESS = _without_ids(_GEMINI_PARTS)

PROVIDERS = {
    "Gemini": Provider(
        "gemini",
        _of_gemini(_GEMINI_PARTS),
        _gemini_seals,
        _said_by_gemini,
        lambda: _gemini_stream(_GEMINI_PARTS),
        model="gemini-3-pro",
    ),
    "Gemini, calls without ids": Provider(
        "gemini",
        _of_gemini(_IDLESS),
        _gemini_seals,
        _said_by_gemini,
        lambda: _gemini_stream(_IDLESS),
        model="gemini-3-pro",
    ),
    "Anthropic": Provider(
        "messages", _CLAUDE, _claude_seals, _said_by_claude, model="claude-opus-4-6"
    ),
    "Bedrock": Provider(
        "converse",
        _BEDROCK,
        _bedrock_seals,
        _said_by_bedrock,
        model="anthropic.claude-sonnet-4-5-v1:0",
    ),
    "OpenAI": Provider("responses", _OPENAI, _openai_seals, _said_by_openai),
    "OpenRouter": Provider(
        "chat",
        _of_chat(tool_calls=_CALLS, reasoning_details=_DETAILS),
        _chat_seals,
        _said_by_chat,
        dialect="openrouter",
    ),
    "Google's endpoint of chat": Provider(
        "chat",
        _of_chat(tool_calls=_GOOGLES_CALLS),
        _chat_seals,
        _said_by_chat,
        lambda: _chat_stream(tool_calls=_GOOGLES_CALLS),
        dialect="compatible",
    ),
}

LOST = {
    (provider, "cohere"): "Cohere's format has no place for anything signed"
    for provider in PROVIDERS
}
"""By provider and client's format: what docs/ai.md says of it."""


# Clients


class Gateway:
    """What a client is answered, and what it asks."""

    def __init__(self, answer: bytes, kind: str) -> None:
        self._answer, self._kind = answer, kind
        self.asked: list[bytes] = []

    def web(self, http: ModuleType = httpx) -> Any:
        """A client of the HTTP library that the SDK is made for."""

        def respond(request: Any) -> Any:
            self.asked.append(request.content)
            first = len(self.asked) == 1
            kind = self._kind if first else "application/json"
            body = self._answer if first else b"{}"
            return http.Response(200, content=body, headers={"content-type": kind})

        return http.Client(transport=http.MockTransport(respond))


HI = {"role": "user", "content": "Hi"}


def chat(gateway: Gateway, stream: bool) -> None:
    sdk = OpenAI(api_key="k", base_url="http://g/v1", http_client=gateway.web()).chat.completions
    said: Any = {}
    if stream:
        for chunk in sdk.create(model="m", messages=[HI], stream=True):
            for choice in chunk.choices:
                accumulate_delta(said, choice.delta.to_dict())
        ids = [call["id"] for call in said["tool_calls"]]
    else:
        said = sdk.create(model="m", messages=[HI]).choices[0].message
        ids = [call.id for call in said.tool_calls]
    results = [{"role": "tool", "tool_call_id": id_, "content": "Dry."} for id_ in ids]
    sdk.create(model="m", messages=[HI, said, *results])


def _sealed(item: Any) -> tuple[str, Any]:
    return item.id, getattr(item, "encrypted_content", None)


def responses(gateway: Gateway, stream: bool) -> None:
    sdk = OpenAI(api_key="k", base_url="http://g/v1", http_client=gateway.web()).responses
    told = {"model": "m", "store": False, "include": ["reasoning.encrypted_content"]}
    if stream:
        with sdk.stream(**told, input=[HI]) as events:
            done = [one.item for one in events if one.type == "response.output_item.done"]
            said = events.get_final_response().output
        assert {_sealed(item) for item in done} == {_sealed(item) for item in said}
    else:
        said = sdk.create(**told, input=[HI]).output
    results = [
        {"type": "function_call_output", "call_id": item.call_id, "output": "Dry."}
        for item in said
        if item.type == "function_call"
    ]
    sdk.create(**told, input=[HI, *said, *results])


def messages(gateway: Gateway, stream: bool) -> None:
    sdk = Anthropic(api_key="k", base_url="http://g", http_client=gateway.web(httpx2)).messages
    told = {"model": "m", "max_tokens": 9}
    if stream:
        with sdk.stream(**told, messages=[HI]) as events:
            said = events.get_final_message().content
    else:
        said = sdk.create(**told, messages=[HI]).content
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "Dry."}
        for block in said
        if block.type == "tool_use"
    ]
    answered = [{"role": "assistant", "content": said}, {"role": "user", "content": results}]
    sdk.create(**told, messages=[HI, *answered])


def gemini(gateway: Gateway, stream: bool) -> None:
    options = HttpOptions(base_url="http://g", httpx_client=gateway.web())
    sdk = genai.Client(api_key="k", vertexai=False, http_options=options)
    talk = sdk.chats.create(
        model="m", config=GenerateContentConfig(automatic_function_calling={"disable": True})
    )
    if stream:
        list(talk.send_message_stream("Hi"))
    else:
        talk.send_message("Hi")
    calls = [
        part.function_call
        for content in talk.get_history(curated=True)
        for part in content.parts
        if part.function_call
    ]
    talk.send_message(
        [
            Part(function_response={"id": c.id, "name": c.name, "response": {"result": "Dry."}})
            for c in calls
        ]
    )


def coheres(gateway: Gateway, stream: bool) -> None:
    sdk = cohere.ClientV2("k", base_url="http://g", httpx_client=gateway.web())
    hi = cohere.UserChatMessageV2(content="Hi")
    said = sdk.chat(model="m", messages=[hi]).message
    results = [
        cohere.ToolChatMessageV2(tool_call_id=call.id, content="Dry.") for call in said.tool_calls
    ]
    sdk.chat(model="m", messages=[hi, said, *results])


CLIENTS = {
    "chat": chat,
    "responses": responses,
    "messages": messages,
    "gemini": gemini,
    "cohere": coheres,
}


def _pieces(stream: bytes) -> Iterator[bytes]:
    return (stream[at : at + 60] for at in range(0, len(stream), 60))


def _told(provider: Provider, client: str, stream: bool) -> tuple[bytes, str]:
    """The answer as the client gets it, and its content type."""
    theirs, ours = FORMATS[provider.format], FORMATS[client]
    asked = Request(format=client, model="m", messages=[], stream=stream)
    answer = theirs.read_answer(json.dumps(provider.answer).encode())
    if not stream:
        return ours.write_answer(answer, asked), "application/json"
    if provider.stream is not None:
        sent = provider.stream()
    else:
        theirs_ = theirs.writer(Request(format=provider.format, model="m", messages=[]))
        sent = theirs_.write(unfold(answer)) + theirs_.end()
    reader, writer = theirs.reader(), ours.writer(asked)
    told = [writer.write(reader.feed(piece)) for piece in _pieces(sent)]
    return b"".join([*told, writer.write(reader.end()), writer.end()]), ours.STREAM_TYPE.decode()


def _asked_again(provider: Provider, client: str, body: bytes) -> dict[str, Any]:
    """What the provider is told of the client's next request."""
    request = FORMATS[client].read_request(body, model="m")
    notes = Notes(mode="drop")
    foreign(request, provider.format, notes)
    if provider.dialect:
        dialect = DIALECTS[provider.dialect]
        written = FORMATS["chat"].write_request(request, provider.model, notes, dialect)
    else:
        written = FORMATS[provider.format].write_request(request, provider.model, notes)
    return json.loads(written)


def _kept(name: str, client: str, stream: bool) -> bytes:
    """The next request of a client."""
    gateway = Gateway(*_told(PROVIDERS[name], client, stream))
    CLIENTS[client](gateway, stream)
    return gateway.asked[1]


PAIRS = [
    pytest.param(name, client, stream, id=f"{name}-{client}-{'streamed' if stream else 'whole'}")
    for name, provider in PROVIDERS.items()
    for client in CLIENTS
    if client != provider.format
    for stream in (False, True)
    if client != "cohere" or not stream
]
"""Where client and provider speak the same, the bytes go through."""


@pytest.mark.parametrize(("name", "client", "stream"), PAIRS)
def test_what_was_signed_comes_back_to_who_signed_it(name, client, stream):
    provider = PROVIDERS[name]
    again = _asked_again(provider, client, _kept(name, client, stream))
    signed = provider.seals(provider.said(provider.answer))
    if (name, client) in LOST:
        assert LOST[name, client] in " ".join(DOCS.read_text().split())
        assert provider.seals(provider.said(again)) != signed
    else:
        assert provider.seals(provider.said(again)) == signed


SEALS = ("R2V", "Y2F", "c2Vh", "YW50", "YmVk", "gAAAAA", "c2ln", "hubpo", "aHVicG86")
"""How what was signed begins, and the marks of what clients keep."""
GOOGLES = {
    name for name, p in PROVIDERS.items() if p.format == "gemini" or p.dialect == "compatible"
}


@pytest.mark.parametrize("to", PROVIDERS)
@pytest.mark.parametrize("client", [client for client in CLIENTS if client != "cohere"])
@pytest.mark.parametrize("name", PROVIDERS)
def test_nobody_is_shown_what_another_signed(name, client, to):
    if name == to or {name, to} <= GOOGLES or (name, to) == ("Anthropic", "OpenRouter"):
        pytest.skip("It takes what the other signed.")
    if client == "chat" and "chat" in (PROVIDERS[name].format, PROVIDERS[to].format):
        pytest.skip("What goes through from chat to chat has no mark of who it was.")
    shown = json.dumps(_asked_again(PROVIDERS[to], client, _kept(name, client, False)))
    assert not [seal for seal in SEALS if seal in shown]


def test_a_signature_that_a_stream_tells_late_is_given_to_its_call():
    call = {"index": 0, **_CALLS[0]}
    deltas = [{"tool_calls": [call]}, {"tool_calls": [{"index": 0, **_SIGNED_CALL}]}, {}]
    chunks = [{"id": "c", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks[-1]["choices"][0]["finish_reason"] = "tool_calls"
    reader = FORMATS["chat"].reader()
    writer = FORMATS["responses"].writer(Request(format="responses", model="m", messages=[]))
    told = [writer.write(reader.feed(b"data: %b\n\n" % json.dumps(c).encode())) for c in chunks]
    gateway = Gateway(b"".join([*told, writer.end()]), "text/event-stream")
    responses(gateway, True)
    kinds = [item.get("type") for item in json.loads(gateway.asked[1])["input"][1:]]
    assert kinds == ["function_call", "reasoning", "function_call_output"]
    again = _asked_again(PROVIDERS["Gemini"], "responses", gateway.asked[1])
    assert _gemini_seals(_said_by_gemini(again)) == [("call", HERE["at"], "Y2FsbGVk")]


def test_ids_of_calls_that_come_again_in_later_turns_keep_their_signatures_apart():
    turns: list[dict[str, Any]] = []
    for turn in ("one", "two"):
        seal = f"hubpo:elsewhere:called:made-0-0:{turn}"
        turns += [
            {"type": "reasoning", "id": f"rs_{turn}", "summary": [], "encrypted_content": seal},
            {"type": "function_call", "call_id": "made-0-0", "name": "look", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "made-0-0", "output": "Dry."},
        ]
    body = json.dumps({"model": "m", "input": turns}).encode()
    contents = _asked_again(PROVIDERS["Gemini"], "responses", body)["contents"]
    assert [
        part["thoughtSignature"]
        for one in contents
        for part in one["parts"]
        if "functionCall" in part
    ] == ["one", "two"]


def test_pieces_of_a_stream_that_googles_sdk_keeps_apart_are_one_turn():
    pieces = [{"text": "So"}, {"text": " it"}, {"text": " is."}, {"functionCall": {"name": "look"}}]
    contents = [{"role": "model", "parts": [piece]} for piece in pieces]
    request = FORMATS["gemini"].read_request(json.dumps({"contents": contents}).encode(), model="m")
    (message,) = request.messages
    assert message.parts[0].text == "So it is."
    assert len(message.parts) == 2
