"""What comes from outside may be anything: chat and responses give clear errors, never others.

Every value of a sample, and the sample itself, is replaced by values of every other type.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from recordings import CHAT, RESPONSES, exchanges

from proxy.ai.errors import AnswerUnreadable, InvalidJson, InvalidRequest, ParameterUnsupported
from proxy.ai.formats import chat, responses
from proxy.ai.middle import Failed
from proxy.ai.middle.rules import Notes

WRONG: list[Any] = [
    None,
    True,
    0,
    -1,
    1e400,
    1.5,
    "",
    "x",
    [],
    [1],
    [{}],
    [[]],
    {},
    {"a": 1},
    2**70,
]

CHAT_REQUEST = {
    "model": "m",
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "s", "cache_control": {"a": 1}}]},
        {
            "role": "user",
            "name": "n",
            "content": [
                {"type": "text", "text": "hi"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
                {"type": "image_url", "image_url": "https://x/y.png"},
                {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "QUJD"}},
                {"type": "document_url", "document_url": "https://x/y.pdf"},
                {"type": "thinking", "thinking": [{"type": "text", "text": "t"}]},
                {"type": "unknown", "x": 1},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "refusal": "no",
            "reasoning_content": "r",
            "reasoning_details": [{"type": "reasoning.text", "text": "r", "signature": "s"}],
            "annotations": [{"type": "url_citation", "url_citation": {"url": "u", "title": "t"}}],
            "audio": {"id": "a"},
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "2", "type": "custom", "custom": {"name": "c", "input": "x"}},
            ],
            "function_call": {"name": "f", "arguments": "{}"},
        },
        {"role": "tool", "tool_call_id": "1", "content": "done"},
        {"role": "function", "name": "f", "content": [{"type": "text", "text": "x"}]},
    ],
    "tools": [
        {"type": "function", "function": {"name": "f", "parameters": {}, "strict": True}},
        {"type": "custom", "custom": {"name": "c", "format": {"type": "grammar", "grammar": {}}}},
        {"type": "web_search"},
    ],
    "functions": [{"name": "f", "parameters": {}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "function_call": {"name": "f"},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
    "reasoning": {"effort": "low", "max_tokens": 1, "enabled": True, "exclude": True},
    "reasoning_effort": "low",
    "thinking": {"type": "enabled", "budget_tokens": 1},
    "stop": ["x"],
    "stream": True,
    "stream_options": {"include_usage": True, "x": 1},
    "max_tokens": 1,
    "max_completion_tokens": 1,
    "seed": 1,
    "temperature": 0.5,
    "logit_bias": {"1": 1},
    "logprobs": True,
    "modalities": ["text"],
    "metadata": {"a": "b"},
    "user": "u",
}
CHAT_ANSWER = {
    "id": "1",
    "model": "m",
    "created": 1,
    "choices": [
        {
            "index": 0,
            "message": CHAT_REQUEST["messages"][2],
            "finish_reason": "stop",
            "logprobs": {"content": [{"token": "a", "logprob": 0.1}], "refusal": None},
            "stop_reason": "x",
        }
    ],
    "citations": ["https://x"],
    "search_results": [{"url": "https://x", "title": "t"}],
    "usage": {
        "prompt_tokens": 1,
        "completion_tokens": 2,
        "total_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 1},
        "server_tool_use_details": {"web_search_requests": 1},
    },
}
CHAT_CHUNK = {
    "id": "1",
    "model": "m",
    "created": 1,
    "choices": [
        {
            "index": 0,
            "delta": {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": "x", "signature": "s"}],
                "reasoning": "r",
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "r", "signature": "s"},
                    {"type": "reasoning.encrypted", "data": "d", "id": "1", "summary": "s"},
                ],
                "refusal": "n",
                "tool_calls": [
                    {"index": 0, "id": "1", "function": {"name": "f", "arguments": "{}"}},
                    {"id": "2", "type": "custom", "custom": {"name": "c", "input": "x"}},
                ],
                "function_call": {"name": "f", "arguments": "{}"},
                "annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}],
                "audio": {"id": "a", "data": "QUJD", "transcript": "t", "expires_at": 1},
                "images": [{"type": "image_url", "image_url": {"url": "https://x"}}],
                "x": 1,
            },
            "finish_reason": "stop",
            "logprobs": {"content": []},
            "y": 1,
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    "x_groq": {"usage": {"prompt_tokens": 1}},
    "z": 1,
}
ITEMS = [
    {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [
        {"type": "output_text", "text": "t", "logprobs": [], "annotations": [
            {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1},
            {"type": "file_citation", "file_id": "f", "filename": "n", "index": 1}]},
        {"type": "refusal", "refusal": "no"}]},
    {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "s"}],
     "content": [{"type": "reasoning_text", "text": "s"}], "encrypted_content": "e"},
    {"type": "function_call", "id": "f", "call_id": "1", "name": "n", "arguments": "{}"},
    {"type": "custom_tool_call", "id": "f", "call_id": "2", "name": "n", "input": "x"},
    {"type": "image_generation_call", "id": "i", "result": "QUJD", "output_format": "png"},
    {"type": "web_search_call", "id": "w", "status": "completed", "action": {"type": "search"}},
]  # fmt: skip
RESPONSES_REQUEST = {
    "model": "m",
    "instructions": "i",
    "input": [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [
            {"type": "input_text", "text": "t"},
            {"type": "input_image", "image_url": "data:image/png;base64,QUJD", "detail": "low"},
            {"type": "input_file", "file_data": "QUJD", "filename": "a.pdf"},
            {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
            {"type": "unknown"}]},
        *ITEMS,
        {"type": "function_call_output", "call_id": "1", "output": "x"},
        {"type": "custom_tool_call_output", "call_id": "2", "output": [
            {"type": "input_text", "text": "t"}]},
        {"type": "item_reference", "id": "x"},
    ],
    "tools": [
        {"type": "function", "name": "f", "parameters": {}, "strict": True},
        {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark"}},
        {"type": "web_search", "filters": {}},
    ],
    "tool_choice": {"type": "function", "name": "f"},
    "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}, "verbosity": "low"},
    "reasoning": {"effort": "low", "summary": "auto", "x": 1},
    "max_output_tokens": 1,
    "stream": True,
    "metadata": {},
    "store": False,
}  # fmt: skip
RESPONSE = {
    "id": "r",
    "model": "m",
    "created_at": 1,
    "status": "incomplete",
    "incomplete_details": {"reason": "max_output_tokens"},
    "output": ITEMS,
    "usage": {
        "input_tokens": 1,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 1,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 2,
    },
    "tool_usage": {"web_search": {"num_requests": 1}},
    "error": {"code": "server_error", "message": "m"},
}
PLACE = {"output_index": 0, "content_index": 0, "item_id": "m"}
EVENTS: list[dict[str, Any]] = [
    {"type": "response.created", "response": RESPONSE},
    *({"type": "response.output_item.added", "output_index": 0, "item": item} for item in ITEMS),
    {"type": "response.content_part.added", **PLACE, "part": {"type": "output_text"}},
    {"type": "response.output_text.delta", **PLACE, "delta": "x", "logprobs": []},
    {"type": "response.output_text.annotation.added", **PLACE,
     "annotation": {"type": "url_citation", "url": "u"}},
    {"type": "response.output_text.done", **PLACE, "text": "x"},
    {"type": "response.refusal.delta", **PLACE, "delta": "x"},
    {"type": "response.content_part.done", **PLACE, "part": {}},
    {"type": "response.reasoning_summary_text.delta", **PLACE, "summary_index": 0, "delta": "x"},
    {"type": "response.function_call_arguments.delta", **PLACE, "delta": "x"},
    *({"type": "response.output_item.done", "output_index": 0, "item": item} for item in ITEMS),
    {"type": "response.web_search_call.searching", **PLACE},
    {"type": "response.completed", "response": RESPONSE},
    {"type": "response.failed", "response": RESPONSE},
    {"type": "error", "message": "m", "code": "c", "error": {"message": "m"}},
]  # fmt: skip


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in inner:
        if isinstance(each, dict | list):
            yield from paths(each, (*path, key))
        else:
            yield (*path, key)


def variants(sample: Any) -> Iterator[bytes]:
    for path in paths(sample):
        for wrong in WRONG:
            changed = copy.deepcopy(sample)
            if not path:
                changed = wrong
            else:
                at = changed
                for step in path[:-1]:
                    at = at[step]
                at[path[-1]] = wrong
            yield msgspec.json.encode(changed)
            if path and isinstance(path[-1], str):
                del at[path[-1]]
                yield msgspec.json.encode(changed)


@pytest.mark.parametrize(
    ("format_", "sample"), [(chat, CHAT_REQUEST), (responses, RESPONSES_REQUEST)]
)
def test_wrong_requests_are_refused_by_the_fields_name(format_, sample):
    read, refused = 0, set()
    for body in variants(sample):
        try:
            request = format_.read_request(body)
        except InvalidRequest as error:
            refused.add(error.param)
            continue
        read += 1
        for target in (chat, responses):
            with suppress(InvalidRequest, InvalidJson, ParameterUnsupported):
                target.write_request(request, "m", Notes(mode="drop"))
    assert read
    assert len(refused) > 20
    assert refused != {None}


@pytest.mark.parametrize(("format_", "sample"), [(chat, CHAT_ANSWER), (responses, RESPONSE)])
def test_wrong_answers_are_unreadable(format_, sample):
    asked = chat.read_request(b'{"model": "m", "messages": []}')
    read = unread = 0
    for body in variants(sample):
        format_.read_usage(body)
        try:
            answer = format_.read_answer(body)
        except AnswerUnreadable:
            unread += 1
            continue
        read += 1
        for target in (chat, responses):
            target.write_answer(answer, asked)
    assert read
    assert unread


@pytest.mark.parametrize(
    ("format_", "samples"), [(chat, [CHAT_CHUNK]), (responses, EVENTS)], ids=["chat", "responses"]
)
def test_wrong_events_end_a_stream_with_a_failure(format_, samples):
    asked = chat.read_request(b'{"model": "m", "messages": []}')
    fine = failed = 0
    for place, sample in enumerate(samples):
        before = b"".join(b"data: %b\n\n" % msgspec.json.encode(s) for s in samples[:place][-3:])
        for body in variants(sample):
            reader = format_.reader()
            events = reader.feed(before + b"data: " + body + b"\n\n")
            events += reader.feed(b"data: " + body + b"\n\ndata: [DONE]\n\n") + reader.end()
            for target in (chat, responses):
                writer = target.writer(asked)
                writer.write(events)
                writer.end()
            fails = [isinstance(event, Failed) for event in events]
            assert not any(fails[:-1]), body
            failed += any(fails)
            fine += not any(fails)
    assert fine
    assert failed


@pytest.mark.parametrize("format_", [chat, responses])
@pytest.mark.parametrize("bomb", [b"[" * 100_000, b'{"model":' * 100_000, b'{"a":' * 5000 + b"1"])
def test_depth_bombs_are_no_json(format_, bomb):
    with pytest.raises(InvalidJson):
        format_.read_request(bomb)
    with pytest.raises(AnswerUnreadable):
        format_.read_answer(bomb)
    assert format_.read_usage(bomb) is None
    assert format_.read_fault(500, {}, bomb).status == 500
    events = format_.reader().feed(b"data: " + bomb + b"\n\n")
    assert [type(event) for event in events] == [Failed]


@pytest.mark.parametrize("format_", [chat, responses])
def test_what_is_just_not_too_deep_to_read_is_written_or_refused(format_):
    asked = chat.read_request(b'{"model": "m", "messages": []}')
    for depth in range(50, 1100, 7):
        deep = b'{"a":' * depth + b"1" + b"}" * depth
        body = b'{"model":"m","messages":[],"input":"x","tools":[%b],"x":%b}' % (deep, deep)
        try:
            format_.write_request(format_.read_request(body), "m", Notes())
        except InvalidJson:
            continue
        answer = b'{"id":"1","choices":[],"output":[],"x":%b}' % deep
        try:
            format_.write_answer(format_.read_answer(answer), asked)
        except (AnswerUnreadable, InvalidJson):
            continue


@pytest.mark.parametrize(("format_", "spoken"), [(chat, CHAT), (responses, RESPONSES)])
def test_streams_with_bytes_changed_never_raise(format_, spoken):
    chance = random.Random(7)
    asked = chat.read_request(b'{"model": "m", "messages": []}')
    for exchange in list(exchanges(endpoint=spoken, stream=True))[::9]:
        for _ in range(20):
            data = bytearray(exchange.response[:20_000])
            for _ in range(3):
                data[chance.randrange(len(data))] = chance.randrange(256)
            reader = format_.reader()
            events = reader.feed(bytes(data)) + reader.end()
            format_.writer(asked).write(events)
