"""Counting tokens: in three formats, of models whose providers speak these or others."""

import json

import anthropic
import openai
import pytest
from ai_cast import ALICE, FEW
from google import genai

from proxy.ai.errors import AnswerUnreadable, InvalidRequest
from proxy.ai.formats.counting import Count
from proxy.ai.formats.counting.registry import COUNTS, FAMILY
from proxy.ai.formats.registry import FORMATS
from proxy.ai.middle import Message, Request, Text
from proxy.ai.middle.rules import Notes

TEXT = "How many tokens are these?"
SYSTEM = "Be brief."
ASKED = {
    "messages": (
        "/v1/messages/count_tokens",
        {"system": SYSTEM, "messages": [{"role": "user", "content": TEXT}]},
    ),
    "gemini": (
        "/v1beta/models/{model}:countTokens",
        {
            "generateContentRequest": {
                "model": "models/{model}",
                "systemInstruction": {"parts": [{"text": SYSTEM}]},
                "contents": [{"role": "user", "parts": [{"text": TEXT}]}],
            }
        },
    ),
    "responses": ("/v1/responses/input_tokens", {"instructions": SYSTEM, "input": TEXT}),
}
ANSWERS = {
    "messages": {"input_tokens": 17},
    "gemini": {"totalTokens": 17},
    "responses": {"object": "response.input_tokens", "input_tokens": 17},
}
PROVIDERS = {
    "claude": ("messages", "/v1/messages/count_tokens"),
    "gemini": ("gemini", "/v1beta/models/gemini-real:countTokens"),
    "gemini-at-vertex": (
        "gemini",
        "/v1beta1/projects//locations/global/publishers/google/models/gemini-real:countTokens",
    ),
    "gpt-at-openai": ("responses", "/v1/responses/input_tokens"),
}


def ask(web, form, model, **options):
    path, body = ASKED[form]
    text = json.dumps(body if form == "gemini" else {"model": model, **body})
    return web.post(
        path.replace("{model}", model), content=text.replace("{model}", model), **options
    )


@pytest.mark.parametrize("model", PROVIDERS)
@pytest.mark.parametrize("form", ASKED)
def test_each_format_counts_at_each_provider_that_counts(web, provider, platform, form, model):
    spoken, path = PROVIDERS[model]
    provider.says(json.dumps(ANSWERS[spoken]).encode())
    answer = ask(web, form, model)
    assert (answer.status_code, answer.json()) == (200, ANSWERS[form])
    assert "x-hubpo-estimated" not in answer.headers
    assert provider.last.line.split()[:2] == ["POST", path]
    asked = provider.last.body.decode()
    assert TEXT in asked
    assert SYSTEM in asked
    assert f'"{model}"' not in asked
    assert f'models/{model}"' not in asked
    event = platform.event(answer.headers["x-request-id"])
    assert (event.input_tokens, event.output_tokens, event.cost_micros) == (0, 0, 0)
    assert (event.attempts, event.deployment_id) == (1, f"{model}-0")


def test_the_same_format_goes_through_as_it_came(web, provider):
    body = b'{ "contents" : [{"parts":[{"text":"Hi"}]}] }'
    provider.says(b'{"totalTokens": 2, "promptTokensDetails": []}')
    answer = web.post("/v1beta/models/gemini:countTokens", content=body)
    assert answer.content == b'{"totalTokens": 2, "promptTokensDetails": []}'
    assert provider.last.body == body


def test_gemini_is_told_the_whole_request_and_vertex_its_parts(web, provider):
    provider.says(b'{"totalTokens": 3}')
    contents = [{"role": "user", "parts": [{"text": TEXT}]}]
    instruction = {"parts": [{"text": SYSTEM}]}
    ask(web, "responses", "gemini")
    assert json.loads(provider.last.body) == {
        "generateContentRequest": {
            "model": "models/gemini-real",
            "systemInstruction": instruction,
            "contents": contents,
        }
    }
    ask(web, "responses", "gemini-at-vertex")
    assert json.loads(provider.last.body) == {
        "systemInstruction": instruction,
        "contents": contents,
    }


@pytest.mark.parametrize("model", ["gpt", "nova", "command"])
@pytest.mark.parametrize("form", ASKED)
def test_what_no_provider_counts_is_estimated_and_said_to_be(web, provider, platform, form, model):
    answer = ask(web, form, model)
    assert answer.status_code == 200
    assert answer.headers["x-hubpo-estimated"] == "tokens"
    (tokens,) = [value for value in answer.json().values() if isinstance(value, int)]
    assert 10 <= tokens <= 60
    assert answer.json() == {**ANSWERS[form], **dict.fromkeys(_number(answer), tokens)}
    assert provider.asked == []
    event = platform.event(answer.headers["x-request-id"])
    assert (event.input_tokens, event.cost_micros, event.attempts) == (0, 0, 0)
    assert (event.provider_id, event.adapted) == ("", "tokens estimated")


def _number(answer):
    return [name for name, value in answer.json().items() if isinstance(value, int)]


def test_an_estimate_grows_with_the_prompt(web, provider):
    def count(text):
        body = {"model": "gpt", "messages": [{"role": "user", "content": text}]}
        return web.post("/v1/messages/count_tokens", json=body).json()["input_tokens"]

    assert count("word " * 1000) - count("") == 1250


def test_a_deployment_that_counts_is_preferred_to_an_estimate(web, provider, second):
    provider.says(b'{"input_tokens": 4}')
    for _ in range(3):
        answer = ask(web, "messages", "counted-second")
        assert answer.json() == {"input_tokens": 4}
        assert "x-hubpo-estimated" not in answer.headers
    assert second.asked == []


def test_what_cannot_be_read_is_not_estimated(web, provider):
    answer = web.post("/v1/messages/count_tokens", json={"model": "gpt", "messages": "?"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_request"
    answer = web.post("/v1/responses/input_tokens", json={"model": "gpt", "input": 3})
    assert answer.json()["error"]["code"] == "invalid_request"
    answer = web.post("/v1beta/models/gpt:countTokens", content=b"{")
    assert answer.json()["error"]["details"][0]["metadata"]["code"] == "invalid_json"


@pytest.mark.parametrize("form", ASKED)
def test_errors_have_the_clients_format(web, provider, form):
    provider.says(
        b'{"error": {"code": 429, "message": "Slowly.", "status": "RESOURCE_EXHAUSTED"}}',
        status=429,
    )
    for model in ("gemini", "gemini-at-vertex"):
        answer = ask(web, form, model)
        assert answer.status_code == 429
        error = answer.json()["error"]
        assert error["message"] == "Slowly."
        assert {"messages": "type", "responses": "param", "gemini": "status"}[form] in error
    provider.says(b'{"tokens": "many"}')
    answer = ask(web, form, "claude" if form != "messages" else "gemini")
    assert answer.status_code == 502
    assert b"provider_answer_unreadable" in answer.content


def test_only_with_a_model_of_ones_own(web, provider):
    for form in ASKED:
        assert ask(web, form, "charlies").status_code == 404
        assert ask(web, form, "vectors").status_code == 400
    assert provider.asked == []


def test_counting_is_a_call_of_the_plans(web, provider):
    provider.says(b'{"input_tokens": 4}')
    headers = {"authorization": f"Bearer {FEW}"}
    statuses = [ask(web, "messages", "claude", headers=headers).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]


def test_the_sdks_count(platform, provider):
    provider.says(b'{"input_tokens": 17}')
    claude = anthropic.Anthropic(base_url=platform.url, api_key=ALICE, max_retries=0)
    messages = [{"role": "user", "content": TEXT}]
    for model in ("claude", "gpt"):
        assert claude.messages.count_tokens(model=model, messages=messages).input_tokens >= 10
    gpt = openai.OpenAI(base_url=f"{platform.url}/v1", api_key=ALICE, max_retries=0)
    for model in ("claude", "gpt"):
        counted = gpt.responses.input_tokens.count(model=model, input=TEXT)
        assert counted.object == "response.input_tokens"
        assert counted.input_tokens >= 10
    google = genai.Client(
        api_key=ALICE, http_options=genai.types.HttpOptions(base_url=platform.url)
    )
    for model in ("claude", "gpt"):
        assert google.models.count_tokens(model=model, contents=TEXT).total_tokens >= 10


# The formats


def test_each_counting_format_belongs_to_a_family():
    assert all(FAMILY.get(name, name) in FORMATS for name in COUNTS)


@pytest.mark.parametrize("name", COUNTS)
def test_a_count_is_the_same_after_writing_and_reading(name):
    form = COUNTS[name]
    request = Request(
        format=FAMILY.get(name, name),
        model="m",
        messages=[Message("system", [Text("S")]), Message("user", [Text("Hi")])],
        temperature=1,
        n=3,
        logit_bias={"1": 1.0},
        stop=["x"],
        modalities=["audio"],
        user="u",
        stream=True,
    )
    notes = Notes(mode="refuse")
    written = form.write_request(request, "m", notes)
    assert form.read_request(written, model="m").messages == request.messages
    for name_ in (b"temperature", b"stop", b"stream", b"user_id", b"odalities"):
        assert name_ not in written
    assert (notes.dropped, notes.mapped) == ([], [])
    assert form.read_answer(form.write_answer(Count(12), request)).tokens == 12
    for body in (b"{}", b"", b"[" * 100_000, b'{"totalTokens": -1, "input_tokens": -1}'):
        with pytest.raises(AnswerUnreadable):
            form.read_answer(body)
    with pytest.raises(InvalidRequest):
        form.read_request(b"[]", model="m")
