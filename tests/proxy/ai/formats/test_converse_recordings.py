"""Converse over what was recorded of Bedrock, and its frames beside AWS's own library."""

import json
from time import process_time

import msgspec
import pytest
import recordings
from botocore.eventstream import EventStreamBuffer

from proxy.ai.formats import converse
from proxy.ai.formats.converse.frames import Frames, frame
from proxy.ai.middle import Failed, Foreign, Request, ToolCall
from proxy.ai.middle.events import Fold
from proxy.ai.middle.rules import Notes

SPOKEN = r".*/converse(-stream)?"
RESULT = Request(format="converse", model="m", messages=[])


def whole(exchange):
    try:
        return isinstance(json.loads(exchange.request), dict)
    except ValueError:
        return False


@recordings.needed
def test_recorded_requests_are_the_same_after_writing_and_reading():
    exchanges = [one for one in recordings.exchanges("bedrock", SPOKEN) if whole(one)]
    assert len(exchanges) > 200
    for exchange in exchanges:
        request = converse.read_request(exchange.request, model="m")
        notes = Notes(mode="refuse")
        again = converse.read_request(converse.write_request(request, "m", notes), model="m")
        assert again == request, exchange
        assert not notes.dropped, exchange


@recordings.needed
def test_recorded_answers_are_the_same_after_writing_and_reading():
    for exchange in recordings.exchanges("bedrock", SPOKEN, stream=False):
        answer = converse.read_answer(exchange.response)
        again = converse.read_answer(converse.write_answer(answer, RESULT))
        assert again == answer, exchange
        told = json.loads(exchange.response).get("usage")
        if told and answer.usage:
            usage = answer.usage
            assert usage.input_tokens + usage.output_tokens == told["totalTokens"], exchange
            assert converse.read_usage(exchange.response) == usage


@recordings.needed
def test_recorded_streams_cut_anywhere_are_the_same_events():
    for exchange in recordings.exchanges("bedrock", SPOKEN, stream=True):
        data = exchange.response
        whole_reader = converse.reader()
        events = whole_reader.feed(data) + whole_reader.end()
        by_byte, found = converse.reader(), []
        for place in range(len(data)):
            found += by_byte.feed(data[place : place + 1])
        assert found + by_byte.end() == events, exchange
        assert not any(isinstance(event, Failed) for event in events), exchange
        fold, refold = Fold("converse"), Fold("converse")
        for event in events:
            fold.add(event)
        assert fold.answer.choices[0].finish
        written = converse.writer(RESULT).write(events)
        for event in converse.reader().feed(written):
            refold.add(event)
        assert refold.answer.choices == fold.answer.choices, exchange
        assert refold.answer.usage == fold.answer.usage


def test_frames_are_those_of_awss_own_library():
    headers = {":event-type": "contentBlockDelta", ":message-type": "event"}
    payload = '{"delta": {"text": "Grüße"}}'.encode()
    data = frame(headers, payload) * 3
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    theirs = list(buffer)
    assert [event.payload for event in theirs] == [payload] * 3
    assert theirs[0].headers == headers
    frames, found = Frames(), []
    for place in range(len(data)):
        found += frames.feed(data[place : place + 1])
    assert found == [(headers, payload)] * 3
    assert not frames.partial


def test_a_large_frame_in_small_pieces_is_held_without_copying_all_of_it_each_time():
    payload = bytes(4 * 1024 * 1024)
    data = frame({}, payload)
    frames, found, began = Frames(), [], process_time()
    for place in range(0, len(data), 64):
        found += frames.feed(data[place : place + 64])
    assert found == [({}, payload)]
    assert process_time() - began < 2
    assert frames.feed(frame({}, b"x")) == [({}, b"x")]


@pytest.mark.parametrize("place", range(60))
def test_a_changed_byte_is_noticed(place):
    data = bytearray(frame({":event-type": "x"}, b'{"a": "some payload of a frame"}'))
    data[place] ^= 0x41
    frames = Frames()
    assert frames.feed(bytes(data) + bytes(64)) == []
    assert frames.bad


def test_what_came_before_a_changed_frame_is_kept():
    good = frame({":event-type": "messageStart", ":message-type": "event"}, b"{}")
    reader = converse.reader()
    kinds = [type(event).__name__ for event in reader.feed(good + good[:-1] + b"x")]
    assert kinds == ["Begin", "Failed"]
    assert reader.feed(good) == []


def test_an_exception_in_the_stream_is_a_fault_with_its_status():
    headers = {":exception-type": "throttlingException", ":message-type": "exception"}
    reader = converse.reader()
    (failed,) = reader.feed(frame(headers, b'{"message": "Too many requests"}'))
    assert (failed.fault.status, failed.fault.message) == (429, "Too many requests")
    assert reader.feed(frame(headers, b"{}")) == []


@pytest.mark.parametrize("kind", [None, "tool_use", "server_tool_use"])
def test_only_calls_of_bedrocks_own_tools_are_not_the_clients(kind):
    use = {"toolUseId": "t", "name": "look", "input": {}} | ({"type": kind} if kind else {})
    message = {"role": "assistant", "content": [{"toolUse": use}]}
    body = json.dumps({"output": {"message": message}, "stopReason": "tool_use"}).encode()
    (whole_part,) = converse.read_answer(body).choices[0].parts
    headers = {":event-type": "contentBlockStart", ":message-type": "event"}
    start = json.dumps({"contentBlockIndex": 0, "start": {"toolUse": use}}).encode()
    begun = converse.reader().feed(frame(headers, start))[-1].value
    kinds = {type(whole_part), type(begun)}
    assert kinds == {Foreign if kind == "server_tool_use" else ToolCall}
    if kind == "server_tool_use":
        assert whole_part.value == begun.value == {"toolUse": use}


@recordings.needed
def test_recorded_errors_keep_their_status():
    for exchange in recordings.exchanges("bedrock", SPOKEN, failed=True):
        fault = converse.read_fault(exchange.status, exchange.headers, exchange.response)
        assert fault.status == exchange.status
        assert fault.message


@pytest.mark.parametrize("body", [b"", b"[]", b'{"messages": 1}', b"[" * 100_000, b"\xff"])
def test_what_is_no_request_or_answer_is_said_so(body):
    from proxy.ai.errors import AnswerUnreadable, InvalidJson, InvalidRequest

    with pytest.raises((InvalidJson, InvalidRequest)):
        converse.read_request(body, model="m")
    if body != b'{"messages": 1}':
        with pytest.raises(AnswerUnreadable):
            converse.read_answer(body)
    assert converse.read_usage(body) is None
    assert msgspec.json.decode(converse.write_fault(converse.read_fault(400, {}, body)))
