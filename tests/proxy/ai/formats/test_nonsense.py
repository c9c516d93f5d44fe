"""Whatever a client or a provider sends is read, or refused with an error that has a name."""

from __future__ import annotations

import json
from itertools import cycle, islice

import pytest
from msgspec import structs
from nonsense import Changes
from recordings import exchanges, needed
from test_all_formats import SPOKEN, asked

from contract.presets import PRESETS
from contract.snapshot import Prices
from proxy.ai import cut_off, estimate, fitting, passing, tap, traits, usages
from proxy.ai.cost import cost_micros
from proxy.ai.errors import (
    AnswerUnreadable,
    InvalidJson,
    InvalidRequest,
    ModelDeclined,
    ParameterUnsupported,
)
from proxy.ai.formats import gemini, messages
from proxy.ai.formats.chat.dialects import DIALECTS
from proxy.ai.formats.converse.frames import Frames
from proxy.ai.formats.registry import FORMATS
from proxy.ai.joined import Joined
from proxy.ai.middle import Usage, rules
from proxy.ai.middle.events import unfold
from proxy.ai.middle.rules import Notes
from proxy.ai.translate import Course

PRICES = Prices(2_500_000, 10_000_000, cached=100_000, reasoning=11_000_000, search=35_000_000)
CLIENTS = ("chat", "responses", "messages", "gemini", "cohere")
REFUSED = (InvalidRequest, InvalidJson, ParameterUnsupported)
MANY = 150


def recorded(format_: str, stream: bool) -> list[bytes]:
    """Answers, the same ones in the same order."""
    found = [one.response for one in exchanges(endpoint=SPOKEN[format_], stream=stream)]
    return list(islice(cycle([one for one in found if len(one) < 40_000]), MANY))


def believed(usage: Usage | None) -> bool:
    """No number in it can do harm."""
    if usage is None:
        return True
    counts = [count for count in structs.astuple(usage) if count is not None]
    cost = cost_micros(PRICES, usage)
    return all(0 <= count < 1 << 43 for count in counts) and (cost is None or 0 <= cost < 1 << 62)


def readable(format_: str, stream: bytes) -> None:
    """Raises where a client could not even take it apart."""
    if format_ == "converse":
        frames = Frames()
        frames.feed(stream)
        assert not frames.bad
        assert not frames.partial
        return
    for line in stream.splitlines():
        assert line[:6] in (b"", b"data: ", b"event:"), line
        if line.startswith(b"data: ") and line != b"data: [DONE]":
            json.loads(line[6:])


@needed
@pytest.mark.parametrize("source", [name for name in CLIENTS if name in SPOKEN])
def test_requests(source):
    changes = Changes(1)
    whole = [one.request for one in exchanges(endpoint=SPOKEN[source])]
    whole = [body for body in whole if body.startswith(b"{") and len(body) < 20_000]
    for number, body in enumerate(islice(cycle(whole), MANY)):
        body = changes.of_json(body)
        try:
            request = FORMATS[source].read_request(body, model="m")
        except REFUSED:
            continue
        text = traits.question(request)
        traits.contents(request, text)
        traits.complexity(request, text)
        assert 0 <= estimate.output_tokens(body) <= estimate.MOST_OUTPUT
        preset = list(PRESETS.values())[number % len(PRESETS)]
        quirks = preset.quirks_of("m", {})
        for target, format_ in FORMATS.items():
            told, notes = structs.replace(request), Notes("m", "drop" if number % 2 else "declared")
            try:
                rules.foreign(told, target, notes)
                lacks = fitting.lacks_of(told, quirks)
                rules.apply(told, {**format_.LACKS, **lacks}, notes)
                if target == "chat" and source != "chat":
                    written = FORMATS["chat"].write_request(
                        told, "m", notes, DIALECTS.get(preset.name)
                    )
                else:
                    written = format_.write_request(told, "m", notes)
                json.loads(passing.fitted(written, quirks, target, notes))
            except REFUSED:
                continue


@needed
@pytest.mark.parametrize("source", SPOKEN)
def test_answers(source):
    changes = Changes(2)
    for body in recorded(source, stream=False):
        body = changes.of_json(body)
        assert believed(FORMATS[source].read_usage(body))
        assert believed(usages.read(body))
        try:
            answer = FORMATS[source].read_answer(body)
        except AnswerUnreadable:
            continue
        assert believed(answer.usage)
        for target, format_ in FORMATS.items():
            try:
                json.loads(format_.write_answer(answer, asked(target, stream=False)))
            except (AnswerUnreadable, ModelDeclined):
                continue
            writer = format_.writer(asked(target, stream=True))
            readable(target, writer.write(unfold(answer)) + writer.end())


@needed
@pytest.mark.parametrize("source", SPOKEN)
def test_streams(source):
    changes, format_ = Changes(3), FORMATS[source]
    change = changes.of_frames if source == "converse" else changes.of_events
    for number, body in enumerate(islice(recorded(source, stream=True), MANY // 3)):
        stream = change(body)
        for target, other in FORMATS.items():
            reader = Joined(format_.reader(), b"p") if number % 3 == 0 else format_.reader()
            course = Course(reader, other.writer(asked(target, stream=True)), "m", b"p")
            written = b"".join(map(course.feed, changes.pieces(stream)))
            readable(target, written + course.end())
            assert believed(course.used.total(whole=course.whole))
        watch = tap.StreamTap(usages.mark(source), usages.reader(source), drop_usage=True)
        for piece in changes.pieces(stream):
            watch.feed(piece)
        watch.end()
        assert believed(watch.usage)
        sample = stream[:3000]
        assert believed(cut_off.usage_of(source, b"p", sample, len(stream), watch.usage))


@needed
def test_errors():
    changes = Changes(4)
    for source in SPOKEN:
        for one in exchanges(endpoint=SPOKEN[source], failed=True):
            body = changes.of_json(one.response)
            for format_ in FORMATS.values():
                fault = format_.read_fault(one.status, one.headers, body)
                assert fault.retry_after is None or 0 <= fault.retry_after < 1e300
                for other in FORMATS.values():
                    json.loads(other.write_fault(fault))
                    other.write_stream_fault(fault)


# What was found so


def logprobs(**fields):
    said = {"content": {"role": "model", "parts": [{"text": "Hi"}]}, "logprobsResult": fields}
    return json.dumps({"candidates": [said]}).encode()


def grounded(**fields):
    said = {"content": {"role": "model", "parts": [{"text": "Hi"}]}}
    found = {"groundingChunks": [{"web": {"uri": "https://a"}}], **fields}
    return json.dumps({"candidates": [said | {"groundingMetadata": found}]}).encode()


@pytest.mark.parametrize(
    "body",
    [
        grounded(groundingSupports=5),
        grounded(groundingSupports=[{"segment": {}, "groundingChunkIndices": 5}]),
        logprobs(chosenCandidates=5),
        logprobs(chosenCandidates=[{"token": "Hi"}], topCandidates=[5]),
        logprobs(chosenCandidates=[{"token": "Hi"}], topCandidates=5),
        logprobs(chosenCandidates=[{"token": "Hi"}], topCandidates=[{"candidates": 5}]),
    ],
)
def test_what_gemini_says_of_an_answer_may_be_nonsense(body):
    answer = gemini.read_answer(body)
    assert answer.choices[0].parts[0].text == "Hi"
    stream = gemini.reader().feed(b"data: " + body + b"\n\n")
    assert stream


@pytest.mark.parametrize("tops", [5, [5], [[]], ["x"]])
def test_what_others_say_of_tokens_may_be_nonsense(tops):
    told = {"content": [{"token": "Hi", "logprob": -0.1, "top_logprobs": tops}]}
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "logprobs": told}
    answer = FORMATS["chat"].read_answer(json.dumps({"choices": [choice]}).encode())
    json.loads(gemini.write_answer(answer, asked("gemini", stream=False)))


@pytest.mark.parametrize("name", ["parameters", "parametersJsonSchema"])
def test_parameters_that_are_no_object_are_refused(name):
    tools = [{"functionDeclarations": [{"name": "f", name: 5}]}]
    body = {"contents": [{"parts": [{"text": "Hi"}]}], "tools": tools}
    with pytest.raises(InvalidRequest, match=name):
        gemini.read_request(json.dumps(body).encode(), model="m")


def test_a_part_of_two_sources_is_written():
    blob = {"mimeType": "image/png", "data": "AAAA"}
    body = {"contents": [{"parts": [{"inlineData": blob, "fileData": "x"}]}]}
    request = gemini.read_request(json.dumps(body).encode(), model="m")
    told = json.loads(gemini.write_request(request, "m", Notes()))
    assert told["contents"][0]["parts"][0]["inlineData"] == blob


def test_a_text_may_have_a_source_of_its_own():
    said = {"type": "text", "text": "Hi", "source": "x"}
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": [said]}]}
    request = messages.read_request(json.dumps(body).encode())
    told = json.loads(messages.write_request(request, "m", Notes()))
    assert told["messages"][0]["content"] == [said]


def test_a_kind_of_event_is_one_line():
    events = [{"type": "message_start", "message": {}}, {"type": "x\r\ny: z", "y": 1}]
    reader, writer = messages.reader(), messages.writer(asked("messages", stream=True))
    found = [
        one for event in events for one in reader.feed(b"data: %b\n\n" % json.dumps(event).encode())
    ]
    readable("messages", writer.write(found))
