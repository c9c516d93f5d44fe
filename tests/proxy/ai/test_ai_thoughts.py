"""Thoughts and their signatures over several turns: who made them gets them back, nobody else."""

import json
from base64 import b64decode, urlsafe_b64encode

import pytest
from ai_cast import ALICE
from google import genai
from google.genai.types import HttpOptions, Part
from msgspec.structs import replace
from openai import OpenAI

from proxy.ai.formats import chat, gemini, messages, seals
from proxy.ai.formats.chat.dialects import DIALECTS
from proxy.ai.middle import Answer, Choice, Request, Text, Thinking, ToolCall
from proxy.ai.middle.rules import Notes

THOUGHT, SEALED = {"text": "Hm.", "signature": "c2lnbmVkIGJ5IGJlZHJvY2s="}, "c2VhbGVk"
CALL = {"toolUseId": "tu_1", "name": "look", "input": {"at": "it"}}
SAID = [
    {"reasoningContent": {"reasoningText": THOUGHT}},
    {"reasoningContent": {"redactedContent": SEALED}},
    {"toolUse": CALL},
]
ANSWER = {
    "output": {"message": {"role": "assistant", "content": SAID}},
    "stopReason": "tool_use",
    "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
}
SCHEMA = {"type": "object", "properties": {"at": {"type": "string"}}}
HI = {"role": "user", "content": "Hi"}


def _chat(model, answer=None):
    body = {"model": model, "messages": [HI], "reasoning_effort": "low", "max_tokens": 9000}
    body["tools"] = [{"type": "function", "function": {"name": "look", "parameters": SCHEMA}}]
    if answer is not None:
        said = answer["choices"][0]["message"]
        result = {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": "Dry."}
        body["messages"] = [HI, said, result]
    return "/v1/chat/completions", body


def _responses(model, answer=None):
    body = {"model": model, "input": [HI], "reasoning": {"effort": "low"}}
    body |= {"max_output_tokens": 9000}
    body["tools"] = [{"type": "function", "name": "look", "parameters": SCHEMA}]
    if answer is not None:
        said = answer["output"]
        call = next(item for item in said if item["type"] == "function_call")
        result = {"type": "function_call_output", "call_id": call["call_id"], "output": "Dry."}
        body["input"] = [HI, *said, result]
    return "/v1/responses", body


def _messages(model, answer=None):
    body = {"model": model, "messages": [HI], "max_tokens": 9000}
    body |= {"thinking": {"type": "enabled", "budget_tokens": 2048}}
    body["tools"] = [{"name": "look", "input_schema": SCHEMA}]
    if answer is not None:
        said = answer["content"]
        call = next(block for block in said if block["type"] == "tool_use")
        result = {"type": "tool_result", "tool_use_id": call["id"], "content": "Dry."}
        answered = [{"role": "assistant", "content": said}, {"role": "user", "content": [result]}]
        body["messages"] = [HI, *answered]
    return "/v1/messages", body


@pytest.mark.parametrize("client", [_chat, _responses, _messages])
def test_bedrock_gets_the_thoughts_back_that_it_signed(web, provider, client):
    provider.says(json.dumps(ANSWER).encode())
    path, body = client("claude-at-bedrock")
    first = web.post(path, json=body)
    assert first.status_code == 200, first.text
    path, body = client("claude-at-bedrock", first.json())
    again = web.post(path, json=body)
    assert again.status_code == 200, again.text
    told = json.loads(provider.last.body)
    assert told["messages"][1] == {"role": "assistant", "content": SAID}
    assert told["additionalModelRequestFields"]["thinking"]["budget_tokens"] == 2048
    # Others are not shown what they could not take, and need not think on without it.
    path, body = client("claude", first.json())
    provider.says(b"{}")
    web.post(path, json=body)
    assert provider.last.line.split()[1] == "/v1/messages"
    told = json.loads(provider.last.body)
    kinds = [block["type"] for block in told["messages"][1]["content"]]
    assert kinds == ["tool_use"]


def test_who_cannot_go_on_with_its_thoughts_does_not_think(web, provider):
    provider.says(json.dumps(ANSWER).encode())
    _, body = _messages("claude-at-bedrock")
    first = web.post("/v1/messages", json=body).json()
    first["content"] = [block for block in first["content"] if block["type"] == "tool_use"]
    told = web.post("/v1/messages", json=_messages("claude-at-bedrock", first)[1])
    assert told.status_code == 200, told.text
    assert "additionalModelRequestFields" not in json.loads(provider.last.body)
    assert told.headers["x-hubpo-dropped"] == "reasoning"


# A client of Gemini's

SIGNED = {"thought": True, "thoughtSignature": "Z2VtaW5p/signed+=="}
GEMINI_SAID = [
    {"text": "So.", **SIGNED},
    {"functionCall": {"name": "look", "args": {"at": "it"}}, "thoughtSignature": "Y2FsbA=="},
]
GEMINI_ANSWER = {
    "candidates": [{"content": {"role": "model", "parts": GEMINI_SAID}, "finishReason": "STOP"}]
}
CLAUDE_SAID = [
    {"type": "thinking", "thinking": "Hm. Well.", "signature": "YW50/aHJv+cGlj=="},
    {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "it"}},
]
CLAUDE_ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": CLAUDE_SAID,
    "stop_reason": "tool_use",
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
CLAUDE_STREAM = [
    {"type": "message_start", "message": CLAUDE_ANSWER | {"content": [], "stop_reason": None}},
    {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "thinking", "thinking": "", "signature": ""},
    },
    *(
        {"type": "content_block_delta", "index": 0, "delta": delta}
        for delta in (
            {"type": "thinking_delta", "thinking": "Hm. "},
            {"type": "thinking_delta", "thinking": "Well."},
            {"type": "signature_delta", "signature": CLAUDE_SAID[0]["signature"]},
        )
    ),
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": CLAUDE_SAID[1]},
    {"type": "content_block_stop", "index": 1},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 1}},
    {"type": "message_stop"},
]


def _gemini(web, model, said=None, verb="generateContent"):
    contents = [{"role": "user", "parts": [{"text": "Hi"}]}]
    if said is not None:
        called = next(part["functionCall"] for part in said if "functionCall" in part)
        result = {"name": "look", "response": {"result": "Dry."}}
        result |= {"id": called["id"]} if "id" in called else {}
        contents.append({"role": "model", "parts": said})
        contents.append({"role": "user", "parts": [{"functionResponse": result}]})
    body = {"contents": contents, "generationConfig": {"maxOutputTokens": 9000}}
    body["generationConfig"]["thinkingConfig"] = {"thinkingBudget": 2048}
    body["tools"] = [{"functionDeclarations": [{"name": "look", "parametersJsonSchema": SCHEMA}]}]
    answer = web.post(f"/v1beta/models/{model}:{verb}", json=body)
    assert answer.status_code == 200, answer.text
    return answer


def _parts(answer):
    return answer.json()["candidates"][0]["content"]["parts"]


def _streamed(answer):
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line[:5] == "data:"]
    parts = [part for event in events for part in event["candidates"][0]["content"]["parts"]]
    return [part for part in parts if part != {"text": ""}]


def _seen_by_gemini(provider):
    return json.loads(provider.last.body)["contents"][1]["parts"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_of_geminis_keeps_what_claude_signed_for_claude(web, provider, stream):
    if stream:
        events = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in CLAUDE_STREAM)
        provider.says(events.encode(), content_type="text/event-stream")
        said = _streamed(_gemini(web, "claude", verb="streamGenerateContent?alt=sse"))
    else:
        provider.says(json.dumps(CLAUDE_ANSWER).encode())
        said = _parts(_gemini(web, "claude"))
    signature = next(part["thoughtSignature"] for part in said if "thoughtSignature" in part)
    # Google's SDKs make bytes of it, and write them in the other alphabet.
    raw = b64decode(signature, validate=True)
    assert urlsafe_b64encode(raw).decode() == signature
    provider.says(json.dumps(CLAUDE_ANSWER).encode())
    _gemini(web, "claude", said)
    told = json.loads(provider.last.body)
    assert told["messages"][1]["content"] == CLAUDE_SAID
    assert told["thinking"]["type"] == "adaptive"
    # Gemini is not shown what it did not sign.
    provider.says(json.dumps(GEMINI_ANSWER).encode())
    answer = _gemini(web, "gemini", said)
    seen = _seen_by_gemini(provider)
    assert "".join(part["text"] for part in seen if part.get("thought")) == "Hm. Well."
    assert signature not in provider.last.body.decode()
    assert "thoughtSignature" not in provider.last.body.decode()
    assert _parts(answer) == GEMINI_SAID
    # Bedrock neither.
    provider.says(json.dumps(ANSWER).encode())
    _gemini(web, "claude-at-bedrock", said)
    seen = json.loads(provider.last.body)["messages"][1]["content"]
    assert [list(block) for block in seen] == [["toolUse"]]


def test_what_gemini_signed_is_geminis_alone(web, provider):
    provider.says(json.dumps(GEMINI_ANSWER).encode())
    said = _parts(_gemini(web, "gemini"))
    assert said == GEMINI_SAID
    provider.says(json.dumps(CLAUDE_ANSWER).encode())
    _gemini(web, "claude", said)
    told = json.loads(provider.last.body)
    assert [block["type"] for block in told["messages"][1]["content"]] == ["tool_use"]
    # It is given back where the other's thoughts are left out, too.
    theirs = _parts(_gemini(web, "claude"))[0]
    provider.says(json.dumps(GEMINI_ANSWER).encode())
    _gemini(web, "gemini", [theirs, *said])
    assert _seen_by_gemini(provider) == [{"text": "Hm. Well.", "thought": True}, *GEMINI_SAID]


def test_a_client_of_geminis_keeps_what_bedrock_signed(web, provider):
    provider.says(json.dumps(ANSWER).encode())
    said = _parts(_gemini(web, "claude-at-bedrock"))
    _gemini(web, "claude-at-bedrock", said)
    told = json.loads(provider.last.body)["messages"][1]["content"]
    assert told == SAID
    _gemini(web, "gemini", said)
    assert "thoughtSignature" not in provider.last.body.decode()


def test_a_client_of_anthropics_keeps_what_gemini_signed(web, provider):
    provider.says(json.dumps(GEMINI_ANSWER).encode())
    path, body = _messages("gemini")
    first = web.post(path, json=body).json()
    assert web.post(path, json=_messages("gemini", first)[1]).status_code == 200
    thought, call = _seen_by_gemini(provider)
    assert thought == GEMINI_SAID[0]
    assert call["thoughtSignature"] == GEMINI_SAID[1]["thoughtSignature"]
    provider.says(json.dumps(CLAUDE_ANSWER).encode())
    web.post(path, json=_messages("claude", first)[1])
    told = json.loads(provider.last.body)["messages"][1]["content"]
    assert [block["type"] for block in told] == ["tool_use"]


def test_gemini_counts_without_what_others_signed(web, provider):
    provider.says(json.dumps(CLAUDE_ANSWER).encode())
    said = _parts(_gemini(web, "claude"))
    provider.says(b'{"totalTokens": 7}')
    body = {"contents": [{"role": "model", "parts": said}]}
    counted = web.post("/v1beta/models/gemini:countTokens", json=body)
    assert counted.json()["totalTokens"] == 7, counted.text
    assert "thoughtSignature" not in provider.last.body.decode()


def _kept_by_gemini(parts):
    """A request with an answer that a client of Gemini's was given."""
    answer = Answer(format="", choices=[Choice(parts)])
    given = json.loads(
        gemini.write_answer(answer, Request(format="gemini", model="m", messages=[]))
    )
    body = {"contents": [given["candidates"][0]["content"]]}
    return gemini.read_request(json.dumps(body).encode())


def test_calls_that_stand_with_anothers_thoughts_are_overlooked_by_gemini_3():
    thought = Thinking("Hm.", "YWJj", extra={"messages": {}})
    request = _kept_by_gemini([thought, ToolCall("a", "look", "{}")])
    for model, signed in (("gemini-3-pro", True), ("gemini-2.5-pro", False)):
        told = json.loads(gemini.write_request(request, model, Notes()))
        assert ("thoughtSignature" in told["contents"][0]["parts"][1]) is signed


def test_a_client_of_geminis_keeps_what_a_provider_of_openais_format_signed():
    request = _kept_by_gemini([Thinking("Hm.", "YWJj"), Text("So.")])
    told = json.loads(chat.write_request(request, "m", Notes(mode="drop"), DIALECTS["openrouter"]))
    (detail,) = told["messages"][0]["reasoning_details"]
    assert (detail["text"], detail["signature"]) == ("Hm.", "YWJj")
    for other in (gemini, messages):
        request = replace(request, max_tokens=9)
        assert "YWJj" not in other.write_request(request, "m", Notes(mode="drop")).decode()


# Through the official SDKs


def _events_of_gemini():
    chunks = [{"candidates": [{"content": {"role": "model", "parts": [p]}}]} for p in PARALLEL]
    chunks[-1]["candidates"][0]["finishReason"] = "STOP"
    return b"".join(b"data: %b\r\n\r\n" % json.dumps(chunk).encode() for chunk in chunks)


PARALLEL = [*GEMINI_SAID, {"functionCall": {"name": "look", "args": {"at": "that"}}}]


@pytest.mark.parametrize("model", ["gemini", "gemini-at-vertex"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_client_of_responses_gives_gemini_its_signatures_back(platform, provider, model, stream):
    sdk = OpenAI(base_url=f"{platform.url}/v1", api_key=ALICE, max_retries=0).responses
    if stream:
        provider.says(_events_of_gemini(), content_type="text/event-stream")
        with sdk.stream(model=model, input=[HI], store=False) as events:
            said = events.get_final_response().output
    else:
        whole = {"candidates": [{"content": {"role": "model", "parts": PARALLEL}}]}
        provider.says(json.dumps(whole).encode())
        said = sdk.create(model=model, input=[HI], store=False).output
    provider.says(json.dumps(GEMINI_ANSWER).encode())
    results = [
        {"type": "function_call_output", "call_id": item.call_id, "output": "Dry."}
        for item in said
        if item.type == "function_call"
    ]
    assert len(results) == 2
    sdk.create(model=model, input=[HI, *said, *results], store=False)
    assert _seen_by_gemini(provider) == PARALLEL
    # OpenAI, whose format the bytes would go through in, is not shown them.
    provider.says(b"{}")
    sdk.create(model="gpt-at-openai", input=[HI, *said, *results], store=False)
    assert provider.last.line.split()[1] == "/v1/responses"
    told = json.loads(provider.last.body)
    assert (told["model"], told["store"]) == ("gpt-real", False)
    kinds = [item.get("type", item.get("role")) for item in told["input"]]
    called = ["function_call"] * 2 + ["function_call_output"] * 2
    assert kinds == ["user", *called]


def test_what_openai_encrypted_goes_through_to_it(web, provider):
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    body = {"model": "gpt-real", "input": [HI, item], "store": False}
    web.post("/v1/responses", json=body | {"model": "gpt-at-openai"})
    assert json.loads(provider.last.body) == body


REDACTED = [
    {"type": "redacted_thinking", "data": "c2Vh/GVkIG9u+ZQ=="},
    CLAUDE_SAID[0],
    {"type": "redacted_thinking", "data": "c2Vh/GVkIHR3bw=="},
    CLAUDE_SAID[1],
]
REDACTED_STREAM = [
    CLAUDE_STREAM[0],
    {"type": "content_block_start", "index": 0, "content_block": REDACTED[0]},
    {"type": "content_block_stop", "index": 0},
    *(event | {"index": 1} for event in CLAUDE_STREAM[1:6]),
    {"type": "content_block_start", "index": 2, "content_block": REDACTED[2]},
    {"type": "content_block_stop", "index": 2},
    *(event | {"index": 3} for event in CLAUDE_STREAM[6:8]),
    *CLAUDE_STREAM[8:],
]


@pytest.mark.parametrize("stream", [False, True])
def test_googles_sdk_gives_claude_back_what_it_redacted(platform, provider, stream):
    sdk = genai.Client(api_key=ALICE, http_options=HttpOptions(base_url=platform.url))
    talk = sdk.chats.create(model="claude")
    if stream:
        events = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in REDACTED_STREAM)
        provider.says(events.encode(), content_type="text/event-stream")
        for chunk in talk.send_message_stream("Hi"):
            assert not chunk.text
    else:
        provider.says(json.dumps(CLAUDE_ANSWER | {"content": REDACTED}).encode())
        assert not talk.send_message("Hi").text
    provider.says(json.dumps(CLAUDE_ANSWER).encode())
    result = {"id": "toolu_1", "name": "look", "response": {"result": "Dry."}}
    talk.send_message(Part(function_response=result))
    assert json.loads(provider.last.body)["messages"][1]["content"] == REDACTED


@pytest.mark.parametrize("rest", ["\u00e9", "!", "A", "/w=="])
def test_a_signature_that_was_changed_is_nobodys(rest):
    seal = seals.marked("gemini", "s")[:8] + rest
    assert seals.unmarked("gemini", seal) == ""
