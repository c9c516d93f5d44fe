import base64
import json
import struct
import time
from math import isclose, sqrt

import httpx
import pytest
from openai import (
    APIConnectionError,
    APIError,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    OpenAI,
    RateLimitError,
)

CHAT = "sandbox-chat"


@pytest.fixture
def ai(sandbox):
    with OpenAI(base_url=f"{sandbox}/v1", api_key="none", max_retries=0) as client:
        yield client


def ask(ai, text, system=None, **options):
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": text})
    return ai.chat.completions.create(model=CHAT, messages=messages, **options)


def said(answer):
    return answer.choices[0].message.content


def test_it_starts_fast_and_stays_small(sandbox_process):
    _, process, took = sandbox_process
    assert took < 2, "0.5 s on an idle machine; this one may be busy"
    with open(f"/proc/{process.pid}/status") as status:
        resident = next(line for line in status if line.startswith("VmRSS"))
    assert int(resident.split()[1]) < 60_000, resident


def test_it_says_that_it_is_a_sandbox_and_repeats_the_question(ai):
    answer = ask(ai, "How tall is the tower?")
    assert "sandbox" in said(answer)
    assert "How tall is the tower?" in said(answer)
    assert answer.choices[0].finish_reason == "stop"


def test_the_same_question_gives_the_same_bytes(web):
    body = {"model": CHAT, "messages": [{"role": "user", "content": "again"}]}
    first, second = (web.post("/v1/chat/completions", json=body).content for _ in range(2))
    assert first == second


def test_a_token_is_four_characters(ai):
    answer = ask(ai, "x" * 9, system="yy")
    assert answer.usage.prompt_tokens == 3 + 1
    assert answer.usage.completion_tokens == -(-len(said(answer)) // 4)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@pytest.mark.parametrize(
    ("text", "mood"),
    [
        ("I love this, it works great", "positive"),
        ("Terrible. It crashed twice.", "negative"),
        ("It was not good", "negative"),
        ("The parcel arrived on Tuesday.", "neutral"),
    ],
)
def test_it_tells_a_mood_as_json(ai, text, mood):
    instruction = "You analyse the sentiment of texts."
    assert json.loads(said(ask(ai, text, instruction)))["sentiment"] == mood
    in_one = f"Classify the sentiment as positive, negative or neutral:\n\n{text}"
    assert json.loads(said(ask(ai, in_one)))["sentiment"] == mood


@pytest.mark.parametrize(
    ("language", "translated"),
    [
        ("German", "Hallo Welt, danke! Xyzzy"),
        ("fr", "Bonjour monde, merci! Xyzzy"),
        ("Spanish", "Hola mundo, gracias! Xyzzy"),
    ],
)
def test_it_translates_the_words_it_knows(ai, language, translated):
    text = "Hello world, thanks! Xyzzy"
    assert said(ask(ai, text, f"Translate the user's text into {language}.")) == translated
    assert said(ask(ai, f"Translate this to {language}: {text}")) == translated


def test_it_says_which_languages_it_knows(ai):
    said_to = said(ask(ai, "Hallo, en español", "Translate the user's text into Klingon."))
    assert "German, French and Spanish only" in said_to


def test_a_stream_says_the_same_as_the_whole_answer(ai):
    whole = ask(ai, "one two three")
    chunks = list(ask(ai, "one two three", stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == said(whole)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)


def test_a_stream_ends_with_the_usage_when_asked(ai):
    whole = ask(ai, "one two three")
    stream = ask(ai, "one two three", stream=True, stream_options={"include_usage": True})
    *_, last = stream
    assert last.choices == []
    assert last.usage == whole.usage


def test_max_tokens_cuts_the_answer(ai):
    answer = ask(ai, "a long story", max_tokens=3)
    assert len(said(answer)) == 12
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 3


def test_several_choices_are_all_counted(ai):
    answer = ask(ai, "hi", n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.usage.completion_tokens == 3 * ask(ai, "hi").usage.completion_tokens


WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer", "minimum": 2},
                "unit": {"type": "string", "enum": ["celsius", "kelvin"]},
            },
            "required": ["city"],
        },
    },
}


def test_it_calls_a_tool_when_asked_to(ai):
    answer = ask(ai, 'please call get_weather city="New York"', tools=[WEATHER_TOOL])
    assert answer.choices[0].finish_reason == "tool_calls"
    [call] = answer.choices[0].message.tool_calls
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "New York", "days": 2, "unit": "celsius"}
    assert answer.choices[0].message.content is None


def test_a_streamed_tool_call_adds_up_to_the_whole_one(ai):
    text = "call get_weather city=Lima days=5"
    [call] = ask(ai, text, tools=[WEATHER_TOOL]).choices[0].message.tool_calls
    parts = [
        part
        for chunk in ask(ai, text, tools=[WEATHER_TOOL], stream=True)
        for part in chunk.choices[0].delta.tool_calls or ()
    ]
    assert parts[0].id == call.id
    assert parts[0].function.name == "get_weather"
    assert "".join(part.function.arguments for part in parts) == call.function.arguments
    assert json.loads(call.function.arguments)["days"] == 5


def test_it_calls_no_tool_unless_asked(ai):
    assert ask(ai, "hello", tools=[WEATHER_TOOL]).choices[0].message.tool_calls is None
    text = "call get_weather"
    forbidden = ask(ai, text, tools=[WEATHER_TOOL], tool_choice="none")
    assert forbidden.choices[0].message.tool_calls is None
    forced = {"type": "function", "function": {"name": "get_weather"}}
    assert ask(ai, "hi", tools=[WEATHER_TOOL], tool_choice=forced).choices[0].message.tool_calls


def test_it_repeats_what_a_tool_answered(ai):
    call = {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    answer = ai.chat.completions.create(
        model=CHAT,
        messages=[
            {"role": "user", "content": "call get_weather"},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "content": "12 degrees"},
        ],
        tools=[WEATHER_TOOL],
    )
    assert "12 degrees" in said(answer)


def test_json_mode_gives_an_object(ai):
    answer = ask(ai, "anything", response_format={"type": "json_object"})
    assert isinstance(json.loads(said(answer)), dict)


def test_a_schema_is_followed(ai):
    schema = {
        "type": "object",
        "properties": {
            "sentiment": {"type": "string", "enum": ["negative", "positive"]},
            "confidence": {"type": "number"},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/Tag"}, "minItems": 2},
            "when": {"type": "string", "format": "date"},
            "maybe": {"anyOf": [{"type": "null"}, {"type": "string"}]},
        },
        "required": ["sentiment", "tags"],
        "$defs": {"Tag": {"type": "object", "properties": {"on": {"type": "boolean"}}}},
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "mood", "schema": schema}}
    answer = ask(ai, "I love it", "Tell the sentiment.", response_format=wanted)
    assert json.loads(said(answer)) == {
        "sentiment": "positive",
        "confidence": 0.65,
        "tags": [{"on": True}, {"on": True}],
        "when": "2026-01-01",
        "maybe": None,
    }


def test_a_schema_that_contains_itself_ends(ai):
    node = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "list", "schema": node}}
    assert isinstance(json.loads(said(ask(ai, "hi", response_format=wanted))), dict)


def test_embeddings_are_unit_vectors_that_depend_on_the_text(ai):
    answer = ai.embeddings.create(model="sandbox-embedding", input=["a", "b", "a"])
    a, b, again = (item.embedding for item in answer.data)
    assert isclose(sqrt(sum(x * x for x in a)), 1, rel_tol=1e-5)
    assert a == again != b
    assert answer.usage.prompt_tokens == 3


def test_embeddings_honour_dimensions_and_encoding(web):
    body = {"model": "sandbox-embedding", "input": "text", "dimensions": 8}
    [plain] = web.post("/v1/embeddings", json=body).json()["data"]
    body["encoding_format"] = "base64"
    [packed] = web.post("/v1/embeddings", json=body).json()["data"]
    assert len(plain["embedding"]) == 8
    unpacked = struct.unpack("<8f", base64.b64decode(packed["embedding"]))
    assert unpacked == pytest.approx(plain["embedding"], abs=1e-6)


@pytest.mark.parametrize("empty", ["", [], [""], ["a", [1]], ["a", 1]])
def test_embeddings_refuse_an_empty_or_mixed_input(ai, empty):
    with pytest.raises(BadRequestError) as caught:
        ai.embeddings.create(model="sandbox-embedding", input=empty)
    assert caught.value.param == "input"


@pytest.mark.parametrize("accepted", [[1, 2, 3], [[1], [2, 3]], ["a", "b"]])
def test_embeddings_take_tokens_as_well(ai, accepted):
    assert ai.embeddings.create(model="sandbox-embedding", input=accepted).data


def test_models_are_listed_and_any_sandbox_name_is_one(ai):
    assert {"sandbox-chat", "sandbox-embedding"} <= {model.id for model in ai.models.list()}
    assert ai.models.retrieve("sandbox-of-mine").id == "sandbox-of-mine"
    with pytest.raises(NotFoundError) as caught:
        ai.models.retrieve("gpt-5")
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (429, RateLimitError),
        (500, InternalServerError),
        (529, InternalServerError),
    ],
)
def test_an_error_on_demand(ai, status, error):
    with pytest.raises(error) as caught:
        ask(ai, f"hello [[status={status}]]")
    assert caught.value.status_code == status
    assert caught.value.response.headers.get("retry-after") == ("1" if status == 429 else None)


def test_a_delay_on_demand(ai):
    began = time.perf_counter()
    answer = ask(ai, "hello [[delay=0.3]]")
    assert 0.3 <= time.perf_counter() - began < 2
    assert "[[" not in said(answer)


def test_a_number_of_chunks_on_demand(ai):
    chunks = list(ask(ai, "hello [[chunks=50]] [[pause=0.001]]", stream=True))
    assert len(chunks) == 1 + 50 + 1
    assert "hello" in "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def test_a_broken_connection_on_demand(ai):
    with pytest.raises((httpx.RemoteProtocolError, APIError)):
        list(ask(ai, "hello [[abort]] [[chunks=10]]", stream=True))
    with pytest.raises(APIConnectionError):
        ask(ai, "hello [[abort]]")


def test_a_directive_with_a_bad_value_is_refused(ai):
    with pytest.raises(BadRequestError) as caught:
        ask(ai, "hello [[status=200]]")
    assert caught.value.code == "invalid_directive"


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        (b"{", None, "invalid_json"),
        (b'{"messages": []}', "model", "invalid_request"),
        (b'{"model": 1, "messages": []}', "model", "invalid_request"),
        (b'{"model": "sandbox-chat"}', "messages", "invalid_request"),
        (b'{"model": "sandbox-chat", "messages": []}', "messages", "invalid_request"),
        (
            b'{"model": "sandbox-chat", "messages": [{"role": "king"}]}',
            "messages[0].role",
            "invalid_request",
        ),
        (b'{"model": "gpt-5", "messages": [{"role": "user"}]}', "model", "model_not_found"),
    ],
)
def test_a_bad_request_is_refused_in_openais_shape(web, body, param, code):
    answer = web.post("/v1/chat/completions", content=body)
    assert answer.status_code == (404 if code == "model_not_found" else 400)
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["param"], error["code"]) == (param, code)
