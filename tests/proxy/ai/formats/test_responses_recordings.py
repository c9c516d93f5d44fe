"""Every recorded exchange in the format of responses, read, written and read again."""

from __future__ import annotations

import msgspec
import pytest
from recordings import RESPONSES, exchanges, needed
from sdk_types import STREAMS, WHOLE, events

from proxy.ai.formats import responses
from proxy.ai.middle import Text
from proxy.ai.middle.events import Fold
from proxy.ai.middle.rules import Notes

pytestmark = needed

decode, encode = msgspec.json.decode, msgspec.json.encode
PROVIDERS = sorted({exchange.provider for exchange in exchanges(endpoint=RESPONSES)})


def recorded(provider, **what):
    return exchanges(provider, RESPONSES, **what)


def asked(exchange):
    if exchange.request.startswith(b"{"):
        return responses.read_request(exchange.request)
    return responses.read_request(b'{"model": "m", "input": "x"}')


def folded(data):
    reader, fold = responses.reader(), Fold("responses")
    found = reader.feed(data) + reader.end()
    for event in found:
        fold.add(event)
    return found, fold.answer


def without_zeros(answer):
    """The SDK wants counts that were not reported too: they are written as 0."""
    if answer.usage is not None:
        for name in ("cached_tokens", "cache_write_tokens", "reasoning_tokens"):
            if not getattr(answer.usage, name):
                setattr(answer.usage, name, None)
    return answer


@pytest.mark.parametrize("provider", PROVIDERS)
def test_requests_are_the_same_when_read_again_and_lose_no_field(provider):
    for exchange in recorded(provider):
        if not exchange.request.startswith(b"{"):
            continue
        request, notes = asked(exchange), Notes()
        body = responses.write_request(request, request.model, notes)
        assert responses.read_request(body) == request, exchange
        assert (notes.dropped, notes.mapped) == ([], []), exchange
        sent, written = decode(exchange.request), decode(body)
        for name, value in sent.items():
            if value and name not in ("input", "tools", "reasoning", "instructions"):
                assert written[name] == value, (exchange, name)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_answers_are_the_same_when_read_again_and_fit_the_sdk(provider):
    for exchange in recorded(provider, stream=False):
        answer = responses.read_answer(exchange.response)
        written = responses.write_answer(answer, asked(exchange))
        again = without_zeros(responses.read_answer(written))
        again.extra = {k: v for k, v in again.extra.items() if k in answer.extra}
        assert again == without_zeros(answer), exchange
        theirs = decode(exchange.response)
        wrong = WHOLE["responses"]
        assert set(wrong(decode(written))) <= set(wrong(theirs)), exchange
        for was, now in zip(theirs["output"], decode(written)["output"], strict=True):
            kept = {k: v for k, v in was.items() if v not in (None, [], "completed")}
            assert {k: now.get(k) for k in kept} == kept, exchange


@pytest.mark.parametrize("provider", PROVIDERS)
def test_streams_are_the_same_when_read_again_and_fit_the_sdk(provider):
    for exchange in recorded(provider, stream=True):
        found, answer = folded(exchange.response)
        writer = responses.writer(asked(exchange))
        written = writer.write(found) + writer.end()
        _, again = folded(written)
        assert without_zeros(again) == without_zeros(answer), exchange
        wrong = STREAMS["responses"]
        assert set(wrong(written)) <= set(wrong(exchange.response)), exchange


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_stream_says_what_its_last_event_says(provider):
    for exchange in recorded(provider, stream=True):
        found, answer = folded(exchange.response)
        writer = responses.writer(asked(exchange))
        for stream in (exchange.response, writer.write(found) + writer.end()):
            last = events(stream)[-1][1]["response"]
            whole = responses.read_answer(encode(last))
            assert (whole.id, whole.model, whole.created) == (
                answer.id,
                answer.model,
                answer.created,
            )
            assert without_zeros(whole).usage == without_zeros(answer).usage, exchange
            assert whole.choices[0].finish == answer.choices[0].finish, exchange
            theirs, ours = whole.choices[0].parts, answer.choices[0].parts
            kinds = [sorted(type(p).__name__ for p in parts) for parts in (theirs, ours)]
            assert kinds[0] == kinds[1], exchange
            texts = [[p.text for p in parts if isinstance(p, Text)] for parts in (theirs, ours)]
            assert texts[0] == texts[1], exchange
