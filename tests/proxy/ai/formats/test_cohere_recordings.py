"""Cohere's chat over what was recorded of it."""

import json

import msgspec
import pytest
import recordings
from cohere import V2ChatResponse

from proxy.ai.errors import AnswerUnreadable, InvalidJson, InvalidRequest
from proxy.ai.formats import cohere
from proxy.ai.middle import Failed, Request
from proxy.ai.middle.events import Fold
from proxy.ai.middle.rules import Notes

CHAT = r"/v2/chat"
RESULT = Request(format="cohere", model="m", messages=[])


@recordings.needed
def test_recorded_requests_are_the_same_after_writing_and_reading():
    exchanges = list(recordings.exchanges("cohere", CHAT))
    assert len(exchanges) > 20
    for exchange in exchanges:
        request = cohere.read_request(exchange.request)
        notes = Notes(mode="refuse")
        again = cohere.read_request(cohere.write_request(request, request.model, notes))
        assert again == request, exchange
        assert not notes.dropped


@recordings.needed
def test_recorded_answers_are_the_same_after_writing_and_reading():
    for exchange in recordings.exchanges("cohere", CHAT, stream=False):
        answer = cohere.read_answer(exchange.response)
        written = cohere.write_answer(answer, RESULT)
        assert cohere.read_answer(written) == answer, exchange
        V2ChatResponse.model_validate(json.loads(written))
        told = json.loads(exchange.response)["usage"]["billed_units"]
        assert answer.usage.input_tokens == told["input_tokens"]
        assert answer.usage.output_tokens == told["output_tokens"]
        assert cohere.read_usage(exchange.response) == answer.usage


@recordings.needed
def test_recorded_streams_cut_anywhere_are_the_same_events():
    for exchange in recordings.exchanges("cohere", CHAT, stream=True):
        data = exchange.response
        reader = cohere.reader()
        events = reader.feed(data) + reader.end()
        by_byte, found = cohere.reader(), []
        for place in range(len(data)):
            found += by_byte.feed(data[place : place + 1])
        assert found + by_byte.end() == events, exchange
        assert not any(isinstance(event, Failed) for event in events), exchange
        fold, refold = Fold("cohere"), Fold("cohere")
        for event in events:
            fold.add(event)
        assert fold.answer.choices[0].finish
        writer, again = cohere.writer(RESULT), cohere.reader()
        for event in again.feed(writer.write(events) + writer.end()) + again.end():
            refold.add(event)
        assert refold.answer.choices == fold.answer.choices, exchange
        assert refold.answer.usage == fold.answer.usage


@recordings.needed
def test_recorded_errors_keep_status_and_message():
    for exchange in recordings.exchanges("cohere", CHAT, failed=True):
        fault = cohere.read_fault(exchange.status, exchange.headers, exchange.response)
        assert fault.status == exchange.status
        assert fault.message


@pytest.mark.parametrize("body", [b"", b"[]", b'{"messages": 1}', b"[" * 100_000, b"\xff"])
def test_what_is_no_request_or_answer_is_said_so(body):
    with pytest.raises((InvalidJson, InvalidRequest)):
        cohere.read_request(body, model="m")
    if body != b'{"messages": 1}':
        with pytest.raises(AnswerUnreadable):
            cohere.read_answer(body)
    assert cohere.read_usage(body) is None
    assert msgspec.json.decode(cohere.write_fault(cohere.read_fault(400, {}, body)))
