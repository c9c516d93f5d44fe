"""Carried on by providers of other formats, and read by clients of other formats."""

import json

import pytest
from ai_carried import FIRST, REST, STREAM, ask, breaks_off, claude, events, text
from ai_servers import Reply, sse

from proxy.ai.estimate import about
from proxy.ai.formats.converse.frames import frame


def test_anthropic_is_given_the_beginning_of_its_answer(web, provider, second, platform):
    breaks_off(second, FIRST)
    provider.says(claude(" violets", " blue."), **STREAM)
    answer = ask(web, "carried-by-claude", stream_options={"include_usage": True})
    assert text(events(answer)) == "Roses are red, violets blue."
    told = json.loads(provider.last.body)["messages"]
    assert [message["role"] for message in told] == ["user", "assistant"]
    assert told[-1]["content"] in ("Roses are red,", [{"type": "text", "text": "Roses are red,"}])
    event = platform.event(answer.headers["x-request-id"])
    assert event.output_tokens == about(b"Roses are red, ") + 6
    assert event.input_tokens == about(second.last.body) + 40


def test_a_model_that_takes_no_beginning_is_given_an_instruction(web, provider, second, platform):
    def answer(asked):
        if json.loads(asked.body)["messages"][-1]["role"] == "assistant":
            said = {"type": "invalid_request_error", "message": "This model takes no prefill."}
            return Reply([json.dumps({"type": "error", "error": said}).encode()], status=400)
        return Reply([claude("violets blue.")], **STREAM)

    breaks_off(second, FIRST)
    provider.answer = answer
    said = ask(web, "carried-by-claude")
    assert text(events(said)) == "Roses are red, violets blue."
    roles = [message["role"] for message in json.loads(provider.last.body)["messages"]]
    assert roles == ["user", "assistant", "user"]
    assert platform.event(said.headers["x-request-id"]).attempts == 3


def test_an_anthropic_client_reads_one_message(web, provider, second, platform):
    breaks_off(provider, claude("Roses are ", "red, ", end=False))
    second.says(REST, **STREAM)
    answer = ask(web, "claude-carried", "/v1/messages", max_tokens=100)
    kinds = [one["type"] for one in events(answer)]
    for once in ("message_start", "content_block_start", "content_block_stop", "message_stop"):
        assert kinds.count(once) == 1, kinds
    deltas = [one["delta"]["text"] for one in events(answer) if one["type"].endswith("block_delta")]
    assert "".join(deltas) == "Roses are red, violets blue."
    usage = events(answer)[-2]["usage"]
    assert usage["input_tokens"] == 40 + 30
    # It had reported one token before it said anything.
    assert usage["output_tokens"] == 1 + about(b"Roses are red, ") + 4
    event = platform.event(answer.headers["x-request-id"])
    assert (event.input_tokens, event.output_tokens) == (
        usage["input_tokens"],
        usage["output_tokens"],
    )


def test_between_anthropics_own_it_is_one_message_too(web, provider):
    provider.answer = lambda asked: (
        Reply([claude("Roses are ", "red, ", end=False)], abort=True, **STREAM)
        if len(provider.asked) == 1
        else Reply([claude(" violets", " blue.")], **STREAM)
    )
    answer = ask(web, "all-claude", "/v1/messages", max_tokens=100)
    kinds = [one["type"] for one in events(answer)]
    assert (kinds.count("message_start"), kinds.count("content_block_start")) == (1, 1)
    assert kinds[-1] == "message_stop"
    deltas = [one["delta"]["text"] for one in events(answer) if one["type"].endswith("block_delta")]
    assert "".join(deltas) == "Roses are red, violets blue."
    assert events(answer)[-2]["usage"] == {
        "input_tokens": 80,
        "output_tokens": 1 + about(b"Roses are red, ") + 6,
    }
    told = json.loads(provider.last.body)
    assert told["messages"][-1]["role"] == "assistant"
    assert told["max_tokens"] == 100 - 1 - about(b"Roses are red, ")


def test_a_gemini_client_and_a_gemini_provider(web, provider, second):
    said = {
        "candidates": [
            {
                "content": {"role": "model", "parts": [{"text": " violets blue."}]},
                "finishReason": "STOP",
            }
        ],
        "usageMetadata": {"promptTokenCount": 30, "candidatesTokenCount": 4},
    }
    provider.answer = lambda asked: (
        Reply([FIRST], abort=True, **STREAM)
        if len(provider.asked) == 1
        else Reply([sse(json.dumps(said))], **STREAM)
    )
    question = {"contents": [{"role": "user", "parts": [{"text": "A poem."}]}]}
    answer = web.post(
        "/v1beta/models/carried-by-gemini:streamGenerateContent?alt=sse", json=question
    )
    pieces = [
        part["text"]
        for one in events(answer)
        for candidate in one.get("candidates", [])
        for part in candidate.get("content", {}).get("parts", [])
    ]
    assert "".join(pieces) == "Roses are red, violets blue."
    counts = events(answer)[-1]["usageMetadata"]
    assert counts["candidatesTokenCount"] == about(b"Roses are red, ") + 4
    told = json.loads(provider.last.body)["contents"]
    assert [one["role"] for one in told] == ["user", "model", "user"]


def framed(kind, **payload):
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, json.dumps(payload).encode())


NOVA_USED = {"inputTokens": 30, "outputTokens": 4, "totalTokens": 34}
EVENTSTREAM = {"content_type": "application/vnd.amazon.eventstream"}


def nova(*texts, end=True):
    """Converse's frames, as Bedrock's Nova sends them: no start of a block of text."""
    parts = [framed("messageStart", role="assistant")]
    parts += [
        framed("contentBlockDelta", contentBlockIndex=0, delta={"text": said}) for said in texts
    ]
    if end:
        parts += [
            framed("contentBlockStop", contentBlockIndex=0),
            framed("messageStop", stopReason="end_turn"),
            framed("metadata", usage=NOVA_USED, metrics={"latencyMs": 7}),
        ]
    return b"".join(parts)


def test_bedrock_carries_on(web, provider, platform):
    provider.answer = lambda asked: (
        Reply([FIRST], abort=True, **STREAM)
        if len(provider.asked) == 1
        else Reply([nova(" violets", " blue.")], **EVENTSTREAM)
    )
    answer = ask(web, "carried-by-bedrock", max_tokens=50, stream_options={"include_usage": True})
    assert text(events(answer)) == "Roses are red, violets blue."
    assert "error" not in answer.text
    assert "/model/nova-real/converse-stream" in provider.last.line
    told = json.loads(provider.last.body)
    assert [one["role"] for one in told["messages"]] == ["user", "assistant", "user"]
    assert told["messages"][1]["content"] == [{"text": "Roses are red, "}]
    assert told["inferenceConfig"]["maxTokens"] == 50 - about(b"Roses are red, ")
    event = platform.event(answer.headers["x-request-id"])
    came_in, came_out = about(provider.asked[0].body), about(b"Roses are red, ")
    assert (event.input_tokens, event.output_tokens) == (came_in + 30, came_out + 4)
    assert event.error_code == ""
    assert "carried on by Provider bedrock" in event.routed
    assert events(answer)[-1]["usage"]["completion_tokens"] == event.output_tokens


BROKEN_FRAMES = {
    "between frames": nova("Roses are ", "red, ", end=False),
    "in a frame's payload": nova("Roses are ", "red, ", "lost", end=False)[:-9],
    "in a frame's lengths": nova("Roses are ", "red, ", end=False) + framed("messageStop")[:5],
}


@pytest.mark.parametrize("abort", [True, False])
@pytest.mark.parametrize("where", BROKEN_FRAMES)
def test_bedrock_is_carried_on_wherever_its_frames_break_off(
    web, provider, second, platform, where, abort
):
    provider.says(BROKEN_FRAMES[where], abort=abort, **EVENTSTREAM)
    second.says(REST, **STREAM)
    answer = ask(web, "bedrock-carried", stream_options={"include_usage": True})
    assert text(events(answer)) == "Roses are red, violets blue."
    assert "error" not in answer.text
    assert answer.text.count("[DONE]") == 1
    event = platform.event(answer.headers["x-request-id"])
    came_in, came_out = about(provider.last.body), about(b"Roses are red, ")
    assert (event.input_tokens, event.output_tokens) == (came_in + 30, came_out + 4)


@pytest.mark.parametrize("kind", ["modelStreamErrorException", "throttlingException"])
def test_an_exception_among_bedrocks_frames_is_a_break(web, provider, second, kind):
    headers = {":exception-type": kind, ":message-type": "exception"}
    fault = frame(headers, b'{"message": "It failed."}')
    provider.says(nova("Roses are ", "red, ", end=False) + fault, **EVENTSTREAM)
    second.says(REST, **STREAM)
    answer = ask(web, "bedrock-carried")
    assert text(events(answer)) == "Roses are red, violets blue."
    assert "It failed." not in answer.text


def test_frames_that_were_changed_on_the_way_are_a_break(web, provider, second):
    changed = bytearray(framed("contentBlockDelta", contentBlockIndex=0, delta={"text": "bad"}))
    changed[40] ^= 1
    provider.says(nova("Roses are ", "red, ", end=False), bytes(changed), **EVENTSTREAM)
    second.says(REST, **STREAM)
    assert text(events(ask(web, "bedrock-carried"))) == "Roses are red, violets blue."


def test_between_two_of_bedrock_an_anthropic_client_reads_one_message(web, provider):
    provider.answer = lambda asked: (
        Reply([nova("Roses are ", "red, ", end=False)], abort=True, **EVENTSTREAM)
        if len(provider.asked) == 1
        else Reply([nova(" violets", " blue.")], **EVENTSTREAM)
    )
    answer = ask(web, "all-bedrock", "/v1/messages", max_tokens=100)
    kinds = [one["type"] for one in events(answer)]
    for once in ("message_start", "content_block_start", "content_block_stop", "message_stop"):
        assert kinds.count(once) == 1, kinds
    deltas = [one["delta"]["text"] for one in events(answer) if one["type"].endswith("block_delta")]
    assert "".join(deltas) == "Roses are red, violets blue."
    assert events(answer)[-2]["usage"]["output_tokens"] == about(b"Roses are red, ") + 4


@pytest.mark.parametrize("path", ["/v1/responses", "/v2/chat"])
def test_clients_of_other_formats_read_one_answer(web, provider, second, path):
    breaks_off(provider, FIRST)
    second.says(REST, **STREAM)
    question = {"input": "A poem."} if path == "/v1/responses" else {}
    answer = web.post(
        path,
        json={
            "model": "carried",
            "stream": True,
            **(question or {"messages": [{"role": "user", "content": "A poem."}]}),
        },
    )
    assert "error" not in answer.text.replace('"error":null', "")
    if path == "/v1/responses":
        done = events(answer)[-1]
        assert done["type"] == "response.completed"
        assert done["response"]["output"][0]["content"][0]["text"] == "Roses are red, violets blue."
        assert len(done["response"]["output"]) == 1
    else:
        kinds = [one["type"] for one in events(answer)]
        assert (kinds.count("message-start"), kinds.count("message-end")) == (1, 1)
