"""Gemini's format over what was recorded of it."""

import json

import pytest
import recordings
from google.genai import types

from proxy.ai.formats import gemini
from proxy.ai.middle import Choice, Failed, Fault, Request, ToolCall
from proxy.ai.middle.events import Fold
from proxy.ai.middle.rules import Notes

GENERATE = r".*:(stream)?[gG]enerateContent"
PROVIDERS = ["gemini", "vertex"]

pytestmark = recordings.needed


def generated(provider, stream=None):
    return list(recordings.exchanges(provider, GENERATE, stream))


def text_of(exchange):
    return "".join(
        part.get("text", "")
        for candidate in json.loads(exchange.response).get("candidates", [])
        for part in candidate.get("content", {}).get("parts", [])
        if not part.get("thought")
    )


@pytest.mark.parametrize("provider", PROVIDERS)
def test_recorded_requests_are_the_same_after_writing_and_reading(provider):
    for exchange in generated(provider):
        request = gemini.read_request(exchange.request, model="m")
        notes = Notes(mode="refuse")
        again = gemini.read_request(gemini.write_request(request, "m", notes), model="m")
        assert again == request, exchange
        assert not notes.dropped, exchange


@pytest.mark.parametrize("provider", PROVIDERS)
def test_recorded_answers_are_the_same_after_writing_and_reading(provider):
    request = Request(format="gemini", model="m", messages=[])
    for exchange in generated(provider, stream=False):
        answer = gemini.read_answer(exchange.response)
        said = "".join(
            part.text
            for choice in answer.choices
            for part in choice.parts
            if hasattr(part, "text") and type(part).__name__ == "Text"
        )
        assert said == text_of(exchange), exchange
        written = gemini.write_answer(answer, request)
        again = gemini.read_answer(written)
        assert again == answer, exchange
        types.GenerateContentResponse.model_validate(json.loads(written))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_usage_is_what_the_provider_reported(provider):
    for exchange in generated(provider, stream=False):
        told = json.loads(exchange.response).get("usageMetadata")
        usage = gemini.read_usage(exchange.response)
        if told is None or "totalTokenCount" not in told:
            continue
        assert usage.input_tokens + usage.output_tokens == told["totalTokenCount"], exchange
        assert usage == gemini.read_answer(exchange.response).usage


@pytest.mark.parametrize("provider", PROVIDERS)
def test_recorded_streams_cut_anywhere_are_the_same_events(provider):
    for exchange in generated(provider, stream=True):
        data = exchange.response
        whole = gemini.reader()
        events = whole.feed(data) + whole.end()
        assert not any(isinstance(event, Failed) for event in events)
        by_byte = gemini.reader()
        found = []
        for place in range(len(data)):
            found += by_byte.feed(data[place : place + 1])
        assert found + by_byte.end() == events, exchange
        fold = Fold("gemini")
        for event in events:
            fold.add(event)
        assert all(choice.finish for choice in fold.answer.choices)
        writer = gemini.writer(Request(format="gemini", model="m", messages=[]))
        written = writer.write(events) + writer.end()
        again = gemini.reader()
        refold = Fold("gemini")
        for event in again.feed(written) + again.end():
            refold.add(event)
        assert plain(refold.answer.choices) == plain(fold.answer.choices), exchange
        assert refold.answer.usage == fold.answer.usage


def plain(choices: list[Choice]):
    return [
        [
            (type(part).__name__, getattr(part, "text", ""), getattr(part, "arguments", ""))
            for part in choice.parts
            if isinstance(part, ToolCall) or getattr(part, "text", "")
        ]
        for choice in choices
    ]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_recorded_errors_keep_status_and_hint(provider):
    for exchange in recordings.exchanges(provider, GENERATE, failed=True):
        fault = gemini.read_fault(exchange.status, exchange.headers, exchange.response)
        assert fault.status == exchange.status
        assert fault.message
        again = gemini.read_fault(exchange.status, {}, gemini.write_fault(fault))
        assert (again.message, again.retry_after) == (fault.message, fault.retry_after)


def test_another_providers_code_is_the_reason_of_an_error():
    fault = Fault(status=404, message="gone", code="model_not_found", retry_after=1.5)
    error = json.loads(gemini.write_fault(fault))["error"]
    assert (error["code"], error["status"]) == (404, "NOT_FOUND")
    kinds = {one["@type"].rpartition(".")[2]: one for one in error["details"]}
    assert kinds["ErrorInfo"]["reason"] == "model_not_found"
    assert kinds["RetryInfo"]["retryDelay"] == "1.5s"
    assert (
        "details" not in json.loads(gemini.write_fault(Fault(status=404, message="gone")))["error"]
    )
