"""What clients of other formats ask, told to Anthropic: brought into its shape, and noted."""

import base64
import json

import pytest

from proxy.ai.errors import ParameterUnsupported
from proxy.ai.formats import messages
from proxy.ai.formats.messages.models import model as model_of
from proxy.ai.formats.messages.output import fitted
from proxy.ai.formats.seals import marked
from proxy.ai.middle import (
    Citation,
    Foreign,
    Media,
    Message,
    OutputFormat,
    Reasoning,
    Refusal,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from proxy.ai.middle.rules import Notes, apply

SONNET_4_5 = "claude-sonnet-4-5-20250929"
OPUS_4_6 = "claude-opus-4-6"
OPUS_5 = "claude-opus-5"
HELLO = Message("user", [Text("Hello")])
LOOK = Tool("look", "Looks.", {"type": "object", "properties": {}})


def tell(*said, model=OPUS_5, **fields):
    """The body that Anthropic gets, and what was noted."""
    request = Request(format="chat", model="m", messages=list(said) or [HELLO], **fields)
    notes = Notes()
    apply(request, messages.LACKS, notes)
    return json.loads(messages.write_request(request, model, notes)), notes


def test_a_limit_is_set_where_there_must_be_one():
    body, notes = tell()
    assert body == {
        "model": OPUS_5,
        "max_tokens": 32_000,
        "messages": [{"role": "user", "content": "Hello"}],
    }
    assert notes.mapped == ["max_tokens=32000"]
    body, notes = tell(max_tokens=50, stream=True)
    assert (body["max_tokens"], body["stream"], notes.mapped) == (50, True, [])


def test_system_messages_stand_before_all_others():
    body, notes = tell(
        Message("system", [Text("One.")]),
        HELLO,
        Message("developer", [Text("Two.")]),
        max_tokens=5,
    )
    assert body["system"] == [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]
    assert body["messages"] == [{"role": "user", "content": "Hello"}]
    assert notes.mapped == ["messages.system=the system prompt"]


def test_a_prompt_of_system_messages_only_is_said_by_the_user():
    body, notes = tell(Message("system", [Text("Say hello.")]), max_tokens=5)
    assert "system" not in body
    assert body["messages"] == [{"role": "user", "content": "Say hello."}]
    assert notes.mapped == ["messages.system=a message of the user"]


def test_turns_alternate_and_results_begin_theirs():
    body, _ = tell(
        HELLO,
        Message("assistant", [Text(""), ToolCall("call:1", "look", '{"a": 1}')]),
        Message("assistant", [ToolCall("call:2", "look")]),
        Message("user", [ToolResult("call:1", [Text("seen")])]),
        Message("user", [Text("And?"), ToolResult("call:2", [], failed=True)]),
        Message("assistant", []),
        max_tokens=5,
    )
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "call_1", "name": "look", "input": {"a": 1}},
                {"type": "tool_use", "id": "call_2", "name": "look", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": "seen"},
                {"type": "tool_result", "tool_use_id": "call_2", "is_error": True},
                {"type": "text", "text": "And?"},
            ],
        },
    ]


def test_calls_without_ids_are_paired_in_their_order():
    body, _ = tell(
        Message("assistant", [ToolCall("", "a"), ToolCall("", "b")]),
        Message("user", [ToolResult("", [Text("1")]), ToolResult("", [Text("2")])]),
        max_tokens=5,
    )
    made = [block["id"] for block in body["messages"][0]["content"]]
    answered = [block["tool_use_id"] for block in body["messages"][1]["content"]]
    assert made == answered == ["call_1", "call_2"]


@pytest.mark.parametrize(
    ("call", "given"),
    [
        (ToolCall("1", "x", "not json"), {"input": "not json"}),
        (ToolCall("1", "x", "[1]"), {"input": [1]}),
        (ToolCall("1", "x", "free text", custom=True), {"input": "free text"}),
    ],
)
def test_arguments_are_always_an_object(call, given):
    body, _ = tell(Message("assistant", [call]), max_tokens=5)
    assert body["messages"][0]["content"][0]["input"] == given


def test_images_by_data_and_by_address():
    png, jpeg = base64.b64encode(b"\x89PNG\r\n").decode(), "/9j/4AAQ"
    body, notes = tell(
        Message(
            "user",
            [
                Media("image", "image/webp", data="UklGRg=="),
                Media("image", data=png),
                Media("image", data=jpeg),
                Media("image", url="https://x/y.png", detail="high"),
            ],
        ),
        max_tokens=5,
    )
    sources = [block["source"] for block in body["messages"][0]["content"]]
    assert [s.get("media_type") for s in sources[:3]] == ["image/webp", "image/png", "image/jpeg"]
    assert sources[3] == {"type": "url", "url": "https://x/y.png"}
    assert notes.dropped == ["messages.image.detail"]


def test_files_that_are_pdf_or_text():
    csv = base64.b64encode(b"a;b\n1;2").decode()
    body, _ = tell(
        Message(
            "user",
            [
                Media("file", data="JVBERi0x", name="a.pdf"),
                Media("file", "text/csv", data=csv, name="b.csv"),
                Media("file", text="Words"),
                Media("file", url="https://x/y.pdf"),
            ],
        ),
        max_tokens=5,
    )
    blocks = body["messages"][0]["content"]
    assert blocks[0]["source"]["media_type"] == "application/pdf"
    assert blocks[0]["title"] == "a.pdf"
    plain = {"type": "text", "media_type": "text/plain"}
    assert blocks[1]["source"] == {**plain, "data": "a;b\n1;2"}
    assert blocks[2]["source"] == {**plain, "data": "Words"}
    assert blocks[3]["source"] == {"type": "url", "url": "https://x/y.pdf"}


@pytest.mark.parametrize(
    "media",
    [
        Media("audio", "audio/wav", data="UklGRg=="),
        Media("video", url="https://x/y.mp4"),
        Media("file", id="file-of-somebody-else"),
        Media("file", "application/zip", data="UEsDBAAAAAA="),
    ],
)
def test_what_anthropic_cannot_look_at_is_refused(media):
    with pytest.raises(ParameterUnsupported) as refused:
        tell(Message("user", [media]))
    assert refused.value.param == f"messages.{media.kind}"


def test_what_only_another_format_can_say_is_dropped_with_notice():
    body, notes = tell(
        Message("user", [Text("Hi"), Foreign("responses", {"type": "computer_call_output"})]),
        Message(
            "assistant",
            [
                Thinking("unsigned"),
                Thinking("of OpenAI", marked("responses", "rs_1:x"), id="rs_1"),
                Thinking("signed", "sig", id="rs_2"),
                Text("See.", [Citation("https://x")]),
                Refusal("No."),
                Media("image", url="https://x/made.png"),
            ],
            name="bob",
        ),
        max_tokens=5,
        tools=[LOOK],
    )
    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "signed", "signature": "sig"},
        {"type": "text", "text": "See."},
        {"type": "text", "text": "No."},
    ]
    assert set(notes.dropped) == {
        "messages.computer_call_output",
        "messages.thinking",
        "messages.citations",
        "messages.assistant.image",
        "messages.name",
    }


def test_choosing_among_tools():
    body, _ = tell(tools=[LOOK], tool_choice=ToolChoice("required"), parallel_tool_calls=False)
    assert body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    body, _ = tell(tools=[LOOK], parallel_tool_calls=False)
    assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    body, _ = tell(tools=[LOOK], parallel_tool_calls=True)
    assert "tool_choice" not in body
    body, _ = tell(tools=[LOOK], tool_choice=ToolChoice("one", "look"))
    assert body["tool_choice"] == {"type": "tool", "name": "look"}
    body, _ = tell(tools=[LOOK], tool_choice=ToolChoice("none"), parallel_tool_calls=False)
    assert body["tool_choice"] == {"type": "none"}


def test_a_tool_always_has_an_object_for_its_input():
    body, _ = tell(tools=[Tool("now"), Tool("at", schema={"properties": {"x": {}}})])
    assert [tool["input_schema"] for tool in body["tools"]] == [
        {"type": "object", "properties": {}},
        {"type": "object", "properties": {"x": {}}},
    ]


def test_a_tool_that_takes_text_is_told_as_a_function():
    body, notes = tell(tools=[Tool("run", "Runs.", custom={})], max_tokens=5)
    assert body["tools"][0]["input_schema"]["required"] == ["input"]
    assert notes.mapped == ["tools.run=a function with one text"]


def test_strict_tools_where_the_model_knows_them():
    strict = Tool(
        "count",
        schema={"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}},
        strict=True,
    )
    body, notes = tell(tools=[strict], max_tokens=5)
    assert body["tools"][0]["strict"] is True
    assert body["tools"][0]["input_schema"]["additionalProperties"] is False
    assert notes.mapped == ["tools.count=without minimum"]
    body, notes = tell(tools=[strict], max_tokens=5, model="claude-3-5-haiku-20241022")
    assert "strict" not in body["tools"][0]
    assert notes.dropped == ["tools.strict"]


@pytest.mark.parametrize(
    ("model", "reasoning", "thinking", "effort", "noted"),
    [
        (OPUS_5, Reasoning(effort="medium"), {"type": "adaptive"}, "medium", []),
        (OPUS_5, Reasoning(effort="xhigh"), {"type": "adaptive"}, "xhigh", []),
        (OPUS_5, Reasoning(effort="minimal"), {"type": "adaptive"}, "low", ["effort low"]),
        (OPUS_5, Reasoning(budget=9000), {"type": "adaptive"}, "high", ["effort high"]),
        (OPUS_5, Reasoning(adaptive=True), {"type": "adaptive"}, None, []),
        (
            OPUS_5,
            Reasoning(effort="low", summary="concise"),
            {"type": "adaptive", "display": "summarized"},
            "low",
            [],
        ),
        (OPUS_5, Reasoning(on=False), {"type": "disabled"}, None, []),
        (OPUS_5, Reasoning(effort="none"), {"type": "disabled"}, None, []),
        ("claude-fable-5-1", Reasoning(on=False), None, "low", ["effort low"]),
        (OPUS_4_6, Reasoning(effort="xhigh"), {"type": "adaptive"}, "high", ["effort high"]),
        (OPUS_4_6, Reasoning(budget=2000), {"type": "enabled", "budget_tokens": 2000}, None, []),
        (
            SONNET_4_5,
            Reasoning(effort="low"),
            {"type": "enabled", "budget_tokens": 2048},
            None,
            ["a budget of 2048 tokens"],
        ),
        (
            SONNET_4_5,
            Reasoning(budget=100),
            {"type": "enabled", "budget_tokens": 1024},
            None,
            ["a budget of 1024 tokens"],
        ),
        (
            "kimi-k2",
            Reasoning(effort="high"),
            {"type": "enabled", "budget_tokens": 6553},
            None,
            ["a budget of 6553 tokens"],
        ),
    ],
)
def test_reasoning_in_the_words_that_the_model_knows(model, reasoning, thinking, effort, noted):
    body, notes = tell(reasoning=reasoning, model=model)
    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort
    assert [n for n in notes.mapped if "reasoning" in n] == [f"reasoning={n}" for n in noted]


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("claude-3-5-sonnet-20241022", {}),
        (SONNET_4_5, {"max_tokens": 1000}),
        (SONNET_4_5, {"tools": [LOOK], "tool_choice": ToolChoice("required")}),
    ],
)
def test_reasoning_that_the_model_would_refuse_is_dropped(model, fields):
    body, notes = tell(reasoning=Reasoning(effort="high"), model=model, **fields)
    assert "thinking" not in body
    assert notes.dropped == ["reasoning"]


def test_a_turn_that_began_without_thoughts_goes_on_without_them():
    """Anthropic refuses a budget where the turn to go on with does not begin with thoughts."""
    turn = [
        HELLO,
        Message("assistant", [ToolCall("1", "look")]),
        Message("user", [ToolResult("1", [Text("seen")])]),
    ]
    fields = {"tools": [LOOK], "reasoning": Reasoning(effort="low")}
    body, notes = tell(*turn, model=SONNET_4_5, **fields)
    assert "thinking" not in body
    assert notes.dropped == ["reasoning"]
    turn[1].parts.insert(0, Thinking("Hm.", "sig"))
    body, notes = tell(*turn, model=SONNET_4_5, **fields)
    assert body["thinking"]["type"] == "enabled"
    assert notes.dropped == []


@pytest.mark.parametrize(
    ("model", "fields", "sent", "dropped", "mapped"),
    [
        (SONNET_4_5, {"temperature": 1.7}, {"temperature": 1}, [], ["temperature=1"]),
        (SONNET_4_5, {"temperature": 0.2}, {"temperature": 0.2}, [], []),
        (SONNET_4_5, {"temperature": 0.2, "top_p": 0.5}, {"temperature": 0.2}, ["top_p"], []),
        (SONNET_4_5, {"top_p": 0.5, "top_k": 3}, {"top_p": 0.5, "top_k": 3}, [], []),
        (OPUS_5, {"temperature": 1, "top_k": 3}, {}, ["temperature", "top_k"], []),
        (
            SONNET_4_5,
            {"temperature": 0.5, "top_k": 1, "reasoning": Reasoning(budget=2000)},
            {},
            ["temperature", "top_k"],
            [],
        ),
        (
            SONNET_4_5,
            {"temperature": 1, "reasoning": Reasoning(budget=2000)},
            {"temperature": 1},
            [],
            [],
        ),
    ],
)
def test_sampling_as_far_as_the_model_takes_it(model, fields, sent, dropped, mapped):
    body, notes = tell(model=model, max_tokens=9000, **fields)
    assert {n: v for n, v in body.items() if n in ("temperature", "top_p", "top_k")} == sent
    assert (notes.dropped, notes.mapped) == (dropped, mapped)


def test_what_else_steers():
    body, notes = tell(
        stop=["END", " \n"], user="u", service_tier="default", modalities=["text"], max_tokens=5
    )
    assert body["stop_sequences"] == ["END"]
    assert body["metadata"] == {"user_id": "u"}
    assert body["service_tier"] == "standard_only"
    assert notes.dropped == ["stop"]
    _, notes = tell(service_tier="flex", seed=1, logit_bias={"1": 2}, metadata={"a": "b"})
    assert set(notes.dropped) == {"service_tier", "seed", "logit_bias", "metadata"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"modalities": ["text", "audio"]}, "modalities"),
    ],
)
def test_what_the_client_would_miss_is_refused(fields, param):
    with pytest.raises(ParameterUnsupported) as refused:
        tell(**fields)
    assert refused.value.param == param


PERSON = {
    "type": "object",
    "properties": {
        "age": {"type": "integer", "minimum": 0, "description": "In years"},
        "mail": {"type": "string", "format": "email", "maxLength": 99},
        "tags": {"type": "array", "minItems": 2, "items": {"$ref": "#/$defs/tag"}},
        "home": {"oneOf": [{"type": "string", "format": "zip"}, {"type": "null"}]},
    },
    "required": ["age"],
    "$defs": {"tag": {"type": "object", "additionalProperties": {"type": "string"}}},
}


def test_a_schema_of_the_answer_where_the_model_can_be_bound_to_it():
    body, notes = tell(output=OutputFormat("schema", "person", schema=PERSON), max_tokens=5)
    bound = body["output_config"]["format"]
    assert bound["type"] == "json_schema"
    properties = bound["schema"]["properties"]
    assert properties["age"] == {"type": "integer", "description": "In years (minimum 0)"}
    assert properties["mail"]["format"] == "email"
    assert properties["tags"]["items"] == {"$ref": "#/$defs/tag"}
    assert properties["home"]["anyOf"][0] == {"type": "string", "description": "(format zip)"}
    assert bound["schema"]["additionalProperties"] is False
    assert bound["schema"]["$defs"]["tag"]["additionalProperties"] is False
    assert notes.mapped == [
        "output.schema=without additionalProperties format maxLength minItems minimum"
    ]


def test_a_schema_that_can_be_bound_stays_as_it_is():
    schema = {**PERSON["properties"]["age"], "enum": [1, 2]}
    del schema["minimum"]
    whole = {"type": "object", "properties": {"a": schema}, "additionalProperties": False}
    assert fitted(whole) == (whole, set())


def test_a_schema_of_the_answer_where_the_model_must_call_a_tool():
    body, notes = tell(
        output=OutputFormat("schema", schema=PERSON),
        model="claude-3-5-haiku-20241022",
        max_tokens=5,
    )
    (tool,) = body["tools"]
    assert tool["input_schema"] == PERSON
    assert body["tool_choice"] == {"type": "tool", "name": tool["name"]}
    assert notes.mapped == ["output=a tool"]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"output": OutputFormat("schema", schema=PERSON), "tools": [LOOK]}, '"properties"'),
        ({"output": OutputFormat("json")}, "JSON object"),
    ],
)
def test_json_by_an_instruction(fields, text):
    body, notes = tell(
        Message("system", [Text("Be brief.")]), HELLO, model="glm-4.6", max_tokens=5, **fields
    )
    assert body["system"][0]["text"] == "Be brief."
    assert text in body["system"][1]["text"]
    assert notes.mapped == ["output=an instruction"]


def test_plain_text_needs_no_word():
    body, notes = tell(output=OutputFormat("text"), max_tokens=5)
    assert body.keys() == {"model", "max_tokens", "messages"}
    assert notes.mapped == []


@pytest.mark.parametrize(
    ("name", "thinks", "samples", "schemas"),
    [
        ("claude-2.1", "never", True, False),
        ("claude-instant-1.2", "never", True, False),
        ("claude-3-opus-20240229", "never", True, False),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", "never", True, False),
        ("claude-3-7-sonnet-latest", "by budget", True, False),
        ("claude-sonnet-4-20250514", "by budget", True, False),
        ("claude-opus-4-1@20250805", "by budget", True, True),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "by budget", True, True),
        ("anthropic/claude-opus-4.6", "either", True, True),
        ("claude-opus-4-7", "as it sees fit", False, True),
        ("claude-sonnet-5", "as it sees fit", False, True),
        ("claude-haiku-5-5", "as it sees fit", False, True),
        ("claude-mythos-preview", "always", False, True),
        ("claude-fable-5-2", "always", False, True),
        ("claude-next", "as it sees fit", False, True),
        ("deepseek-chat", "by budget", True, False),
    ],
)
def test_a_models_abilities_are_in_its_name(name, thinks, samples, schemas):
    model = model_of(name)
    assert (model.thinks, model.samples, model.schemas) == (thinks, samples, schemas)


def test_a_schema_that_is_nested_deeply_is_fitted_or_refused():
    deep = {"type": "object"}
    for _ in range(3000):
        deep = {"type": "object", "properties": {"a": deep}}
    with pytest.raises(Exception, match="nested too deeply"):
        tell(output=OutputFormat("schema", schema=deep))
