"""The openai SDK as the client, through the gateway, with the sandbox as the provider."""

import json

import pytest
from ai_cast import ALICE, CHARLIE, LIMITED
from openai import (
    AsyncOpenAI,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    OpenAI,
    PermissionDeniedError,
    RateLimitError,
)

HELLO = [{"role": "user", "content": "Hello there"}]


def client(platform, key=ALICE):
    return OpenAI(base_url=f"{platform.url}/v1", api_key=key, max_retries=0, timeout=20)


@pytest.fixture
def ai(platform):
    with client(platform) as made:
        yield made


def test_a_chat_is_answered_and_accounted_for(ai, platform):
    raw = ai.chat.completions.with_raw_response.create(model="chat", messages=HELLO)
    answer = raw.parse()
    assert "Hello there" in answer.choices[0].message.content
    event = platform.event(raw.headers["x-request-id"])
    assert (event.input_tokens, event.output_tokens) == (
        answer.usage.prompt_tokens,
        answer.usage.completion_tokens,
    )
    assert (event.cached_tokens, event.reasoning_tokens) == (0, 0)
    # 2.5 and 10 dollars per million tokens.
    exact = answer.usage.prompt_tokens * 2.5 + answer.usage.completion_tokens * 10
    assert event.cost_micros == round(exact)
    assert (event.model, event.model_id, event.provider_id, event.deployment_id) == (
        "chat",
        "model-chat",
        "sandbox",
        "chat-0",
    )
    assert (event.application_id, event.api_id, event.status) == ("app", "ai", 200)
    assert (event.currency, event.streamed, event.error_code) == ("USD", False, "")


@pytest.mark.parametrize("include", [True, False, None])
def test_a_stream_is_accounted_for_whether_or_not_the_client_asks_for_usage(ai, platform, include):
    options = {} if include is None else {"stream_options": {"include_usage": include}}
    raw = ai.chat.completions.with_raw_response.create(
        model="chat", messages=HELLO, stream=True, **options
    )
    chunks = list(raw.parse())
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert "Hello there" in text
    reported = [chunk.usage for chunk in chunks if chunk.usage]
    without_choices = [chunk for chunk in chunks if not chunk.choices]
    assert len(reported) == len(without_choices) == (1 if include else 0)
    event = platform.event(raw.headers["x-request-id"])
    assert event.streamed
    whole = ai.chat.completions.create(model="chat", messages=HELLO).usage
    assert (event.input_tokens, event.output_tokens) == (
        whole.prompt_tokens,
        whole.completion_tokens,
    )


async def test_the_async_client_streams_as_well(platform):
    async with AsyncOpenAI(base_url=f"{platform.url}/v1", api_key=ALICE) as ai:
        stream = await ai.chat.completions.create(model="chat", messages=HELLO, stream=True)
        text = "".join([c.choices[0].delta.content or "" async for c in stream])
        answer = await ai.chat.completions.create(model="chat", messages=HELLO)
    assert text == answer.choices[0].message.content


TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def test_tools_are_called(ai):
    messages = [{"role": "user", "content": "call get_weather city=Lima"}]
    answer = ai.chat.completions.create(model="chat", messages=messages, tools=[TOOL])
    [call] = answer.choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == {"city": "Lima"}
    parts = [
        part.function.arguments
        for chunk in ai.chat.completions.create(
            model="chat", messages=messages, tools=[TOOL], stream=True
        )
        for part in chunk.choices[0].delta.tool_calls or ()
    ]
    assert "".join(parts) == call.function.arguments


def test_a_json_schema_is_followed(ai):
    schema = {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]}
    answer = ai.chat.completions.create(
        model="chat",
        messages=HELLO,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
    )
    assert json.loads(answer.choices[0].message.content) == {"on": True}


def test_embeddings_are_made_and_have_no_output_tokens(ai, platform):
    raw = ai.embeddings.with_raw_response.create(
        model="embedder", input=["one", "two"], dimensions=16
    )
    answer = raw.parse()
    assert [len(item.embedding) for item in answer.data] == [16, 16]
    event = platform.event(raw.headers["x-request-id"])
    assert (event.input_tokens, event.output_tokens) == (answer.usage.prompt_tokens, 0)
    assert event.cost_micros == round(answer.usage.prompt_tokens * 2.5)


def test_models_are_those_that_the_application_may_use(ai, platform):
    names = {model.id for model in ai.models.list()}
    assert {"chat", "embedder", "gpt"} <= names
    assert names.isdisjoint({"waiting", "closed", "charlies", "sandbox-embedding"})
    found = ai.models.retrieve("chat")
    assert (found.id, found.created, found.object) == ("chat", 1_700_000_000, "model")
    for hidden in ("waiting", "closed", "charlies", "nothing"):
        with pytest.raises(NotFoundError) as caught:
            ai.models.retrieve(hidden)
        assert caught.value.code == "model_not_found"
    with client(platform, CHARLIE) as charlie:
        own = {"charlies", "charlies-gpt", "charlies-embedder", "kept", "meant", "third-embedder"}
        assert {model.id for model in charlie.models.list()} == own


def refusal(ai, error, **request):
    with pytest.raises(error) as caught:
        ai.chat.completions.create(**({"messages": HELLO} | request))
    assert caught.value.response.headers["x-request-id"]
    return caught.value


def test_a_wrong_key_is_an_authentication_error(platform):
    with client(platform, "hub_wrong") as ai:
        assert refusal(ai, AuthenticationError, model="chat").code == "api_key_unknown"
        with pytest.raises(AuthenticationError):
            ai.models.list()


def test_a_model_without_an_approved_subscription_is_forbidden(ai):
    assert refusal(ai, PermissionDeniedError, model="waiting").code == "subscription_pending"
    assert refusal(ai, PermissionDeniedError, model="closed").code == "subscription_missing"


@pytest.mark.parametrize("name", ["nothing", "charlies", "sandbox-embedding", "model-chat", ""])
def test_an_unknown_model_and_another_tenants_model_are_not_found(ai, name):
    error = refusal(ai, NotFoundError, model=name)
    assert (error.code, error.param) == ("model_not_found", "model")
    known = refusal(ai, NotFoundError, model="nothing").message.replace("nothing", name)
    assert error.message == known


def test_each_tenant_reaches_its_own_model(platform):
    with client(platform, CHARLIE) as charlie:
        answer = charlie.chat.completions.create(model="charlies", messages=HELLO)
        assert answer.model == "sandbox-chat"
        assert refusal(charlie, NotFoundError, model="chat").code == "model_not_found"


def test_the_plans_limit_holds(platform):
    with client(platform, LIMITED) as ai:
        for _ in range(2):
            ai.chat.completions.create(model="chat", messages=HELLO)
        error = refusal(ai, RateLimitError, model="chat")
    assert error.code == "rate_limit_exceeded"
    assert int(error.response.headers["retry-after"]) >= 1


def test_a_model_is_asked_only_for_what_it_can(ai):
    assert refusal(ai, BadRequestError, model="embedder").code == "model_ability_missing"


def test_a_field_of_the_wrong_type_is_named(ai):
    error = refusal(ai, BadRequestError, model="chat", extra_body={"stream": "yes"})
    assert (error.code, error.param) == ("invalid_request", "stream")


def test_the_providers_own_refusal_is_passed_on(ai):
    error = refusal(ai, BadRequestError, model="chat", messages=[])
    assert (error.code, error.param) == ("invalid_request", "messages")


@pytest.mark.parametrize(
    ("status", "error"), [(429, RateLimitError), (500, InternalServerError), (422, Exception)]
)
def test_the_providers_error_status_is_passed_on(ai, status, error):
    messages = [{"role": "user", "content": f"[[status={status}]]"}]
    caught = refusal(ai, error, model="chat", messages=messages)
    assert caught.status_code == status
    assert caught.code == "sandbox_directive"
    assert caught.response.headers.get("retry-after") == ("1" if status == 429 else None)
