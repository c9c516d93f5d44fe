"""Requests of the Messages API: what is read out of them, and what is refused."""

import base64
import json

import pytest

from proxy.ai.errors import InvalidJson, InvalidRequest
from proxy.ai.formats import messages
from proxy.ai.middle import (
    Answer,
    Choice,
    Foreign,
    Media,
    Message,
    OutputFormat,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from proxy.ai.middle.rules import Notes

HELLO = {"role": "user", "content": "Hello"}
OWN = {"messages": {}}
PNG = base64.b64encode(b"\x89PNG\r\n").decode()


def read(**fields):
    body = {"model": "claude-opus-5", "max_tokens": 100, "messages": [HELLO], **fields}
    return messages.read_request(json.dumps(body).encode())


def parts(*blocks, role="user"):
    return read(messages=[{"role": role, "content": list(blocks)}]).messages[0].parts


def again(request):
    """Written and read once more."""
    return messages.read_request(messages.write_request(request, request.model, Notes()))


def test_a_plain_request():
    request = read(
        system="Be brief.",
        stream=True,
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        stop_sequences=["END"],
        metadata={"user_id": "u1"},
        service_tier="standard_only",
    )
    assert request.messages == [
        Message("system", [Text("Be brief.")]),
        Message("user", [Text("Hello")]),
    ]
    assert (request.model, request.max_tokens, request.stream) == ("claude-opus-5", 100, True)
    assert (request.temperature, request.top_p, request.top_k) == (0.5, 0.9, 40)
    assert (request.stop, request.user) == (["END"], "u1")
    assert request.service_tier == "standard_only"
    assert request.extra == {}
    assert again(request) == request


def test_the_path_may_say_the_model_and_that_it_is_streamed():
    body = json.dumps({"max_tokens": 1, "messages": [HELLO]}).encode()
    request = messages.read_request(body, model="claude-haiku-4-5", stream=True)
    assert (request.model, request.stream) == ("claude-haiku-4-5", True)


def test_what_has_no_place_is_kept_by_name():
    container = {"id": "c1", "skills": []}
    request = read(
        container=container,
        cache_control={"type": "ephemeral", "ttl": "1h"},
        context_management={"edits": []},
        mcp_servers=[{"type": "url", "name": "s", "url": "https://mcp.example"}],
        metadata={"user_id": "u", "trace": 7},
        output_config={"task_budget": {"type": "tokens", "total": 9}},
    )
    assert request.extra["container"] == container
    assert request.extra["metadata"] == {"trace": 7}
    assert request.extra["output_config"] == {"task_budget": {"type": "tokens", "total": 9}}
    assert set(request.extra) >= {"cache_control", "context_management", "mcp_servers"}
    assert again(request) == request


def test_system_blocks_keep_their_marks_for_the_cache():
    mark = {"type": "ephemeral", "ttl": "1h"}
    request = read(system=[{"type": "text", "text": "Long.", "cache_control": mark}])
    assert request.messages[0] == Message("system", [Text("Long.", cache=mark)])
    assert again(request) == request


def test_a_system_message_within_the_conversation_stays_where_it_is():
    request = read(
        system="First.",
        messages=[HELLO, {"role": "system", "content": "Then.", "clear_at": "next_user_message"}],
    )
    assert [message.role for message in request.messages] == ["system", "user", "system"]
    assert request.messages[2].extra == {"messages": {"clear_at": "next_user_message"}}
    written = json.loads(messages.write_request(request, "m", Notes()))
    assert written["system"] == "First."
    assert written["messages"][1] == {
        "role": "system",
        "content": "Then.",
        "clear_at": "next_user_message",
    }


@pytest.mark.parametrize(
    ("source", "media"),
    [
        (
            {"type": "base64", "media_type": "image/png", "data": PNG},
            Media("image", "image/png", data=PNG),
        ),
        ({"type": "url", "url": "https://x/y.png"}, Media("image", url="https://x/y.png")),
        ({"type": "file", "file_id": "file_1"}, Media("image", id="file_1")),
    ],
)
def test_images(source, media):
    assert parts({"type": "image", "source": source}) == [media]


@pytest.mark.parametrize(
    ("source", "media"),
    [
        (
            {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
            Media("file", "application/pdf", data="JVBERi0="),
        ),
        ({"type": "url", "url": "https://x/y.pdf"}, Media("file", url="https://x/y.pdf")),
        ({"type": "file", "file_id": "file_1"}, Media("file", id="file_1")),
        (
            {"type": "text", "media_type": "text/plain", "data": "Words"},
            Media("file", "text/plain", text="Words"),
        ),
    ],
)
def test_documents(source, media):
    block = {"type": "document", "source": source, "title": "T", "citations": {"enabled": True}}
    media.name = "T"
    media.extra = {"messages": {"citations": {"enabled": True}}}
    request = read(messages=[{"role": "user", "content": [block]}])
    assert request.messages[0].parts == [media]
    written = json.loads(messages.write_request(request, "m", Notes()))
    assert written["messages"][0]["content"] == [block]


def test_a_document_in_pieces_is_its_text_to_others_and_goes_back_in_pieces():
    pieces = [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]
    block = {"type": "document", "source": {"type": "content", "content": pieces}, "context": "c"}
    request = read(messages=[{"role": "user", "content": [block]}])
    (media,) = request.messages[0].parts
    assert (media.kind, media.text) == ("file", "One.\nTwo.")
    written = json.loads(messages.write_request(request, "m", Notes()))
    assert written["messages"][0]["content"] == [block]


def test_a_document_in_pieces_with_images_cannot_be_said_otherwise():
    image = {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}
    block = {"type": "document", "source": {"type": "content", "content": [image]}}
    assert parts(block) == [Foreign("messages", block)]


def test_a_search_result_is_a_document_to_others_and_goes_back_as_one():
    block = {
        "type": "search_result",
        "source": "https://docs.example/1",
        "title": "Manual",
        "content": [{"type": "text", "text": "Turn it on."}],
        "citations": {"enabled": True},
    }
    request = read(messages=[{"role": "user", "content": [block]}])
    (media,) = request.messages[0].parts
    assert (media.text, media.name) == ("Turn it on.", "Manual")
    written = json.loads(messages.write_request(request, "m", Notes()))
    assert written["messages"][0]["content"] == [block]


def test_blocks_and_sources_that_are_not_known_are_kept_as_they_came():
    hologram = {"type": "hologram", "data": 1}
    image = {"type": "image", "source": {"type": "telepathy"}}
    assert parts(hologram, image) == [Foreign("messages", hologram), Foreign("messages", image)]


def test_calls_of_tools_and_their_results():
    mark = {"type": "ephemeral"}
    request = read(
        messages=[
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "s1"},
                    {"type": "redacted_thinking", "data": "xyz"},
                    {
                        "type": "tool_use",
                        "id": "t1",
                        "name": "look",
                        "input": {"at": [1, 2.5]},
                        "caller": {"type": "direct"},
                    },
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t1",
                        "is_error": True,
                        "cache_control": mark,
                        "content": [
                            {"type": "text", "text": "Broken"},
                            {"type": "image", "source": {"type": "url", "url": "https://x/y"}},
                        ],
                    },
                    {"type": "tool_result", "tool_use_id": "t2", "content": "ok"},
                    {"type": "tool_result", "tool_use_id": "t3"},
                ],
            },
        ]
    )
    assert request.messages[0].parts == [
        Thinking("Hm.", "s1", extra=OWN),
        Thinking(sealed="xyz", extra=OWN),
        ToolCall("t1", "look", '{"at":[1,2.5]}'),
    ]
    seen = [Text("Broken"), Media("image", url="https://x/y")]
    assert request.messages[1].parts == [
        ToolResult("t1", seen, failed=True, cache=mark),
        ToolResult("t2", [Text("ok")]),
        ToolResult("t3"),
    ]
    assert again(request) == request


def test_thoughts_of_others_are_known_and_not_shown_to_anthropic():
    """They were answered in this format, and the client gives them back as it got them."""
    thought = Thinking("I see.", "g-sig")
    call = ToolCall("t1", "look", "{}", signature="g-sig-2")
    unsigned, sealed = Thinking("Well."), Thinking(sealed="x")
    made = Answer(format="gemini", choices=[Choice([thought, unsigned, sealed, call], "stop")])
    content = json.loads(messages.write_answer(made, read()))["content"]
    turn = {"role": "assistant", "content": [*content, {"type": "text", "text": "So."}]}
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": [HELLO, turn]}).encode()
    assert messages.is_mixed(body)
    request = messages.read_request(body)
    assert request.messages[1].parts == [thought, unsigned, sealed, call, Text("So.")]
    notes = Notes()
    written = messages.write_request(request, "m", notes)
    assert notes.dropped == ["messages.thinking"]
    assert not messages.is_mixed(written)
    assert json.loads(written)["messages"][1]["content"] == [
        {"type": "tool_use", "id": "t1", "name": "look", "input": {}},
        {"type": "text", "text": "So."},
    ]


def test_anthropics_own_thoughts_go_back_as_they_came():
    blocks = [
        {"type": "thinking", "thinking": "", "signature": "sig"},
        {"type": "redacted_thinking", "data": "xyz"},
    ]
    request = read(messages=[{"role": "assistant", "content": blocks}])
    written = messages.write_request(request, "m", Notes())
    assert json.loads(written)["messages"][0]["content"] == blocks
    assert not messages.is_mixed(written)


def test_tools_of_the_clients_and_of_the_providers():
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}
    mcp = {"type": "mcp_toolset", "mcp_server_name": "s"}
    schema = {"type": "object", "properties": {}}
    request = read(
        tools=[
            {
                "name": "look",
                "description": "Looks.",
                "input_schema": schema,
                "strict": True,
                "defer_loading": True,
                "cache_control": {"type": "ephemeral"},
            },
            search,
            mcp,
        ]
    )
    assert request.tools == [
        Tool(
            "look",
            "Looks.",
            schema,
            strict=True,
            cache={"type": "ephemeral"},
            extra={"messages": {"defer_loading": True}},
        ),
        Tool("web_search", format="messages", foreign=search),
        Tool("", format="messages", foreign=mcp),
    ]
    assert again(request) == request


@pytest.mark.parametrize(
    ("choice", "kind", "parallel"),
    [
        ({"type": "auto"}, ToolChoice("auto"), None),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice("required"), False),
        ({"type": "tool", "name": "look"}, ToolChoice("one", "look"), None),
        ({"type": "auto", "disable_parallel_tool_use": False}, ToolChoice("auto"), True),
        ({"type": "none"}, ToolChoice("none"), None),
    ],
)
def test_choices_of_a_tool(choice, kind, parallel):
    request = read(tool_choice=choice)
    assert (request.tool_choice, request.parallel_tool_calls) == (kind, parallel)
    assert again(request) == request


@pytest.mark.parametrize(
    ("fields", "reasoning"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, Reasoning(budget=2000)),
        ({"thinking": {"type": "disabled"}}, Reasoning(on=False)),
        ({"thinking": {"type": "adaptive"}}, Reasoning(adaptive=True)),
        (
            {"thinking": {"type": "adaptive", "display": "summarized"}},
            Reasoning(adaptive=True, summary="auto"),
        ),
        (
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}},
            Reasoning(adaptive=True, effort="xhigh"),
        ),
        ({"output_config": {"effort": "low"}}, Reasoning(effort="low")),
    ],
)
def test_thinking(fields, reasoning):
    request = read(**fields)
    assert request.reasoning == reasoning
    assert request.extra == {}
    assert again(request) == request


@pytest.mark.parametrize(
    "thinking",
    [
        {"type": "adaptive", "display": "omitted"},
        {"type": "between_tools"},
        {"type": "lucid", "depth": 3},
    ],
)
def test_thinking_that_others_do_not_know_is_kept(thinking):
    request = read(thinking=thinking)
    written = json.loads(messages.write_request(request, "m", Notes()))
    assert written["thinking"] == thinking


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize(
    "fields",
    [
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        {"output_format": {"type": "json_schema", "schema": SCHEMA}},
    ],
)
def test_an_answer_that_fits_a_schema(fields):
    request = read(**fields)
    assert request.output == OutputFormat("schema", schema=SCHEMA)
    assert request.extra == {}
    assert again(request) == request


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 3}, "model"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"messages": None}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": ["Hello"]}, "messages[0]"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": [], "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [3]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{}]}]}, "messages[0].content[0].type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content[0].text",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": "x"}]}]},
            "messages[0].content[0].source",
        ),
        ({"system": 1}, "system"),
        ({"stop_sequences": [1]}, "stop_sequences"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_k": 1.5}, "top_k"),
        ({"tools": [{"description": "x"}]}, "tools[0].name"),
        ({"tools": {}}, "tools"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tool_choice": {"type": "maybe"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"metadata": []}, "metadata"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"output_config": {"format": {"type": "x"}}, "output_format": {}}, "output_format"),
    ],
)
def test_a_wrong_field_is_named(fields, param):
    with pytest.raises(InvalidRequest) as refused:
        read(**fields)
    assert refused.value.param == param
    assert param in refused.value.detail


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"3"])
def test_a_body_that_is_no_object_is_refused(body):
    with pytest.raises(InvalidRequest):
        messages.read_request(body)


@pytest.mark.parametrize("body", [b"", b"{", b'{"model": "\xff"}', b"[" * 100_000])
def test_a_body_that_is_no_json_is_refused(body):
    with pytest.raises(InvalidJson):
        messages.read_request(body)


@pytest.mark.parametrize("depth", [100, 200, 300, 400, 450, 480, 499, 990])
def test_results_within_results_are_read_or_refused(depth):
    open_, close = '[{"type":"tool_result","tool_use_id":"t","content":', "}]"
    content = open_ * depth + '"x"' + close * depth
    turn = '{"role":"user","content":' + content + "}"
    body = ('{"model":"m","max_tokens":1,"messages":[' + turn + "]}").encode()
    try:
        request = messages.read_request(body)
        messages.write_request(request, "m", Notes())
    except InvalidJson:
        assert depth > 50


SAMPLE = {
    "model": "m",
    "max_tokens": 5,
    "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "h", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"},
                {"type": "tool_use", "id": "t", "name": "n", "input": {"a": 1}},
                {
                    "type": "text",
                    "text": "t",
                    "citations": [{"type": "char_location", "cited_text": "q"}],
                },
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t", "content": [], "is_error": False},
                {"type": "image", "source": {"type": "url", "url": "u"}},
                {
                    "type": "document",
                    "title": "t",
                    "source": {"type": "content", "content": [{"type": "text", "text": "t"}]},
                },
                {
                    "type": "search_result",
                    "title": "t",
                    "source": "s",
                    "content": [{"type": "text", "text": "t"}],
                },
            ],
        },
    ],
    "stream": True,
    "temperature": 1,
    "stop_sequences": ["x"],
    "metadata": {"user_id": "u"},
    "service_tier": "auto",
    "thinking": {"type": "enabled", "budget_tokens": 1024, "display": "summarized"},
    "tools": [{"name": "n", "input_schema": {"type": "object"}, "strict": True}],
    "tool_choice": {"type": "tool", "name": "n", "disable_parallel_tool_use": True},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
}


def spoilt(value):
    """The value with one thing in it replaced by something of another type, in every way."""
    yield from (None, True, 7, 1.5, "word", [], {}, [{}], {"type": "text"})
    inner = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        inner = enumerate(value)
    for key, own in inner:
        for other in spoilt(own):
            copy = value.copy()
            copy[key] = other
            yield copy


def test_no_wrong_type_anywhere_is_more_than_a_refusal():
    read_anyway = 0
    beta = {**SAMPLE, "output_format": SAMPLE["output_config"]["format"], "output_config": None}
    for value in (*spoilt(SAMPLE), *spoilt(beta)):
        try:
            request = messages.read_request(json.dumps(value).encode())
        except InvalidRequest:
            continue
        read_anyway += 1
        assert again(request) == request
    assert read_anyway > 100
