"""Answers of the Messages API, whole and streamed, in both directions."""

import json

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from messages_plain import events_of
from pydantic import TypeAdapter
from test_messages_requests import spoilt

from proxy.ai.errors import AnswerUnreadable
from proxy.ai.formats import messages
from proxy.ai.formats.messages.names import JSON_TOOL
from proxy.ai.formats.sse import event
from proxy.ai.middle import (
    Answer,
    Begin,
    Choice,
    ChoiceEnd,
    Citation,
    Counted,
    Failed,
    Fault,
    Foreign,
    Media,
    Other,
    PartBegin,
    PartCited,
    PartDelta,
    PartEnd,
    PartSigned,
    Refusal,
    Request,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from proxy.ai.middle.events import Fold, unfold

EVENT = TypeAdapter(RawMessageStreamEvent)
OWN = {"messages": {}}
ASKED = Request(format="messages", model="m", messages=[])
START = {
    "type": "message_start",
    "message": {"id": "msg_1", "model": "claude", "usage": {"input_tokens": 3, "output_tokens": 1}},
}


def stream(*values):
    return b"".join(event(json.dumps(v).encode(), v["type"].encode()) for v in values)


def read(*values):
    reader = messages.reader()
    return reader.feed(stream(*values)) + reader.end()


def fold(events):
    folded = Fold("messages")
    for one in events:
        folded.add(one)
    return folded


def write(*batches):
    """The events that a client gets; each fits the types of Anthropic's SDK."""
    writer = messages.writer(ASKED)
    written = b"".join(writer.write(batch) for batch in batches) + writer.end()
    values = events_of(written)
    for value in values:
        if value["type"] != "error":
            EVENT.validate_python(value)
    return values


def kinds(values):
    return [value["type"] for value in values]


def test_text_grows_and_ends():
    events = read(
        START,
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": "Hällo"},
        },
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "stop_sequence", "stop_sequence": "END"},
            "usage": {"output_tokens": 9},
        },
        {"type": "message_stop"},
    )
    assert events == [
        Begin("msg_1", "claude"),
        Counted(Usage(3, 1)),
        PartBegin(0, 0, Text("")),
        Other("messages", {"type": "ping"}),
        PartDelta(0, 0, "Hällo"),
        PartEnd(0, 0),
        Counted(Usage(3, 9)),
        ChoiceEnd(0, "stop", "END"),
    ]


def block(index, first, *deltas):
    return [
        {"type": "content_block_start", "index": index, "content_block": first},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def test_thoughts_calls_citations_and_what_only_this_format_says():
    source = {
        "type": "web_search_result_location",
        "url": "https://x",
        "title": "X",
        "cited_text": "q",
        "encrypted_index": "e",
    }
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
    events = read(
        START,
        *block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "Hm."},
            {"type": "signature_delta", "signature": "sig"},
        ),
        *block(
            1,
            search,
            {"type": "input_json_delta", "partial_json": '{"query":'},
            {"type": "input_json_delta", "partial_json": ' "x"}'},
        ),
        *block(2, found),
        *block(
            3,
            {"type": "text", "text": "", "citations": []},
            {"type": "citations_delta", "citation": source},
            {"type": "text_delta", "text": "So."},
        ),
        *block(
            4,
            {"type": "tool_use", "id": "t", "name": "look", "input": {}},
            {"type": "input_json_delta", "partial_json": ""},
            {"type": "input_json_delta", "partial_json": '{"a": 1}'},
        ),
        *block(5, {"type": "redacted_thinking", "data": "xyz"}),
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "container": {"id": "c"}},
            "usage": {"output_tokens": 5, "server_tool_use": {"web_search_requests": 1}},
        },
    )
    assert PartSigned(0, 0, "sig") in events
    assert fold(events).answer.choices == [
        Choice(
            [
                Thinking("Hm.", "sig", extra=OWN),
                Foreign("messages", {**search, "input": {"query": "x"}}),
                Foreign("messages", found),
                Text("So.", [Citation("https://x", "X", "q", format="messages", raw=source)]),
                ToolCall("t", "look", '{"a": 1}'),
                Thinking(sealed="xyz", extra=OWN),
            ],
            "tool_calls",
        )
    ]
    assert fold(events).answer.usage == Usage(3, 5, searches=1)
    last = {"type": "message_delta", "delta": {"container": {"id": "c"}}}
    assert Other("messages", last) in events


def test_usage_adds_what_was_cached_and_later_totals_replace_earlier():
    usage = {
        "input_tokens": 10,
        "cache_read_input_tokens": 200,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        "output_tokens": 1,
    }
    first = {"type": "message_start", "message": {"usage": usage}}
    last = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {
            "output_tokens": 50,
            "input_tokens": 11,
            "output_tokens_details": {"thinking_tokens": 7},
        },
    }
    counted = [one.usage for one in read(first, last) if isinstance(one, Counted)]
    assert counted == [
        Usage(240, 1, 200, 30, 20),
        Usage(241, 50, 200, 30, 20, reasoning_tokens=7),
    ]


def test_tokens_that_were_both_read_and_written_are_counted_once():
    answer = Answer(format="chat", choices=[Choice([], "stop")], usage=Usage(100, 5, 90, 95, 95))
    usage = json.loads(messages.write_answer(answer, ASKED))["usage"]
    assert usage["input_tokens"] == 0
    assert usage["cache_read_input_tokens"] == 90
    assert usage["cache_creation_input_tokens"] == 10
    assert usage["cache_creation"] == {
        "ephemeral_5m_input_tokens": 0,
        "ephemeral_1h_input_tokens": 10,
    }


@pytest.mark.parametrize(
    ("value", "usage"),
    [
        (b'{"usage":{"input_tokens":-1}}', None),
        (b'{"usage":{"input_tokens":"3"}}', None),
        (b'{"usage":null}', None),
        (b"[]", None),
        (b"\xff", None),
        (b"[" * 100_000, None),
        (b'{"usage":{"output_tokens":3}}', Usage(output_tokens=3)),
        (b'{"type":"message_start","message":{"usage":{"input_tokens":3}}}', Usage(3)),
    ],
)
def test_usage_is_read_or_there_is_none(value, usage):
    assert messages.read_usage(value) == usage


def test_an_error_in_a_stream():
    events = read(
        START,
        {
            "type": "error",
            "error": {"type": "overloaded_error", "message": "Overloaded"},
            "request_id": "r",
        },
        {"type": "message_stop"},
    )
    fault = Fault(status=529, message="Overloaded", kind="overloaded_error")
    assert events[2:] == [Failed(fault)]
    values = write(events)
    assert values[-1] == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "Overloaded"},
    }
    assert kinds(write([Begin(), PartBegin(0, 0, Text(""))], events[2:])) == [
        "message_start",
        "content_block_start",
        "error",
    ]


TEXT = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}


@pytest.mark.parametrize(
    "garbage",
    [
        b"data: <html>\n\n",
        b"data: []\n\n",
        b"data: {}\n\n",
        b"data: \xff\xfe\n\n",
        b"event: content_block_delta\ndata: \xff\n\n",
        b"event: content_block_delta\ndata: " + b"[" * 100_000 + b"\n\n",
        stream({"type": "content_block_stop", "index": 7}),
        stream({"type": "content_block_delta", "index": 7, "delta": {"type": "text_delta"}}),
        stream({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta"}}),
        stream(TEXT),
        stream({"type": "content_block_start", "index": 1, "content_block": 3}),
    ],
)
def test_garbage_fails(garbage):
    reader = messages.reader()
    events = reader.feed(stream(START, TEXT) + garbage)
    assert isinstance(events[-1], Failed)
    assert events[-1].fault.code == AnswerUnreadable.code
    assert reader.feed(stream({"type": "message_stop"})) == []
    assert reader.end() == []


def test_a_stream_may_lack_names_of_events_and_end_as_others_do():
    body = b"".join(
        b"data: %b\n\n" % json.dumps(value).encode()
        for value in (
            START,
            *block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Hi"}),
            {"type": "message_stop"},
        )
    )
    reader = messages.reader()
    events = reader.feed(body + b"data: [DONE]\n\n") + reader.end()
    assert fold(events).answer.choices == [Choice([Text("Hi")], "stop")]


def test_arguments_may_come_with_the_begin_of_a_call():
    call = {"type": "tool_use", "id": "t", "name": "look", "input": {"a": 1}}
    for deltas in ((), ({"type": "input_json_delta", "partial_json": '{"a":1}'},)):
        events = read(START, *block(0, call, *deltas))
        assert fold(events).answer.choices[0].parts == [ToolCall("t", "look", '{"a":1}')]


def test_what_a_delta_says_beyond_its_text_is_kept():
    grown = {"type": "thinking_delta", "thinking": "a", "estimated_tokens": 5}
    events = read(START, *block(0, {"type": "thinking", "thinking": ""}, grown))
    assert events[3:5] == [
        PartDelta(0, 0, "a"),
        Other(
            "messages",
            {"type": "content_block_delta", "index": 0, "delta": {**grown, "thinking": ""}},
        ),
    ]
    values = events_of(messages.writer(ASKED).write(events))
    assert values[3]["delta"] == {**grown, "thinking": ""}


def test_an_unknown_reason_ends_the_answer_and_is_kept():
    for reason, finish in (("model_context_window_exceeded", "length"), ("bored", "stop")):
        last = {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {}}
        events = read(START, last)
        assert events[-1] == ChoiceEnd(0, finish)
        writer = messages.writer(ASKED)
        written = events_of(writer.write(events) + writer.end())
        assert written[-2]["delta"]["stop_reason"] == reason


def test_the_json_tool_is_text_to_everybody_else():
    call = {"type": "tool_use", "id": "t", "name": JSON_TOOL, "input": {}}
    body = json.dumps(
        {
            "content": [{**call, "input": {"a": 1}}],
            "stop_reason": "tool_use",
            "usage": {"input_tokens": 1, "output_tokens": 2},
        }
    )
    answer = messages.read_answer(body.encode())
    assert answer.choices == [Choice([Text('{"a":1}')], "stop")]
    events = read(
        START,
        *block(0, call, {"type": "input_json_delta", "partial_json": '{"a":1}'}),
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {}},
    )
    assert fold(events).answer.choices == answer.choices
    given = read(START, *block(0, {**call, "input": {"a": 1}}))
    assert fold(given).answer.choices[0].parts == [Text('{"a":1}')]


# Written for clients, from what other formats say.


def test_parts_that_overlap_are_written_one_after_another():
    values = write(
        [Begin("c1", "gpt"), PartBegin(0, 0, Text("")), PartDelta(0, 0, "Hi"), PartEnd(0, 0)],
        [PartBegin(0, 1, ToolCall("a", "look")), PartDelta(0, 1, '{"a"')],
        [PartBegin(0, 2, ToolCall("b", "hear")), PartDelta(0, 2, "{")],
        [PartBegin(0, 3, ToolCall("c", "feel"))],
        [PartDelta(0, 1, ":1}"), PartDelta(0, 2, "}")],
        [PartEnd(0, 1), PartEnd(0, 2), PartEnd(0, 3), ChoiceEnd(0, "tool_calls")],
        [Counted(Usage(7, 9))],
    )
    folded = fold(read(*values))
    assert folded.answer.choices == [
        Choice(
            [
                Text("Hi"),
                ToolCall("a", "look", '{"a":1}'),
                ToolCall("b", "hear", "{}"),
                ToolCall("c", "feel", ""),
            ],
            "tool_calls",
        )
    ]
    assert folded.answer.usage == Usage(7, 9)
    indexes = [v["index"] for v in values if v["type"] == "content_block_start"]
    assert indexes == [0, 1, 2, 3]
    open_now = 0
    for value in values:
        open_now += (value["type"] == "content_block_start") - (
            value["type"] == "content_block_stop"
        )
        assert open_now <= 1


def test_parts_that_were_not_ended_are_with_the_answer():
    values = write(
        [Begin(), PartBegin(0, 0, ToolCall("a", "x")), PartBegin(0, 1, ToolCall("b", "y"))],
        [PartDelta(0, 1, "{}"), ChoiceEnd(0, "tool_calls")],
    )
    assert kinds(values)[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert len(fold(read(*values)).answer.choices[0].parts) == 2


def test_an_answer_that_broke_off_has_no_end():
    assert kinds(write([Begin(), PartBegin(0, 0, Text("")), PartDelta(0, 0, "Hi")])) == [
        "message_start",
        "content_block_start",
        "content_block_delta",
    ]


def test_usage_that_comes_last_is_told_last():
    values = write(
        [Begin("c1", "gpt")],
        [PartBegin(0, 0, Text("")), PartDelta(0, 0, "Hi"), PartEnd(0, 0), ChoiceEnd(0, "stop")],
        [Counted(Usage(100, 9, cached_tokens=60))],
    )
    assert values[0]["message"]["usage"] == {"input_tokens": 0, "output_tokens": 0}
    assert values[-2]["usage"] == {
        "input_tokens": 40,
        "cache_read_input_tokens": 60,
        "output_tokens": 9,
    }


def test_only_the_first_choice_is_written():
    values = write(
        [
            Begin(),
            PartBegin(0, 0, Text("")),
            PartBegin(1, 0, Text("")),
            PartDelta(1, 0, "no"),
            PartDelta(0, 0, "yes"),
            PartEnd(1, 0),
            PartEnd(0, 0),
            ChoiceEnd(1, "length"),
            ChoiceEnd(0, "stop"),
        ]
    )
    assert fold(read(*values)).answer.choices == [Choice([Text("yes")], "stop")]


def test_a_call_that_takes_text_is_an_object_with_it():
    call = ToolCall("a", "run", custom=True)
    quoted = 'say "hi"\n'
    events = [Begin(), PartBegin(0, 0, call), *(PartDelta(0, 0, c) for c in quoted), PartEnd(0, 0)]
    (written,) = fold(read(*write(events))).answer.choices[0].parts
    assert json.loads(written.arguments) == {"input": quoted}
    whole = Answer(format="responses", choices=[Choice([ToolCall("a", "run", quoted, True)])])
    content = json.loads(messages.write_answer(whole, ASKED))["content"]
    assert content[0]["input"] == {"input": quoted}


def test_sealed_thoughts_are_blocks_of_their_own():
    thought = Thinking("I think.", "", "sealed")
    answer = Answer(format="responses", choices=[Choice([thought, Text("So.")], "stop")])
    expected = [Thinking(sealed="sealed"), Thinking("I think."), Text("So.")]
    written = messages.read_answer(messages.write_answer(answer, ASKED))
    assert written.choices[0].parts == expected
    values = write(unfold(answer))
    assert fold(read(*values)).answer.choices[0].parts == expected


def test_signatures_of_others_are_marked_and_come_back():
    thoughts = [
        Thinking("I think.", "g-sig"),
        Thinking("Aloud."),
        Thinking("Mine.", "s", extra=OWN),
    ]
    answer = Answer(format="gemini", choices=[Choice(thoughts, "stop")])
    values = write(unfold(answer))
    signed = [v["delta"]["signature"] for v in values if "signature" in v.get("delta", {})]
    assert signed == ["hubpo:g-sig", "hubpo:", "s"]
    assert fold(read(*values)).answer.choices[0].parts == thoughts
    written = messages.read_answer(messages.write_answer(answer, ASKED))
    assert written.choices[0].parts == thoughts


def test_a_signature_of_another_provider_comes_back_with_the_call():
    call = ToolCall("a", "look", "{}", signature="g-sig")
    answer = Answer(format="gemini", choices=[Choice([call], "tool_calls")])
    (block,) = json.loads(messages.write_answer(answer, ASKED))["content"]
    streamed = write(unfold(answer))[1]["content_block"]
    assert streamed == {**block, "input": {}}
    body = {
        "model": "m",
        "max_tokens": 1,
        "messages": [{"role": "assistant", "content": [block]}],
    }
    request = messages.read_request(json.dumps(body).encode())
    assert request.messages[0].parts == [call]


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (Refusal("I will not."), "I will not."),
        (Media("image", "image/png", data="iVBO"), "![image](data:image/png;base64,iVBO)"),
        (Media("image", url="https://x/y.png", name="cat"), "![cat](https://x/y.png)"),
        (Media("audio", "audio/wav", data="UklG", transcript="Hello"), "Hello"),
    ],
)
def test_what_has_no_block_here_is_written_as_text(part, text):
    answer = Answer(format="chat", choices=[Choice([part], "stop")])
    written = json.loads(messages.write_answer(answer, ASKED))
    assert written["content"] == [{"type": "text", "text": text}]
    streamed = fold(read(*write(unfold(answer)))).answer
    assert streamed.choices[0].parts == [Text(text)]


def test_what_only_another_format_can_say_is_left_out():
    parts = [Foreign("responses", {"type": "web_search_call"}), Text("Hi")]
    answer = Answer(format="responses", choices=[Choice(parts, "stop")], extra={"store": True})
    written = json.loads(messages.write_answer(answer, ASKED))
    assert written["content"] == [{"type": "text", "text": "Hi"}]
    assert "store" not in written
    values = write([Begin(), Other("responses", {"x": 1}), *unfold(answer)[1:]])
    assert fold(read(*values)).answer.choices[0].parts == [Text("Hi")]


def test_citations_of_others_are_told_as_found_in_the_web_or_a_document():
    cited = [Citation("https://x", "X", "q", 0, 3), Citation(title="book.pdf", quote="p")]
    answer = Answer(format="chat", choices=[Choice([Text("So.", cited)], "stop")])
    written = json.loads(messages.write_answer(answer, ASKED))
    Message.model_validate(written)
    first, second = written["content"][0]["citations"]
    assert (first["type"], first["url"]) == ("web_search_result_location", "https://x")
    assert (second["type"], second["document_title"]) == ("char_location", "book.pdf")
    for events in (
        unfold(answer),
        [
            Begin(),
            PartBegin(0, 0, Text("")),
            PartDelta(0, 0, "So."),
            *(PartCited(0, 0, c) for c in cited),
        ],
    ):
        (text,) = fold(read(*write(events))).answer.choices[0].parts
        assert [c.raw for c in text.citations] == [first, second]


@pytest.mark.parametrize(
    ("parts", "finish", "stop", "reason"),
    [
        ([Text("a")], "stop", None, "end_turn"),
        ([Text("a")], "stop", "END", "stop_sequence"),
        ([ToolCall("1", "x")], "stop", None, "tool_use"),
        ([Refusal("a")], "stop", None, "refusal"),
        ([Text("a")], "length", None, "max_tokens"),
        ([Text("a")], "tool_calls", None, "tool_use"),
        ([Text("a")], "content_filter", None, "refusal"),
        ([Text("a")], "pause", None, "pause_turn"),
        ([Text("a")], "error", None, None),
        ([Text("a")], None, None, None),
    ],
)
def test_why_an_answer_ended(parts, finish, stop, reason):
    answer = Answer(format="chat", model="m", choices=[Choice(parts, finish, stop)])
    written = json.loads(messages.write_answer(answer, ASKED))
    assert (written["stop_reason"], written["stop_sequence"]) == (reason, stop)
    Message.model_validate(written)
    if finish is not None:
        assert write(unfold(answer))[-2]["delta"] == {
            "stop_reason": reason,
            "stop_sequence": stop,
        }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"type":"error","error":{"message":"x"}}',
        b'{"content":3}',
        b'{"content":[3]}',
        b'{"content":[{"type":"text"}]}',
        b'{"content":[],"id":3}',
        b'{"content":[{"type":"tool_use","id":"1","name":"x","input":' + b"[" * 990,
    ],
)
def test_an_answer_without_the_form_of_one_is_unreadable(body):
    with pytest.raises(AnswerUnreadable):
        messages.read_answer(body)


WHOLE = {
    "id": "m",
    "model": "c",
    "type": "message",
    "role": "assistant",
    "content": [
        {"type": "text", "text": "t", "citations": [{"type": "page_location", "title": "t"}]},
        {"type": "tool_use", "id": "1", "name": "n", "input": {"a": [1]}},
        {"type": "web_search_tool_result", "content": [{"url": "u"}]},
    ],
    "stop_reason": "end_turn",
    "stop_sequence": "x",
    "usage": {"input_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 1}},
}


def test_no_wrong_type_anywhere_is_more_than_unreadable():
    for value in spoilt(WHOLE):
        try:
            answer = messages.read_answer(json.dumps(value).encode())
        except AnswerUnreadable:
            continue
        messages.write_answer(answer, ASKED)


def test_no_wrong_type_in_a_stream_is_more_than_a_failure():
    values = [
        START,
        *block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "Hm."},
            {"type": "signature_delta", "signature": "s"},
        ),
        *block(
            1,
            {"type": "server_tool_use", "id": "s", "name": "x", "input": {}},
            {"type": "input_json_delta", "partial_json": "{}"},
        ),
        *block(
            2,
            {"type": "text", "text": "", "citations": []},
            {"type": "citations_delta", "citation": {"type": "page_location", "title": "t"}},
        ),
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 3},
        },
        {"type": "error", "error": {"type": "api_error", "message": "m"}},
    ]
    for place, value in enumerate(values):
        name = value["type"].encode()
        for other in spoilt(value):
            odd = event(json.dumps(other).encode(), name)
            body = stream(*values[:place]) + odd + stream(*values[place + 1 :])
            reader, writer = messages.reader(), messages.writer(ASKED)
            events = reader.feed(body) + reader.end()
            fold(events)
            writer.write(events)
            writer.end()
