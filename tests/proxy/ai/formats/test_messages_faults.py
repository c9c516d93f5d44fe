"""Errors in Anthropic's shape, and the counting of tokens."""

import json
from email.utils import formatdate
from time import time

import pytest
from anthropic.types.shared import ErrorResponse

from proxy.ai.errors import AnswerUnreadable, InvalidJson, InvalidRequest
from proxy.ai.formats import messages
from proxy.ai.formats.messages import count
from proxy.ai.middle import Fault, Request, Text
from proxy.ai.middle.request import Message
from proxy.ai.middle.rules import Notes


def fault(status, body, **headers):
    names = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return messages.read_fault(status, names, body)


def test_an_error_of_anthropics():
    body = json.dumps(
        {
            "type": "error",
            "error": {
                "type": "rate_limit_error",
                "message": "Slow down",
                "details": {"error_code": "ramp_limit_exceeded"},
            },
            "request_id": "req_1",
        }
    ).encode()
    read = fault(429, body, retry_after=b"34")
    assert read == Fault(
        status=429,
        message="Slow down",
        kind="rate_limit_error",
        code="ramp_limit_exceeded",
        retry_after=34.0,
    )
    again = fault(429, messages.write_fault(read), retry_after=b"34")
    assert again == read


def test_when_to_try_again_may_be_a_date():
    read = fault(529, b"", retry_after=formatdate(time() + 60, usegmt=True).encode())
    assert (read.status, read.message) == (529, "Overloaded")
    assert 57 < read.retry_after <= 60


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "Service Unavailable"),
        (b"<h1>Down</h1>", "<h1>Down</h1>"),
        (b'{"error":"busy"}', "busy"),
        (b'{"error":{"message":"busy","type":"server_error","code":"x"}}', "busy"),
        (b'{"message":"busy"}', "busy"),
        (b'{"detail":"busy"}', "busy"),
        (b'{"error":[1]}', "Service Unavailable"),
        (b'{"error":{"message":{}}}', "Service Unavailable"),
        (b"[1]", "Service Unavailable"),
        (b"\xff", "�"),
        (b"[" * 100_000, "[" * 1000),
    ],
)
def test_an_error_in_any_shape_is_read(body, message):
    read = fault(503, body)
    assert (read.status, read.message, read.retry_after) == (503, message, None)


@pytest.mark.parametrize(
    ("status", "kind", "written"),
    [
        (400, "", "invalid_request_error"),
        (401, "invalid_api_key", "authentication_error"),
        (403, "", "permission_error"),
        (404, "", "not_found_error"),
        (418, "", "invalid_request_error"),
        (429, "rate_limit_exceeded", "rate_limit_error"),
        (500, "server_error", "api_error"),
        (502, "", "api_error"),
        (503, "", "overloaded_error"),
        (504, "", "timeout_error"),
        (529, "", "overloaded_error"),
        (500, "overloaded_error", "overloaded_error"),
    ],
)
def test_an_error_of_others_is_written_in_anthropics_words(status, kind, written):
    body = messages.write_fault(Fault(status=status, message="m", kind=kind, code="c"))
    value = json.loads(body)
    assert value["error"] == {"type": written, "message": "m", "details": {"error_code": "c"}}
    ErrorResponse.model_validate(value)


def test_an_error_in_a_stream_is_an_event():
    written = messages.write_stream_fault(Fault(status=500, message="m"))
    assert written.startswith(b"event: error\ndata: {")
    assert written.endswith(b"\n\n")


# Counting


def test_counting_needs_no_limit():
    body = b'{"model":"m","messages":[{"role":"user","content":"Hi"}],"system":"S"}'
    request = count.read_count(body)
    assert request.messages == [Message("system", [Text("S")]), Message("user", [Text("Hi")])]
    assert json.loads(count.write_count(request, "n", Notes())) == {
        **json.loads(body),
        "model": "n",
    }


def test_what_steers_the_answer_is_not_counted():
    request = Request(
        format="chat",
        model="m",
        messages=[Message("user", [Text("Hi")])],
        stream=True,
        temperature=1,
        stop=["x"],
        user="u",
    )
    written = json.loads(count.write_count(request, "claude-sonnet-4-5", Notes()))
    assert written.keys() == {"model", "messages"}


def test_the_number_of_tokens():
    assert count.read_counted(b'{"input_tokens": 12}') == 12
    assert json.loads(count.write_counted(12)) == {"input_tokens": 12}
    for body in (b"{}", b'{"input_tokens": -1}', b'{"input_tokens": "1"}', b"", b"[" * 100_000):
        with pytest.raises(AnswerUnreadable):
            count.read_counted(body)


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(InvalidRequest):
        count.read_count(b'{"model":"m"}')
    with pytest.raises(InvalidJson):
        count.read_count(b"{")
