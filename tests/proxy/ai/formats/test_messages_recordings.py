"""The Messages API against what Anthropic was really asked, and really answered."""

import json

import msgspec
import pytest
from anthropic.types.beta import BetaMessage, BetaRawMessageStreamEvent
from messages_plain import events_of, plain_answer, plain_request
from pydantic import TypeAdapter
from recordings import exchanges

from proxy.ai.formats import messages
from proxy.ai.formats.fields import encode
from proxy.ai.formats.messages import count
from proxy.ai.middle import ChoiceEnd, Counted, Failed, PartBegin, PartEnd, ToolCall, Usage
from proxy.ai.middle.events import Fold, merged, unfold
from proxy.ai.middle.rules import Notes

ENDPOINT = ".*/v1/messages"
WHOLE = list(exchanges(endpoint=ENDPOINT, stream=False))
STREAMED = list(exchanges(endpoint=ENDPOINT, stream=True))
REFUSED = list(exchanges(endpoint=ENDPOINT, failed=True))
ALL = WHOLE + STREAMED + REFUSED
COUNTED = [
    one
    for failed in (False, True)
    for one in exchanges("anthropic", failed=failed)
    if "count_tokens" in one.url
]

EVENT = TypeAdapter(BetaRawMessageStreamEvent)


def params(found):
    """Each exchange is a test of its own; where there are none, one test is skipped."""
    absent = pytest.param(None, marks=pytest.mark.skip(reason="there are no recordings"))
    return [pytest.param(one, id=one.id) for one in found] or [absent]


def read_stream(body, size=0):
    reader = messages.reader()
    pieces = [body[i : i + size] for i in range(0, len(body), size)] if size else [body]
    return [event for piece in pieces for event in reader.feed(piece)] + reader.end()


def write_stream(events, request):
    writer = messages.writer(request)
    return writer.write(events) + writer.end()


def relayed(body, request, size):
    """Read and written in pieces, as they come in."""
    reader, writer = messages.reader(), messages.writer(request)
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    written = b"".join(writer.write(reader.feed(piece)) for piece in pieces)
    return written + writer.write(reader.end()) + writer.end()


def expected(usage):
    """Anthropic's usage as the middle form counts it."""
    cached = usage.get("cache_read_input_tokens")
    written = usage.get("cache_creation_input_tokens")
    return Usage(
        input_tokens=usage["input_tokens"] + (cached or 0) + (written or 0),
        output_tokens=usage["output_tokens"],
        cached_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=(usage.get("cache_creation") or {}).get("ephemeral_1h_input_tokens"),
        reasoning_tokens=(usage.get("output_tokens_details") or {}).get("thinking_tokens"),
        searches=(usage.get("server_tool_use") or {}).get("web_search_requests"),
    )


@pytest.mark.parametrize("one", params(ALL))
def test_a_request_is_written_as_it_was_read(one):
    request = messages.read_request(one.request)
    notes = Notes()
    written = messages.write_request(request, request.model, notes)
    assert messages.read_request(written) == request
    assert plain_request(written) == plain_request(one.request)
    assert (notes.dropped, notes.mapped) == ([], [])


@pytest.mark.parametrize("one", params(WHOLE))
def test_an_answer_is_written_as_it_was_read(one):
    request = messages.read_request(one.request)
    answer = messages.read_answer(one.response)
    written = messages.write_answer(answer, request)
    assert messages.read_answer(written) == answer
    assert plain_answer(written) == plain_answer(one.response)
    BetaMessage.model_validate_json(written)


@pytest.mark.parametrize("one", params(WHOLE))
def test_the_usage_of_an_answer_is_what_was_reported(one):
    reported = expected(json.loads(one.response)["usage"])
    assert messages.read_answer(one.response).usage == reported
    assert messages.read_usage(one.response) == reported


@pytest.mark.parametrize("one", params(STREAMED))
def test_a_stream_is_written_as_it_was_read(one):
    request = messages.read_request(one.request)
    events = read_stream(one.response)
    assert not any(isinstance(event, Failed) for event in events)
    assert isinstance(events[-1], ChoiceEnd)
    written = write_stream(events, request)
    assert read_stream(written) == events
    for value in events_of(written):
        if value["type"] != "ping":
            EVENT.validate_python(value)
    for size in (11, 300):
        assert relayed(one.response, request, size) == written


@pytest.mark.parametrize("one", params(STREAMED))
def test_a_stream_says_what_the_whole_answer_would(one):
    """Put together from the events as Anthropic's own SDK does it."""
    told = {}
    for value in events_of(one.response):
        _accumulate(value, told)
    fold = Fold("messages")
    for event in read_stream(one.response):
        fold.add(event)
    whole = messages.read_answer(json.dumps(told).encode())
    whole.extra = {}
    for part in fold.answer.choices[0].parts:
        if isinstance(part, ToolCall):  # The model's own spaces are kept in a stream.
            part.arguments = encode(msgspec.json.decode(part.arguments or "{}")).decode()
    assert fold.answer == whole


def _accumulate(value, told):
    match value["type"]:
        case "message_start":
            told.update(value["message"])
        case "content_block_start":
            told["content"].append(value["content_block"] | {"json": ""})
        case "content_block_delta":
            block, delta = told["content"][value["index"]], value["delta"]
            match delta["type"]:
                case "text_delta":
                    block["text"] += delta["text"]
                case "thinking_delta":
                    block["thinking"] += delta["thinking"]
                case "signature_delta":
                    block["signature"] = delta["signature"]
                case "input_json_delta":
                    block["json"] += delta["partial_json"]
                case "citations_delta":
                    block.setdefault("citations", []).append(delta["citation"])
        case "content_block_stop":
            block = told["content"][value["index"]]
            written = block.pop("json")
            if written:
                block["input"] = json.loads(written)
        case "message_delta":
            told.update(value["delta"])
            told["usage"] = told["usage"] | value["usage"]


@pytest.mark.parametrize("one", params(STREAMED))
def test_the_usage_of_a_stream_is_what_was_reported(one):
    raw = {}
    merely_read = None
    for value in events_of(one.response):
        said = value.get("usage") or value.get("message", {}).get("usage") or {}
        raw |= said
        usage = messages.read_usage(json.dumps(value).encode())
        assert (usage is None) == (not said)
        merely_read = merely_read if usage is None else merged(merely_read, usage)
    counted = None
    for event in read_stream(one.response):
        if isinstance(event, Counted):
            counted = merged(counted, event.usage)
    assert counted == expected(raw)
    assert merely_read == expected(raw)


@pytest.mark.parametrize("one", params(STREAMED))
def test_a_stream_cut_anywhere_gives_the_same_events(one):
    events = read_stream(one.response)
    for size in (1, 2, 3, 7, 64, 1460):
        assert read_stream(one.response, size) == events


def test_a_stream_cut_in_two_at_each_byte_gives_the_same_events():
    shortest = min(STREAMED, key=lambda one: len(one.response), default=None)
    if shortest is None:
        pytest.skip("there are no recordings")
    body = shortest.response
    events = read_stream(body)
    for at in range(len(body)):
        reader = messages.reader()
        found = reader.feed(body[:at]) + reader.feed(body[at:]) + reader.end()
        assert found == events


@pytest.mark.parametrize("one", params(STREAMED))
def test_a_stream_that_breaks_off_ends_nothing_that_was_not_ended(one):
    events = read_stream(one.response)
    for share in (0.2, 0.5, 0.9):
        found = read_stream(one.response[: int(len(one.response) * share)])
        assert found == events[: len(found)]
        assert not any(isinstance(event, ChoiceEnd | Failed) for event in found)
        begun = sum(isinstance(event, PartBegin) for event in found)
        assert begun - sum(isinstance(event, PartEnd) for event in found) in (0, 1)


@pytest.mark.parametrize("one", params(WHOLE))
def test_a_whole_answer_can_be_told_as_a_stream(one):
    request = messages.read_request(one.request)
    answer = messages.read_answer(one.response)
    written = write_stream(unfold(answer), request)
    for value in events_of(written):
        EVENT.validate_python(value)
    fold = Fold("messages")
    for event in read_stream(written):
        fold.add(event)
    answer.extra = {}
    assert fold.answer == answer


@pytest.mark.parametrize("one", params(REFUSED))
def test_an_error_keeps_its_status_kind_and_message(one):
    error = json.loads(one.response)["error"]
    fault = messages.read_fault(one.status, {}, one.response)
    assert (fault.status, fault.kind, fault.message) == (
        one.status,
        error["type"],
        error["message"],
    )
    assert json.loads(messages.write_fault(fault))["error"] == error


@pytest.mark.parametrize("one", params(COUNTED))
def test_counting_is_asked_and_answered_as_it_was(one):
    request = count.read_count(one.request)
    written = count.write_count(request, request.model, Notes())
    assert plain_request(written) == plain_request(one.request)
    if one.status == 200:
        tokens = count.read_counted(one.response)
        assert json.loads(count.write_counted(tokens)) == json.loads(one.response)
