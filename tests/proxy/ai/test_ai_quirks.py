"""What providers and their models get of a request in OpenAI's format, and what clients are told of
it. What each of them takes is in docs/providers.md."""

import json
import re

import pytest
from ai_cast import OF_KINDS

from contract.presets import PRESETS
from contract.quirks import EFFORTS

HELLO = [{"role": "user", "content": "Hi"}]
ANSWER = json.dumps({"choices": [{"message": {"content": "hi"}}]}).encode()
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
ONE = {"type": "function", "function": {"name": "look"}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
JSON = {"type": "json_object"}
RESPONSE = json.dumps(
    {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "real",
        "output": [
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "hi", "annotations": []}],
            }
        ],
        "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
    }
).encode()


def post(web, model, path="/v1/chat/completions", **fields):
    given = {"input": "Hi"} if "chat" not in path else {"messages": HELLO}
    return web.post(path, json={"model": model} | given | fields)


def noted(answer, what):
    return {note for note in answer.headers.get(f"x-hubpo-{what}", "").split(", ") if note}


def got(provider):
    body = json.loads(provider.last.body)
    return {name: body[name] for name in body if name not in ("model", "messages", "input")}


@pytest.mark.parametrize(
    ("model", "said", "told", "dropped", "mapped"),
    [
        (
            "openai/gpt-5",
            {"max_tokens": 5, "temperature": 0.2, "top_p": 0.5, "presence_penalty": 1},
            {"max_completion_tokens": 5},
            {"temperature", "top_p", "presence_penalty"},
            {"max_tokens=max_completion_tokens"},
        ),
        ("openai/gpt-5", {"temperature": 1, "frequency_penalty": 0.0}, {}, set(), set()),
        (
            "openai/gpt-5",
            {"max_tokens": 5, "max_completion_tokens": 7},
            {"max_completion_tokens": 7},
            set(),
            set(),
        ),
        (
            "openai/gpt-5",
            {"reasoning_effort": "none"},
            {"reasoning_effort": "minimal"},
            set(),
            {"reasoning_effort=minimal"},
        ),
        ("openai/gpt-5.2", {"temperature": 0.2}, {"temperature": 0.2}, set(), set()),
        (
            "openai/gpt-5.2",
            {"temperature": 0.2, "reasoning_effort": "xhigh"},
            {"reasoning_effort": "xhigh"},
            {"temperature"},
            set(),
        ),
        ("openai/gpt-5.5", {"temperature": 0.2}, {}, {"temperature"}, set()),
        (
            "openai/gpt-5.5",
            {"temperature": 0.2, "logprobs": True, "reasoning_effort": "none"},
            {"temperature": 0.2, "logprobs": True, "reasoning_effort": "none"},
            set(),
            set(),
        ),
        (
            "openai/gpt-6-sol",
            {"temperature": 0.2, "reasoning_effort": "none"},
            {"reasoning_effort": "none"},
            {"temperature"},
            set(),
        ),
        (
            "openai/gpt-4o",
            {"reasoning_effort": "high", "verbosity": "medium", "temperature": 0.2},
            {"temperature": 0.2},
            {"reasoning_effort"},
            set(),
        ),
        (
            "openai/o3-mini",
            {"stop": ["x"], "parallel_tool_calls": False},
            {"stop": ["x"]},
            {"parallel_tool_calls"},
            set(),
        ),
        (
            "github/gpt-5",
            {"max_tokens": 5, "logit_bias": {"1": 1}},
            {"max_completion_tokens": 5},
            {"logit_bias"},
            {"max_tokens=max_completion_tokens"},
        ),
        ("azure/gpt-5-mini", {"temperature": 0.2}, {}, {"temperature"}, set()),
        ("prod-at-azure", {"temperature": 0.2}, {}, {"temperature"}, set()),
        (
            "mistral-at-azure",
            {"max_completion_tokens": 5},
            {"max_tokens": 5},
            set(),
            {"max_completion_tokens=max_tokens"},
        ),
        (
            "groq/llama-3.3-70b-versatile",
            {"service_tier": "default", "verbosity": "low", "store": False, "metadata": None},
            {"service_tier": "on_demand"},
            {"verbosity"},
            {"service_tier=on_demand"},
        ),
        (
            "groq/llama-3.3-70b-versatile",
            {"service_tier": "flex", "reasoning_effort": "low", "reasoning_format": "raw"},
            {"service_tier": "flex", "reasoning_format": "raw"},
            {"reasoning_effort"},
            set(),
        ),
        (
            "groq/qwen3-32b",
            {"reasoning_effort": "high"},
            {"reasoning_effort": "default"},
            set(),
            {"reasoning_effort=default"},
        ),
        (
            "groq/gpt-oss-120b",
            {"reasoning_effort": "none", "service_tier": "priority"},
            {"reasoning_effort": "low", "service_tier": "performance"},
            set(),
            {"reasoning_effort=low", "service_tier=performance"},
        ),
        (
            "mistral/mistral-small-latest",
            {"reasoning_effort": "low", "seed": 3, "store": True, "safe_prompt": True},
            {"reasoning_effort": "high", "random_seed": 3, "safe_prompt": True},
            {"store"},
            {"reasoning_effort=high", "seed=random_seed"},
        ),
        (
            "mistral/mistral-small-latest",
            {"tools": TOOLS, "tool_choice": "any", "logit_bias": None},
            {"tools": TOOLS, "tool_choice": "any"},
            set(),
            set(),
        ),
        (
            "deepseek/deepseek-v4-pro",
            {"reasoning_effort": "none", "temperature": 0.2, "tools": TOOLS, "tool_choice": ONE},
            {
                "thinking": {"type": "disabled"},
                "temperature": 0.2,
                "tools": TOOLS,
                "tool_choice": ONE,
            },
            set(),
            {"reasoning_effort=thinking.disabled"},
        ),
        (
            "deepseek/deepseek-v4-pro",
            {"temperature": 0.2, "tools": TOOLS, "tool_choice": "auto", "response_format": JSON},
            {"tools": TOOLS, "tool_choice": "auto", "response_format": JSON},
            {"temperature"},
            set(),
        ),
        (
            "deepseek/deepseek-chat",
            {"temperature": 0.2, "tools": TOOLS, "tool_choice": "required"},
            {"temperature": 0.2, "tools": TOOLS, "tool_choice": "required"},
            set(),
            set(),
        ),
        ("drops-at-deepseek", {"response_format": SCHEMA}, {"response_format": JSON}, ..., set()),
        ("xai/grok-4", {"presence_penalty": 0, "frequency_penalty": None}, {}, set(), set()),
        (
            "xai/grok-4",
            {"presence_penalty": 1, "reasoning_effort": "low", "metadata": {"a": "b"}},
            {},
            {"presence_penalty", "reasoning_effort", "metadata"},
            set(),
        ),
        (
            "xai/grok-4.3",
            {"reasoning_effort": "minimal"},
            {"reasoning_effort": "low"},
            set(),
            {"reasoning_effort=low"},
        ),
        (
            "xai/grok-3-mini",
            {"reasoning_effort": "medium"},
            {"reasoning_effort": "high"},
            set(),
            {"reasoning_effort=high"},
        ),
        ("xai/grok-4-fast-non-reasoning", {"stop": ["x"]}, {"stop": ["x"]}, set(), set()),
        (
            "openrouter/gpt-5",
            {"max_completion_tokens": 5, "temperature": 0.2},
            {"max_tokens": 5, "temperature": 0.2},
            set(),
            {"max_completion_tokens=max_tokens"},
        ),
        (
            "ollama/qwen3",
            {"reasoning_effort": "xhigh"},
            {"reasoning_effort": "max"},
            set(),
            {"reasoning_effort=max"},
        ),
        (
            "vllm/gpt-oss-20b",
            {"reasoning_effort": "xhigh"},
            {"reasoning_effort": "high"},
            set(),
            {"reasoning_effort=high"},
        ),
        ("vllm/qwen3", {"reasoning_effort": "xhigh"}, {"reasoning_effort": "xhigh"}, set(), set()),
        (
            "fireworks/glm-5",
            {"reasoning_effort": "minimal", "max_completion_tokens": 5},
            {"reasoning_effort": "low", "max_completion_tokens": 5},
            set(),
            {"reasoning_effort=low"},
        ),
        (
            "cerebras/zai-glm-4.7",
            {"reasoning_effort": "high", "service_tier": "flex", "parallel_tool_calls": False},
            {},
            {"reasoning_effort", "service_tier", "parallel_tool_calls"},
            set(),
        ),
        (
            "cerebras/zai-glm-4.7",
            {"reasoning_effort": "none"},
            {"reasoning_effort": "none"},
            set(),
            set(),
        ),
        (
            "perplexity/sonar-pro",
            {"stop": ["x"], "reasoning_effort": "none", "response_format": SCHEMA},
            {"stop": ["x"], "reasoning_effort": "minimal", "response_format": SCHEMA},
            set(),
            {"reasoning_effort=minimal"},
        ),
        ("zai/glm-4.6", {"reasoning_effort": "high"}, {}, {"reasoning_effort"}, set()),
        (
            "zai/glm-5.2",
            {"reasoning_effort": "max", "tools": TOOLS, "tool_choice": "auto", "user": "bob"},
            {"reasoning_effort": "max", "tools": TOOLS, "tool_choice": "auto"},
            {"user"},
            set(),
        ),
        ("declared", {"top_p": 0.5, "n": 2}, {"n": 2}, {"top_p"}, set()),
        (
            "sent-at-groq",
            {"brand_new": 1, "logprobs": True, "other": 1},
            {"brand_new": 1, "logprobs": True},
            {"other"},
            set(),
        ),
    ],
)
def test_a_model_gets_what_it_takes_and_the_client_is_told(
    web, provider, model, said, told, dropped, mapped
):
    provider.says(ANSWER)
    answer = post(web, model, **said)
    assert answer.status_code == 200, answer.text
    assert got(provider) == told
    if dropped is not ...:
        assert noted(answer, "dropped") == dropped
    assert noted(answer, "mapped") == mapped


@pytest.mark.parametrize(
    ("model", "said", "param"),
    [
        ("openai/gpt-5", {"logprobs": True}, "logprobs"),
        ("openai/gpt-5", {"stop": "x"}, "stop"),
        ("openai/o3", {"stop": "x"}, "stop"),
        ("openai/gpt-5.2", {"top_logprobs": 2, "reasoning_effort": "low"}, "top_logprobs"),
        ("groq/llama-3.3-70b-versatile", {"n": 2}, "n"),
        ("groq/llama-3.3-70b-versatile", {"web_search_options": {"a": 1}}, "web_search_options"),
        ("mistral/mistral-small-latest", {"functions": [{"name": "look"}]}, "functions"),
        ("deepseek/deepseek-v4-pro", {"response_format": SCHEMA}, "response_format"),
        ("deepseek/deepseek-v4-pro", {"tools": TOOLS, "tool_choice": "required"}, "tool_choice"),
        ("xai/grok-4", {"stop": "x"}, "stop"),
        ("xai/grok-4", {"web_search_options": {"a": 1}}, "web_search_options"),
        ("perplexity/sonar-pro", {"response_format": JSON}, "response_format"),
        ("zai/glm-5.2", {"response_format": SCHEMA}, "response_format"),
        ("zai/glm-5.2", {"tools": TOOLS, "tool_choice": ONE}, "tool_choice"),
        ("declared", {"stop": "x"}, "stop"),
    ],
)
def test_what_the_client_would_miss_in_the_answer_is_refused(web, provider, model, said, param):
    answer = post(web, model, **said)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "parameter_unsupported")
    assert error["param"] == param
    assert not provider.asked


def test_the_bytes_go_through_where_nothing_is_to_be_changed(web, provider):
    provider.says(ANSWER)
    body = b'{"model":"gpt-5-mini",  "messages":[{"role":"user","content":"Hi"}], "store":true}'
    assert web.post("/v1/chat/completions", content=body).status_code == 200
    assert provider.last.body == body


def test_a_parameter_that_is_there_twice_or_escaped_is_found(web, provider):
    provider.says(ANSWER)
    body = (
        b'{"model":"gpt-5-mini","messages":[{"role":"user","content":"Hi"}],'
        b'"t\\u0065mperature":0.2,"top_p":0.1,"top_p":0.2}'
    )
    answer = web.post("/v1/chat/completions", content=body)
    assert got(provider) == {}
    assert noted(answer, "dropped") == {"temperature", "top_p"}


@pytest.mark.parametrize("value", [b'"\\xff"', b"[" * 900 + b"]" * 900], ids=["no text", "deep"])
def test_a_value_that_cannot_be_read_is_the_clients_error(web, provider, value):
    body = b'{"model":"zai/glm-5.2","messages":[{"role":"user","content":"Hi"}],"tool_choice":%b}'
    answer = web.post("/v1/chat/completions", content=body % value)
    assert answer.status_code == 400, answer.text
    assert not provider.asked


def test_clients_of_responses_are_told_the_same(web, provider):
    provider.says(RESPONSE)
    effort = {"effort": "xhigh", "summary": "auto"}
    answer = post(web, "openai/gpt-5", "/v1/responses", temperature=0.2, reasoning=effort)
    assert got(provider) == {"reasoning": {"effort": "high", "summary": "auto"}}
    assert noted(answer, "dropped") == {"temperature"}
    assert noted(answer, "mapped") == {"reasoning_effort=high"}
    answer = post(web, "openai/gpt-4o", "/v1/responses", reasoning={"effort": "low"})
    assert got(provider) == {}
    assert noted(answer, "dropped") == {"reasoning_effort"}


def test_clients_of_other_formats_are_told_the_same(web, provider):
    provider.says(ANSWER)
    body = {"max_tokens": 5, "messages": HELLO, "temperature": 0.2, "top_p": 0.5}
    answer = web.post("/v1/messages", json={"model": "openai/gpt-5"} | body)
    assert answer.status_code == 200, answer.text
    assert got(provider) == {"max_completion_tokens": 5}
    assert noted(answer, "dropped") == {"temperature", "top_p"}
    off = {"thinking": {"type": "disabled"}}
    web.post("/v1/messages", json={"model": "openai/gpt-5.5"} | body | off)
    assert got(provider)["temperature"] == 0.2
    answer = web.post("/v1/messages", json={"model": "groq/gpt-oss-120b"} | body | off)
    assert got(provider)["reasoning_effort"] == "low"
    assert noted(answer, "mapped") == {"reasoning_effort=low"}


def test_tools_of_a_model_that_thinks_are_asked_for_in_the_newer_format(web, provider):
    provider.says(RESPONSE)
    answer = post(web, "openai/gpt-5.6-luna", tools=TOOLS, reasoning_effort="low")
    assert provider.last.line == "POST /v1/responses HTTP/1.1"
    assert got(provider)["tools"][0]["name"] == "look"
    assert got(provider)["reasoning"]["effort"] == "low"
    assert got(provider)["store"] is False
    assert answer.json()["choices"][0]["message"]["content"] == "hi"
    assert answer.json()["usage"]["completion_tokens"] == 2
    body = {"model": "openai/gpt-5.6-luna", "max_tokens": 5, "messages": HELLO}
    tool = {"name": "look", "input_schema": {"type": "object"}}
    answer = web.post("/v1/messages", json=body | {"tools": [tool]})
    assert provider.last.line == "POST /v1/responses HTTP/1.1"
    assert answer.json()["content"][0]["text"] == "hi"
    provider.says(ANSWER)
    post(web, "openai/gpt-5.6-luna", tools=TOOLS, reasoning_effort="none")
    assert provider.last.line == "POST /v1/chat/completions HTTP/1.1"
    post(web, "openai/gpt-5.6-luna")
    assert provider.last.line == "POST /v1/chat/completions HTTP/1.1"


def test_a_model_that_is_not_in_chat_completions_is_asked_by_responses(web, provider):
    provider.says(RESPONSE)
    answer = post(web, "openai/gpt-5-pro", reasoning_effort="low", max_tokens=50)
    assert provider.last.line == "POST /v1/responses HTTP/1.1"
    assert got(provider)["reasoning"] == {"effort": "high"}
    assert got(provider)["max_output_tokens"] == 50
    assert answer.json()["choices"][0]["message"]["content"] == "hi"
    assert noted(answer, "mapped") == {"reasoning_effort=high"}
    post(web, "openai/gpt-5.1-codex", reasoning_effort="minimal")
    assert got(provider)["reasoning"] == {"effort": "low"}


@pytest.mark.parametrize(
    ("model", "role"),
    [
        ("deepseek/deepseek-chat", "system"),
        ("zai/glm-5.2", "system"),
        ("mistral/mistral-small-latest", "system"),
        ("groq/llama-3.3-70b-versatile", "developer"),
        ("openai/gpt-5", "developer"),
        ("vllm/gpt-oss-20b", "developer"),
        ("declared", "developer"),
        ("gpt", "developer"),
    ],
)
def test_a_developers_message_is_the_systems_where_the_role_is_not_known(
    web, provider, model, role
):
    provider.says(ANSWER)
    messages = [{"role": "developer", "content": 'Be "developer".'}, *HELLO]
    answer = web.post("/v1/chat/completions", json={"model": model, "messages": messages})
    assert answer.status_code == 200, answer.text
    told = json.loads(provider.last.body)["messages"]
    assert told == [messages[0] | {"role": role}, *HELLO]
    mapped = {"messages.developer=system"} if role == "system" else set()
    assert noted(answer, "mapped") == mapped


def test_voyage_gets_its_own_words(web, provider):
    provider.says(json.dumps({"data": [{"embedding": [0.5], "index": 0}]}).encode())
    fields = {"dimensions": 256, "encoding_format": "float", "user": "bob"}
    answer = post(web, "vectors-at-voyage", "/v1/embeddings", **fields)
    assert answer.status_code == 200, answer.text
    assert got(provider) == {"output_dimension": 256}
    assert noted(answer, "dropped") == {"user"}


def test_every_model_here_is_of_a_known_provider():
    assert {place.removesuffix("-1") for place in OF_KINDS} <= PRESETS.keys()


def test_every_rule_of_every_family_can_be_followed():
    for preset in PRESETS.values():
        for family in preset.families:
            re.compile(family.pattern)
        for quirks in (preset.quirks, *(family.quirks for family in preset.families)):
            assert set(quirks.efforts) <= {*EFFORTS, "default"}
            assert not quirks.knows or set(quirks.renames.values()) <= quirks.knows | {""}
            assert not quirks.knows & {*quirks.renames}
