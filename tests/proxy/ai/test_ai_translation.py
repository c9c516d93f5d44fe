"""Clients of one format in front of providers of another, through a gateway with real sockets."""

import json

import anthropic
import openai
import pytest
from ai_cast import ALICE
from ai_servers import sse

MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-real",
    "content": [{"type": "text", "text": "Hello."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 7, "output_tokens": 3, "cache_read_input_tokens": 2},
}
STREAM = [
    ("message_start", {"message": MESSAGE | {"content": [], "stop_reason": None}}),
    ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
    ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": "Hel"}}),
    ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": "lo."}}),
    ("content_block_stop", {"index": 0}),
    (
        "message_delta",
        {
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 3},
        },
    ),
    ("message_stop", {}),
]
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-real",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello.", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
}


def events(named):
    return b"".join(
        f"event: {name}\ndata: {json.dumps({'type': name} | data)}\n\n".encode()
        for name, data in named
    )


@pytest.fixture
def openai_sdk(platform):
    return openai.OpenAI(base_url=f"{platform.url}/v1", api_key=ALICE, max_retries=0)


@pytest.fixture
def anthropic_sdk(platform):
    return anthropic.Anthropic(base_url=platform.url, api_key=ALICE, max_retries=0)


QUESTION = [{"role": "user", "content": "Say hello."}]


def test_openais_sdk_reaches_a_model_of_anthropics(openai_sdk, provider, platform):
    provider.says(json.dumps(MESSAGE).encode())
    raw = openai_sdk.chat.completions.with_raw_response.create(
        model="claude",
        messages=[{"role": "system", "content": "Be brief."}, *QUESTION],
        max_completion_tokens=50,
        logit_bias={"1": 2},
    )
    answer = raw.parse()
    assert answer.choices[0].message.content == "Hello."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "claude"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (9, 3)
    assert raw.headers["x-hubpo-dropped"] == "logit_bias"
    asked = json.loads(provider.last.body)
    assert provider.last.line.split()[1] == "/v1/messages"
    assert provider.last.headers["x-api-key"]
    assert asked["model"] == "claude-real"
    assert asked["max_tokens"] == 50
    assert "Be brief." in json.dumps(asked["system"])
    event = platform.event(raw.headers["x-request-id"])
    assert (event.input_tokens, event.cached_tokens, event.output_tokens) == (9, 2, 3)
    assert event.adapted.startswith("dropped logit_bias")
    assert event.routed == "the only deployment"
    assert event.attempts == 1


@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_a_stream_of_anthropics_is_one_of_openais(openai_sdk, provider, platform, cut):
    data = events(STREAM)
    pieces = [data[i : i + cut] for i in range(0, len(data), cut)]
    provider.says(*pieces, content_type="text/event-stream")
    chunks = list(
        openai_sdk.chat.completions.create(
            model="claude",
            messages=QUESTION,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "Hello."
    assert chunks[-1].usage.total_tokens == 12
    finishes = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert finishes[-1] == "stop"


def test_anthropics_sdk_reaches_a_model_of_openais(anthropic_sdk, provider, platform):
    provider.says(json.dumps(ANSWER).encode())
    answer = anthropic_sdk.messages.create(
        model="gpt", max_tokens=20, system="Be brief.", messages=QUESTION
    )
    assert answer.content[0].text == "Hello."
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (9, 3)
    asked = json.loads(provider.last.body)
    assert provider.last.line.split()[1] == "/v1/chat/completions"
    assert asked["messages"][0]["role"] in ("system", "developer")


def test_anthropics_sdk_streams_from_a_model_of_openais(anthropic_sdk, provider):
    piece = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-real"}
    said = [{"role": "assistant", "content": ""}, {"content": "Hel"}, {"content": "lo."}]
    chunks = [piece | {"choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in said]
    chunks.append(piece | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    chunks.append(piece | {"choices": [], "usage": ANSWER["usage"]})
    provider.says(sse(*map(json.dumps, chunks), "[DONE]"), content_type="text/event-stream")
    with anthropic_sdk.messages.stream(model="gpt", max_tokens=20, messages=QUESTION) as stream:
        assert "".join(stream.text_stream) == "Hello."
        final = stream.get_final_message()
    assert final.stop_reason == "end_turn"
    assert (final.usage.input_tokens, final.usage.output_tokens) == (9, 3)
    assert json.loads(provider.last.body)["stream_options"] == {"include_usage": True}


def test_an_error_of_one_provider_is_one_of_the_clients_format(openai_sdk, provider, platform):
    body = {"type": "error", "error": {"type": "invalid_request_error", "message": "Too long."}}
    provider.says(json.dumps(body).encode(), status=400)
    with pytest.raises(openai.BadRequestError) as refused:
        openai_sdk.chat.completions.create(model="claude", messages=QUESTION)
    assert refused.value.body["message"] == "Too long."
    busy = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    provider.says(json.dumps(busy).encode(), status=529, headers={"retry-after": "7"})
    with pytest.raises(openai.APIStatusError) as overloaded:
        openai_sdk.chat.completions.create(model="claude", messages=QUESTION)
    assert overloaded.value.status_code == 529
    assert overloaded.value.response.headers["retry-after"] == "7"


def test_the_gateways_own_errors_have_the_clients_shape(anthropic_sdk):
    with pytest.raises(anthropic.NotFoundError) as missing:
        anthropic_sdk.messages.create(model="nothing", max_tokens=1, messages=QUESTION)
    assert missing.value.body["error"]["code"] == "model_not_found"
    with pytest.raises(anthropic.AuthenticationError):
        anthropic_sdk.with_options(api_key="hk-no").messages.create(
            model="gpt", max_tokens=1, messages=QUESTION
        )


def test_a_stream_that_breaks_off_says_so_in_the_clients_format(openai_sdk, provider, platform):
    provider.says(events(STREAM[:4]), content_type="text/event-stream", abort=True)
    stream = openai_sdk.chat.completions.create(model="claude", messages=QUESTION, stream=True)
    said = []
    with pytest.raises(openai.APIError):
        said.extend(chunk.choices[0].delta.content or "" for chunk in stream)
    # What the provider had reported by then is what is recorded.
    event = platform.event(stream.response.headers["x-request-id"])
    assert event.error_code == "upstream_broken"
    assert event.input_tokens == 9


def test_a_stream_that_fails_before_its_first_token_is_answered_by_another(
    openai_sdk, provider, second, platform
):
    error = {"error": {"type": "overloaded_error", "message": "Overloaded"}}
    provider.says(events([("error", error)]), content_type="text/event-stream")
    second.says(json.dumps(ANSWER).encode())
    raw = openai_sdk.chat.completions.with_raw_response.create(
        model="claude-then-gpt", messages=QUESTION, stream=True
    )
    text = "".join(c.choices[0].delta.content or "" for c in raw.parse() if c.choices)
    assert text == "Hello."
    event = platform.event(raw.headers["x-request-id"])
    assert event.attempts == 2
    assert "529" in event.routed or "502" in event.routed or "503" in event.routed


@pytest.mark.parametrize(
    ("path", "body", "vectors"),
    [
        (
            "/v2/embed",
            {
                "model": "vectors",
                "texts": ["a", "b"],
                "input_type": "search_query",
                "embedding_types": ["float"],
            },
            lambda told: told["embeddings"]["float"],
        ),
        (
            "/v1beta/models/vectors:batchEmbedContents",
            {"requests": [{"content": {"parts": [{"text": text}]}} for text in "ab"]},
            lambda told: [one["values"] for one in told["embeddings"]],
        ),
    ],
)
def test_embeddings_are_had_in_the_formats_of_others(web, provider, platform, path, body, vectors):
    data = [{"object": "embedding", "index": n, "embedding": [0.5, n]} for n in range(2)]
    usage = {"prompt_tokens": 4, "total_tokens": 4}
    answer = {"object": "list", "model": "vectors-real", "data": data, "usage": usage}
    provider.says(json.dumps(answer).encode())
    told = web.post(path, json=body)
    assert told.status_code == 200, told.text
    assert vectors(told.json()) == [[0.5, 0.0], [0.5, 1.0]]
    assert json.loads(provider.last.body) == {"model": "vectors-real", "input": ["a", "b"]}
    event = platform.event(told.headers["x-request-id"])
    assert (event.input_tokens, event.output_tokens) == (4, 0)


def test_thoughts_that_another_provider_signed_are_not_sent_to_anthropic(web, provider):
    provider.says(json.dumps(MESSAGE).encode())
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "hubpo:gemini:abc"}
    messages = [
        *QUESTION,
        {"role": "assistant", "content": [thought, {"type": "text", "text": "Hello."}]},
        {"role": "user", "content": "Again."},
    ]
    told = web.post("/v1/messages", json={"model": "claude", "max_tokens": 9, "messages": messages})
    assert told.status_code == 200, told.text
    assert b"hubpo:" not in provider.last.body
    assert b"Again." in provider.last.body


def test_a_provider_of_openais_format_is_told_in_its_own_dialect(anthropic_sdk, provider):
    provider.says(json.dumps(ANSWER).encode())
    kept = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    thinks = {"type": "enabled", "budget_tokens": 2000}
    top_k = {"top_k": 5}
    asked = {"max_tokens": 5000, "system": kept, "messages": QUESTION, "thinking": thinks}
    anthropic_sdk.messages.create(model="deepseek", extra_body=top_k, **asked)
    told = json.loads(provider.last.body)
    assert told["messages"][0] == {"role": "system", "content": "Be brief."}
    assert told["thinking"] == {"type": "enabled"}
    assert told["reasoning_effort"] == "low"
    assert "top_k" not in told
    anthropic_sdk.messages.create(model="claude-at-openrouter", extra_body=top_k, **asked)
    told = json.loads(provider.last.body)
    assert told["messages"][0]["content"] == kept
    assert told["reasoning"] == {"max_tokens": 2000}
    assert told["top_k"] == 5


def test_openai_is_not_told_what_it_refuses(anthropic_sdk, provider):
    provider.says(json.dumps(ANSWER).encode())
    raw = anthropic_sdk.messages.with_raw_response.create(
        model="gpt-at-openai", max_tokens=9, messages=QUESTION, extra_body={"top_k": 5}
    )
    assert "top_k" not in json.loads(provider.last.body)
    assert raw.headers["x-hubpo-dropped"] == "top_k"


def test_a_conversation_that_another_provider_keeps_is_refused(openai_sdk, provider):
    with pytest.raises(openai.BadRequestError) as refused:
        openai_sdk.responses.create(model="claude", input="And?", previous_response_id="resp_1")
    assert refused.value.body["code"] == "parameter_unsupported"
    assert refused.value.body["param"] == "previous_response_id"
    assert not provider.asked


def test_what_only_chat_lacks_does_not_concern_embeddings_nor_is_there_a_stream(web, provider):
    answer = {"data": [{"embedding": [0.5], "index": 0}], "usage": {"total_tokens": 3}}
    provider.says(json.dumps(answer).encode())
    body = {"model": "vectors-at-mistral", "texts": ["a"], "stream": True}
    told = web.post("/v2/embed", json=body)
    assert told.status_code == 200, told.text
    assert told.json()["embeddings"]["float"] == [[0.5]]


def test_an_error_of_coheres_keeps_its_words(web, provider):
    provider.says(b'{"id":"1","message":"too many tokens"}', status=400)
    body = {"model": "command", "messages": [{"role": "user", "content": "a"}]}
    told = web.post("/v2/chat", json=body)
    assert (told.status_code, told.json()["message"]) == (400, "too many tokens")
