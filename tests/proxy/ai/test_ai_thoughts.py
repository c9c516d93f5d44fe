"""Thoughts and their signatures over several turns: who made them gets them back, nobody else."""

import json

import pytest

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
