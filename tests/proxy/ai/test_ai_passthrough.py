"""What reaches the provider and what comes back, with a provider that answers as told."""

import gzip
import json
import threading
import time
from collections import deque
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from ai_cast import ALICE, PROVIDER_KEY
from ai_servers import Reply, sse
from openai import APIError, OpenAI

HELLO = [{"role": "user", "content": "Hällo"}]
USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 22,
    "total_tokens": 33,
    "prompt_tokens_details": {"cached_tokens": 5},
    "completion_tokens_details": {"reasoning_tokens": 6},
}
WHOLE = json.dumps({"choices": [{"message": {"content": "hi"}}], "usage": USAGE}).encode()
DELTA = '{"choices":[{"index":0,"delta":{"content":"h"}}],"usage":null}'
LAST = json.dumps({"choices": [], "usage": USAGE})
STREAM = sse(DELTA, LAST, "[DONE]")


def chat(web, model="gpt", **fields):
    return web.post("/v1/chat/completions", json={"model": model, "messages": HELLO} | fields)


def tokens(event):
    return (
        event.input_tokens,
        event.output_tokens,
        event.cached_tokens,
        event.reasoning_tokens,
    )


def test_the_provider_is_asked_with_its_own_key_and_model(web, provider):
    provider.says(WHOLE)
    web.cookies["session"] = "secret"
    headers = {
        "x-api-key": ALICE,
        "x-forwarded-for": "10.0.0.1",
        "openai-organization": "org-of-the-client",
        "openai-beta": "assistants=v2",
        "accept-encoding": "gzip",
    }
    body = b'{"messages": [{"role":"user", "content":"\\u00e4"}],  "model":"gpt", "n":1}'
    answer = web.post("/v1/chat/completions", content=body, headers=headers)
    assert answer.content == WHOLE
    asked = provider.last
    assert asked.line == "POST /v1/chat/completions HTTP/1.1"
    sent = dict(asked.headers)
    assert sent.pop("authorization") == f"Bearer {PROVIDER_KEY}"
    assert sent.pop("openai-beta") == "assistants=v2"
    assert sent.pop("user-agent").startswith("python-httpx")
    assert sent.pop("accept-encoding") == "identity"
    assert set(sent) == {"host", "content-type", "content-length", "accept"}
    expected = b'{"messages":[{"role":"user", "content":"\\u00e4"}],"model":"gpt-real","n":1}'
    assert asked.body == expected


def test_what_is_sent_follows_the_fields_of_each_call_on_a_kept_connection(web, provider, second):
    provider.says(WHOLE)
    second.says(WHOLE)
    told = []
    for agent in ("one", "one", "one", "two", "one"):
        for name in ("gpt", "same", "both", "both"):
            answer = web.post(
                "/v1/chat/completions",
                json={"model": name, "messages": []},
                headers={"user-agent": agent},
            )
            assert answer.content == WHOLE
        told.append({(asked.headers["user-agent"]) for asked in provider.asked + second.asked})
        lengths = [int(asked.headers["content-length"]) for asked in provider.asked]
        assert lengths == [len(asked.body) for asked in provider.asked]
        hosts = {asked.headers["host"] for asked in provider.asked}
        assert len(hosts) == 1
        assert hosts.isdisjoint(a.headers["host"] for a in second.asked)
        provider.asked.clear()
        second.asked.clear()
    assert told == [{"one"}, {"one"}, {"one"}, {"two"}, {"one"}]


def test_a_request_that_needs_no_change_is_passed_on_byte_for_byte(web, provider):
    provider.says(WHOLE)
    for body in (
        b'{ "model" : "same" , "messages":[ {"role":"user","content":"x"} ] }\n',
        b'{"model":"same","stream":true,"stream_options":{"include_usage":true} }',
    ):
        web.post("/v1/chat/completions", content=body)
        assert provider.last.body == body


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"other","model":"same"}',
        b'{"mod\\u0065l":"other","model":"same"}',
        b'{"model":"same","tools":[{"model":"other"}]}',
    ],
)
def test_the_provider_reads_no_other_model_than_the_one_that_was_checked(web, provider, body):
    provider.says(WHOLE)
    web.post("/v1/chat/completions", content=body)
    pairs = json.loads(provider.last.body, object_pairs_hook=list)
    assert [value for name, value in pairs if name == "model"] == ["same"]


def test_stream_options_of_the_client_are_kept_when_usage_is_added(web, provider):
    provider.says(STREAM, content_type="text/event-stream")
    chat(web, stream=True, stream_options={"include_obfuscation": False})
    asked = json.loads(provider.last.body)
    assert asked["stream_options"] == {"include_obfuscation": False, "include_usage": True}


@pytest.mark.parametrize("include", [True, False])
def test_a_stream_is_passed_on_byte_for_byte_but_for_the_usage_nobody_asked_for(
    web, platform, provider, include
):
    provider.says(STREAM, content_type="text/event-stream; charset=utf-8")
    answer = chat(web, stream=True, stream_options={"include_usage": include})
    assert answer.content == (STREAM if include else sse(DELTA, "[DONE]"))
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert tokens(platform.event(answer.headers["x-request-id"])) == (11, 22, 5, 6)


@pytest.mark.parametrize("include", [True, False])
def test_a_stream_cut_at_any_byte_is_the_same_to_the_client(web, platform, provider, include):
    wanted = STREAM if include else sse(DELTA, "[DONE]")
    seen = []
    for cut in range(1, len(STREAM)):
        pieces = (STREAM[:cut], STREAM[cut:])
        provider.says(*pieces, content_type="text/event-stream", pause=0.001)
        answer = chat(web, stream=True, stream_options={"include_usage": include})
        assert answer.content == wanted, cut
        seen.append(answer.headers["x-request-id"])
    for request_id in seen[-40:]:
        assert tokens(platform.event(request_id)) == (11, 22, 5, 6)


def test_a_chunk_reaches_the_client_before_the_next_one_is_sent(web, provider):
    provider.says(*[sse(DELTA)] * 4, content_type="text/event-stream", pause=0.15)
    body = {"model": "gpt", "messages": HELLO, "stream": True}
    with web.stream("POST", "/v1/chat/completions", json=body) as answer:
        times = [time.monotonic() for _ in answer.iter_raw()]
    assert len(times) == 4
    assert all(0.05 < after - before < 1 for before, after in pairwise(times))


def test_a_whole_answer_in_pieces_is_passed_on_and_accounted_for(web, platform, provider):
    provider.says(WHOLE[:10], WHOLE[10:-3], WHOLE[-3:], pause=0.02)
    answer = chat(web)
    assert answer.content == WHOLE
    event = platform.event(answer.headers["x-request-id"])
    assert tokens(event) == (11, 22, 5, 6)
    assert event.cost_micros == 248  # 27.5 + 220 = 247.5, to the even neighbour
    assert event.response_bytes == len(WHOLE)


def test_an_answer_without_usage_has_an_unknown_cost(web, platform, provider):
    provider.says(b'{"choices": []}')
    event = platform.event(chat(web).headers["x-request-id"])
    assert tokens(event) == (None, None, None, None)
    assert event.cost_micros is None


def test_a_stream_that_breaks_off_ends_with_an_error_event(web, platform, provider):
    pieces = (sse(DELTA), b'data: {"choices":[{"ind')
    provider.says(*pieces, content_type="text/event-stream", pause=0.05, abort=True)
    answer = chat(web, stream=True)
    *events, last = answer.content.decode().removesuffix("\n\n").split("\n\n")
    assert events == [f"data: {DELTA}"]
    error = json.loads(last.removeprefix("data: "))["error"]
    assert error["code"] == "upstream_broken"
    assert error["type"] == "server_error"
    event = platform.event(answer.headers["x-request-id"])
    assert (event.status, event.error_code) == (200, "upstream_broken")


def test_the_error_event_is_one_of_its_own_wherever_the_stream_breaks(web, platform, provider):
    stream = sse(DELTA, DELTA)
    ai = OpenAI(base_url=f"{platform.url}/v1", api_key=ALICE, max_retries=0)
    for cut in range(1, len(stream), 7):
        provider.says(stream[:cut], content_type="text/event-stream", pause=0.001, abort=True)
        chunks = ai.chat.completions.create(model="gpt", messages=HELLO, stream=True)
        read = []
        with pytest.raises(APIError, match="broke off") as caught:
            deque(map(read.append, chunks))
        assert caught.value.code == "upstream_broken"
        # An event counts from the end of its last line on, be the empty line missing.
        assert len(read) == sum(cut > end for end in (len(sse(DELTA)) - 2, len(stream) - 2))


def test_a_whole_answer_that_breaks_off_is_cut_off(web, platform, provider):
    provider.says(WHOLE[:10], pause=0.05, abort=True)
    with pytest.raises(httpx.RemoteProtocolError):
        chat(web)


def test_a_client_that_leaves_ends_the_call_to_the_provider(web, provider):
    pieces = [sse(DELTA)] * 200
    provider.says(*pieces, content_type="text/event-stream", pause=0.02)
    body = {"model": "gpt", "messages": HELLO, "stream": True}
    with web.stream("POST", "/v1/chat/completions", json=body) as answer:
        next(answer.iter_raw())
    assert provider.left.wait(3)


@pytest.mark.parametrize("status", [401, 403])
def test_rejected_credentials_are_the_administrators_concern(web, platform, provider, status):
    provider.says(b'{"error":{"message":"bad key sk-the-te***"}}', status=status)
    answer = chat(web)
    assert answer.status_code == 502
    error = answer.json()["error"]
    assert error["code"] == "provider_rejected_credentials"
    assert "Provider first" in error["message"]
    assert "sk-" not in answer.text
    event = platform.event(answer.headers["x-request-id"])
    assert (event.status, event.error_code) == (502, "provider_rejected_credentials")


def test_a_providers_error_keeps_status_body_and_retry_after_only(web, provider):
    body = b'{"error": {"message": "slow down", "type": "x", "extra": 1}}'
    headers = {"retry-after": "7", "x-ratelimit-remaining": "0", "set-cookie": "a=b"}
    provider.says(body, status=429, headers=headers)
    answer = chat(web)
    assert (answer.status_code, answer.content) == (429, body)
    assert answer.headers["retry-after"] == "7"
    assert "set-cookie" not in answer.headers
    assert "x-ratelimit-remaining" not in answer.headers


def test_an_error_page_becomes_an_error_in_openais_shape(web, provider):
    provider.says(b"<html>Bad Gateway</html>", status=502, content_type="text/html")
    answer = chat(web)
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "provider_error"
    assert "html" not in answer.text


def test_a_redirect_is_not_followed_or_passed_on(web, provider):
    provider.says(b"", status=302, headers={"location": "http://10.0.0.1/"})
    answer = chat(web)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_error")
    assert "location" not in answer.headers


# More than one deployment


def test_deployments_take_turns_each_with_its_own_name(web, provider, second):
    provider.says(WHOLE)
    second.says(WHOLE)
    for _ in range(4):
        assert chat(web, "both").status_code == 200
    assert [json.loads(asked.body)["model"] for asked in provider.asked] == ["real-1"] * 2
    assert [json.loads(asked.body)["model"] for asked in second.asked] == ["real-2"] * 2


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_failing_deployment_makes_way_for_the_next(web, platform, provider, second, status):
    provider.says(b'{"error":{"message":"no"}}', status=status)
    second.says(WHOLE)
    answers = [chat(web, "both") for _ in range(2)]
    for answer in answers:
        assert (answer.status_code, answer.content) == (200, WHOLE)
    event = platform.event(answer.headers["x-request-id"])
    assert (event.deployment_id, event.provider_id) == ("both-1", "second")
    attempts = sum(platform.event(one.headers["x-request-id"]).attempts for one in answers)
    assert attempts == len(provider.asked) + len(second.asked)
    assert event.cost_micros == 248


def test_a_deployment_that_asks_for_a_pause_is_used_last(web, provider, second):
    body = b'{"error":{"message":"slow down"}}'
    provider.says(body, status=429, headers={"retry-after": "60"})
    second.says(WHOLE)
    assert [chat(web, "both").status_code for _ in range(6)] == [200] * 6
    assert len(provider.asked) <= 1
    second.says(body, status=503)
    asked = len(provider.asked)
    assert chat(web, "both").status_code == 429
    assert len(provider.asked) == asked + 1, "better the one that rests than none"


def test_the_last_failure_is_passed_on_when_all_fail(web, platform, provider, second):
    provider.says(b'{"error":{"message":"first"}}', status=500)
    second.says(b'{"error":{"message":"second"}}', status=503, headers={"retry-after": "3"})
    answers = [chat(web, "both") for _ in range(2)]
    assert {answer.status_code for answer in answers} == {500, 503}
    events = [platform.event(answer.headers["x-request-id"]) for answer in answers]
    assert [event.attempts for event in events] == [2, 2]


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_request_that_is_wrong_is_not_tried_elsewhere(web, provider, second, status):
    for script in (provider, second):
        script.says(b'{"error":{"message":"wrong"}}', status=status)
    assert chat(web, "both").status_code == status
    assert len(provider.asked) + len(second.asked) == 1


def test_a_provider_that_cannot_be_reached_makes_way(web, second):
    second.says(WHOLE)
    assert [chat(web, "down-then-up").status_code for _ in range(4)] == [200] * 4


def test_no_reachable_provider_is_said_so(web, platform):
    answer = chat(web, "down")
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "upstream_unreachable"
    assert platform.event(answer.headers["x-request-id"]).attempts == 0
    for _ in range(3):
        answer = chat(web, "down")
    # By now it is left out for a while.
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "model_unavailable"


# Paths and bodies


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1", 404, "route_not_found"),
        ("GET", "/v1/", 404, "route_not_found"),
        ("POST", "/v1/completions", 404, "route_not_found"),
        ("POST", "/v1/chat/completions/more", 404, "route_not_found"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("GET", "/v1/models/a%2Fb", 404, "model_not_found"),
    ],
)
def test_other_paths_and_methods_are_refused_in_openais_shape(web, method, path, status, code):
    answer = web.request(method, path)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "code", "param"}
    assert answer.json()["error"]["code"] == code
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"", "invalid_json", None),
        (b"{", "invalid_json", None),
        (b"\xff\xfe", "invalid_json", None),
        (b'{"model":"gpt","x":' + b"[" * 100_000, "invalid_json", None),
        (b"[]", "invalid_request", None),
        (b"{}", "invalid_request", "model"),
        (b'{"model":7}', "invalid_request", "model"),
        (b'{"model":"gpt","stream":1}', "invalid_request", "stream"),
        (b'{"model":"gpt","stream_options":"x"}', "invalid_request", "stream_options"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(web, provider, body, code, param):
    answer = web.post("/v1/chat/completions", content=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == (code, param)
    assert not provider.asked


def test_the_body_limit_of_the_models_own_api_holds(web, provider):
    provider.says(WHOLE)
    long = [{"role": "user", "content": "x" * 1000}]
    assert chat(web, "small").status_code == 200
    answer = chat(web, "small", messages=long)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")
    assert chat(web, "gpt", messages=long).status_code == 200


def test_a_client_that_leaves_before_the_answer_ends_the_call(web, platform, provider):
    left = threading.Event()

    def answer(asked):
        left.wait(1.5)
        return Reply([WHOLE], pause=0.2)

    provider.answer = answer
    with pytest.raises(httpx.ReadTimeout):
        web.post("/v1/chat/completions/", json={"model": "gpt", "messages": HELLO}, timeout=0.4)
    event = platform.event_at("/v1/chat/completions/")
    left.set()
    assert (event.status, event.abandoned, event.model) == (499, True, "gpt")


def test_head_of_models_has_no_body(web):
    answer = web.head("/v1/models")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(web.get("/v1/models").content))


# Recordings of real providers

RECORDINGS = Path(__file__).resolve().parents[4] / "shared/data/provider-traffic"


def recorded(*names):
    """Recorded chat completions and embeddings of providers that speak OpenAI's format."""
    for name in names:
        path = RECORDINGS / f"{name}.jsonl.gz"
        if not path.exists():
            continue
        with gzip.open(path, "rt") as lines:
            for line in lines:
                item = json.loads(line)
                path = item["url"].partition("?")[0]
                ours = path.endswith(("/chat/completions", "/embeddings"))
                if ours and item["status"] < 300 and item.get("response_body"):
                    yield item


def reported(item):
    """The last usage that the recorded provider reported, read in the plain way."""
    body = item["response_body"]
    if item["stream"] != "sse":
        return json.loads(body).get("usage")
    chunks = [
        json.loads(line[5:])
        for line in body.splitlines()
        if line.startswith("data:") and "[DONE]" not in line
    ]
    return next((c["usage"] for c in reversed(chunks) if c.get("usage")), None)


def without_usage_chunks(body):
    """The recorded stream as a client gets it that did not ask for usage."""
    events = body.split("\n\n")
    chunks = [json.loads(e[5:]) if e.startswith("data: {") else {} for e in events]
    dropped = [bool(c.get("usage")) and not c.get("choices") for c in chunks]
    kept = [event for event, drop in zip(events, dropped, strict=True) if not drop]
    return "\n\n".join(kept)


@pytest.mark.skipif(not RECORDINGS.exists(), reason=f"no recordings at {RECORDINGS}")
@pytest.mark.parametrize("name", ["openai", "azure-openai", "groq", "deepseek", "openrouter"])
def test_recorded_exchanges_pass_unchanged_with_the_providers_own_usage(
    web, platform, provider, name
):
    usages = {}
    for item in recorded(name):
        request, body = json.loads(item["request_body"]), item["response_body"]
        streamed = item["stream"] == "sse"
        data = body.encode()
        provider.says(
            *(data[:700], data[700:]) if len(data) > 700 else (data,),
            content_type="text/event-stream" if streamed else "application/json",
        )
        embeddings = "/embeddings" in item["url"]
        request["model"] = "vectors" if embeddings else "gpt"
        path = "/v1/embeddings" if embeddings else "/v1/chat/completions"
        answer = web.post(path, json=request)

        asked = json.loads(provider.last.body)
        options = request.pop("stream_options", None) or {}
        if streamed:
            assert asked.pop("stream_options") == options | {"include_usage": True}
            if not options.get("include_usage"):
                body = without_usage_chunks(body)
        assert asked == request | {"model": f"{request['model']}-real"}
        assert answer.status_code == 200
        assert answer.text == body
        usage = reported(item)
        if usage is not None:
            missing = 0 if embeddings else None
            usages[answer.headers["x-request-id"]] = (
                usage["prompt_tokens"],
                usage.get("completion_tokens", missing),
                (usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
                (usage.get("completion_tokens_details") or {}).get("reasoning_tokens"),
            )
    assert usages
    assert {id_: tokens(event) for id_, event in platform.events(set(usages)).items()} == usages
