"""Every recorded exchange in chat's format, read, written and read again."""

from __future__ import annotations

import msgspec
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import ValidationError
from recordings import CHAT, exchanges, needed

from proxy.ai.formats import chat
from proxy.ai.middle import Failed
from proxy.ai.middle.events import Fold
from proxy.ai.middle.rules import Notes

pytestmark = needed

decode = msgspec.json.decode
PROVIDERS = sorted({exchange.provider for exchange in exchanges(endpoint=CHAT)})


def recorded(provider, **what):
    return exchanges(provider, CHAT, **what)


def folded(data):
    reader, fold = chat.reader(), Fold("chat")
    events = reader.feed(data) + reader.end()
    for event in events:
        fold.add(event)
    return events, fold.answer


def faults_found(model, value):
    """Where ``value`` is not what the SDK's type says."""
    try:
        model.model_validate(value)
    except ValidationError as error:
        return {".".join(map(str, fault["loc"])) for fault in error.errors()}
    return set()


def chunks(stream):
    lines = [line[5:] for line in stream.split(b"\n") if line.startswith(b"data:")]
    return [decode(line) for line in lines if line.strip() != b"[DONE]"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_requests_are_the_same_when_read_again(provider):
    for exchange in recorded(provider):
        if not exchange.request.startswith(b"{"):
            continue
        request, notes = chat.read_request(exchange.request), Notes()
        again = chat.read_request(chat.write_request(request, request.model, notes))
        if request.stream:
            request.include_usage = True
        assert again == request, exchange
        assert not notes.dropped, exchange
        assert not notes.mapped, exchange


@pytest.mark.parametrize("provider", PROVIDERS)
def test_answers_are_the_same_when_read_again_and_fit_the_sdk(provider):
    for exchange in recorded(provider, stream=False):
        answer = chat.read_answer(exchange.response)
        request = chat.read_request(b'{"model": "m", "messages": []}')
        written = chat.write_answer(answer, request)
        answer.model = answer.model or "m"
        again = chat.read_answer(written)
        answer.id = answer.id or again.id
        assert again == answer, exchange
        found = faults_found(ChatCompletion, decode(written))
        assert found <= faults_found(ChatCompletion, decode(exchange.response)), exchange


@pytest.mark.parametrize("provider", PROVIDERS)
def test_streams_are_the_same_when_read_again_and_fit_the_sdk(provider):
    request = chat.read_request(
        b'{"model": "m", "messages": [], "stream_options": {"include_usage": true}}'
    )
    for exchange in recorded(provider, stream=True):
        events, answer = folded(exchange.response)
        writer = chat.writer(request)
        written = writer.write(events) + writer.end()
        _, again = folded(written)
        answer.id, answer.created = answer.id or again.id, answer.created or again.created
        if any(isinstance(event, Failed) for event in events):
            again.usage = answer.usage
        assert again == answer, exchange
        theirs = set().union(
            *(faults_found(ChatCompletionChunk, chunk) for chunk in chunks(exchange.response))
        )
        for chunk in chunks(written):
            if "error" not in chunk:
                assert faults_found(ChatCompletionChunk, chunk) <= theirs, (exchange, chunk)
