"""Providers that refuse what they do not know get conversations that began with others."""

import contextlib
import json

import msgspec
import pytest
from test_ai_translation import ANSWER

from contract.presets import PRESETS
from contract.quirks import Quirks
from proxy.ai import passing
from proxy.ai.errors import InvalidJson, ParameterUnsupported
from proxy.ai.formats.chat.strict import STRICT, fit
from proxy.ai.middle.rules import Notes

CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
SAID = {
    "role": "assistant",
    "content": None,
    "refusal": None,
    "annotations": [],
    "reasoning_content": "Hm.",
    "tool_calls": [CALL | {"extra_content": {"google": {"thought_signature": "s"}}}],
}
CHAT = [
    {"role": "user", "content": "Hi", "name": "bob"},
    SAID,
    {"role": "tool", "tool_call_id": "call_1", "content": "Dry.", "name": "look"},
]


@pytest.fixture
def told(web, provider):
    provider.says(json.dumps(ANSWER).encode())

    def tell(path, **body):
        answer = web.post(path, json=body)
        assert answer.status_code == 200, answer.text
        dropped = answer.headers.get("x-hubpo-dropped", "").split(", ")
        return json.loads(provider.last.body)["messages"], dropped

    return tell


def test_mistral_gets_ids_of_nine_characters_and_nothing_unknown(told):
    (user, said, result), dropped = told("/v1/chat/completions", model="mistral", messages=CHAT)
    assert user == {"role": "user", "content": "Hi"}
    assert said.keys() == {"role", "content", "tool_calls"}
    (call,) = said["tool_calls"]
    assert call.keys() == {"id", "type", "function"}
    assert len(call["id"]) == 9
    assert call["id"].isalnum()
    assert result == CHAT[2] | {"tool_call_id": call["id"]}
    assert set(dropped) == {
        "messages.name",
        "messages.reasoning_content",
        "tool_calls.extra_content",
    }


def test_an_id_of_mistrals_own_stays(told):
    own = json.loads(json.dumps(CHAT).replace("call_1", "abcDEF123"))
    (_, said, result), _ = told("/v1/chat/completions", model="mistral", messages=own)
    assert said["tool_calls"][0]["id"] == result["tool_call_id"] == "abcDEF123"


def test_clients_of_other_formats_reach_mistral_with_their_ids(told):
    use = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "Dry."}
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    body = {"model": "mistral", "max_tokens": 5, "messages": messages}
    (_, said, result), _ = told("/v1/messages", **body)
    assert said["tool_calls"][0]["id"] == result["tool_call_id"]
    assert len(result["tool_call_id"]) == 9


def test_groq_gets_thoughts_under_its_own_name_for_them(told):
    (user, said, result), dropped = told("/v1/chat/completions", model="groq", messages=CHAT)
    assert user == {"role": "user", "content": "Hi"}
    assert said["reasoning"] == "Hm."
    assert said.keys() == {"role", "content", "tool_calls", "reasoning"}
    assert said["tool_calls"] == [CALL]
    assert result == {"role": "tool", "tool_call_id": "call_1", "content": "Dry."}
    assert set(dropped) == {"messages.name", "tool_calls.extra_content"}


def test_what_a_strict_provider_knows_is_not_touched(web, provider):
    provider.says(json.dumps(ANSWER).encode())
    body = '{"model":"groq","messages":[{"role":"user",  "content":"Hi"}]}'
    told = web.post("/v1/chat/completions", content=body)
    assert told.status_code == 200, told.text
    assert b'[{"role":"user",  "content":"Hi"}]' in provider.last.body


def test_every_strict_provider_is_a_preset():
    assert STRICT.keys() <= PRESETS.keys()


def test_what_is_no_text_is_left_for_the_provider_to_refuse():
    broken = msgspec.Raw(b'[{"role":"user","content":"\xff"}]')
    fields = {"messages": broken}
    fit(fields, Quirks(kind="mistral"), Notes())
    assert fields == {"messages": broken}


@pytest.mark.parametrize("value", [b'"\xff"', b"1e999", b'{"effort":"\xff"}', b'["\xff"]'])
@pytest.mark.parametrize(
    "name", ["reasoning_effort", "reasoning", "response_format", "tool_choice", "stop", "n"]
)
def test_what_is_no_text_or_number_is_refused_where_it_is_read(name, value):
    body = b'{"model":"m","%b":%b}' % (name.encode(), value)
    for preset in PRESETS.values():
        for model in ("m", "gpt-5", "mistral-large", "grok-4"):
            with contextlib.suppress(InvalidJson, ParameterUnsupported):
                passing.prepare(
                    body,
                    passing.parse(body),
                    model,
                    preset.quirks_of(model, {}),
                    "chat",
                    Notes("m", "drop"),
                    ask_usage=False,
                )
