"""Streams that break off after their first token, and who carries them on."""

import json

import pytest
from ai_carried import BEGIN, FIRST, REST, STREAM, ask, breaks_off, chunk, claude, events, text
from ai_servers import sse

from contract.snapshot import Prices
from proxy.ai.cost import cost_micros, sum_micros
from proxy.ai.estimate import about
from proxy.ai.middle import Usage


def test_the_next_one_carries_on_and_it_is_one_answer(web, provider, second, platform):
    breaks_off(provider, FIRST)
    second.says(REST, **STREAM)
    answer = ask(web, "carried", stream_options={"include_usage": True})
    chunks = events(answer)
    assert text(chunks) == "Roses are red, violets blue."
    assert {one["id"] for one in chunks} == {"c-1"}
    assert {one["model"] for one in chunks} == {"m"}
    assert "error" not in answer.text
    assert answer.text.count("[DONE]") == 1
    assert answer.text.count('"role"') == 1
    assert [one["choices"][0]["finish_reason"] for one in chunks if one["choices"]].count(
        "stop"
    ) == 1


def test_the_second_is_told_the_conversation_and_the_text_so_far(web, provider, second):
    breaks_off(provider, FIRST)
    second.says(REST, **STREAM)
    ask(web, "carried", max_tokens=50, temperature=0.5)
    told = json.loads(second.last.body)
    user, assistant, instruction = told["messages"]
    assert user["content"] == "A poem."
    assert (assistant["role"], assistant["content"]) == ("assistant", "Roses are red, ")
    assert instruction["role"] == "user"
    assert instruction["content"].startswith("Your answer above was cut off. Go on exactly")
    assert told["temperature"] == 0.5
    assert told["stream_options"] == {"include_usage": True}
    most = told.get("max_tokens") or told["max_completion_tokens"]
    assert most == 50 - about(b"Roses are red, ")


def test_each_ones_tokens_are_billed_once_at_its_own_prices(web, provider, second, platform):
    breaks_off(provider, FIRST)
    second.says(REST, **STREAM)
    answer = ask(web, "carried", stream_options={"include_usage": True})
    event = platform.event(answer.headers["x-request-id"])
    came_in, came_out = about(provider.last.body), about(b"Roses are red, ")
    assert came_in > 0 < came_out
    assert (event.input_tokens, event.output_tokens) == (came_in + 30, came_out + 4)
    assert event.cost_micros == round(2.5 * came_in + 10 * came_out + 25 * 30 + 100 * 4)
    all_dear = 25 * event.input_tokens + 100 * event.output_tokens
    assert event.saved_micros == all_dear - event.cost_micros
    assert event.error_code == ""
    assert event.attempts == 2
    assert event.deployment_id == "carried-1"
    assert event.routed == (
        "priority 1; passed over: Provider second other (priority 2); "
        "Provider first broke off (upstream_broken), carried on by Provider second: priority 2"
    )
    usage = events(answer)[-1]["usage"]
    assert usage["prompt_tokens"] == event.input_tokens
    assert usage["completion_tokens"] == event.output_tokens


def test_what_the_first_reported_counts_and_not_an_estimate(web, provider, second, platform):
    reported = chunk({"content": "red, "}, usage={"prompt_tokens": 11, "completion_tokens": 5})
    breaks_off(provider, sse(BEGIN, chunk({"content": "Roses are "}), reported))
    second.says(REST, **STREAM)
    event = platform.event(ask(web, "carried").headers["x-request-id"])
    assert (event.input_tokens, event.output_tokens) == (41, 9)
    assert event.cost_micros == round(2.5 * 11 + 10 * 5 + 25 * 30 + 100 * 4)


def test_who_did_not_ask_for_the_usage_is_not_told_it(web, provider, second):
    breaks_off(provider, FIRST)
    second.says(REST, **STREAM)
    answer = ask(web, "carried")
    assert text(events(answer)) == "Roses are red, violets blue."
    assert "usage" not in answer.text


def test_a_fault_in_the_stream_is_a_break_too(web, provider, second):
    overloaded = {"error": {"message": "Overloaded", "code": 503}}
    provider.says(FIRST + sse(json.dumps(overloaded)), **STREAM)
    second.says(REST, **STREAM)
    answer = ask(web, "carried")
    assert text(events(answer)) == "Roses are red, violets blue."
    assert "Overloaded" not in answer.text


def test_white_space_alone_is_no_turn_of_its_own(web, provider, second):
    breaks_off(provider, sse(BEGIN, chunk({"content": "\n\n"})))
    second.says(REST, **STREAM)
    assert text(events(ask(web, "carried"))) == "\n\n violets blue."
    assert [one["role"] for one in json.loads(second.last.body)["messages"]] == ["user"]


def test_so_is_an_end_without_the_answers_end(web, provider, second):
    provider.says(FIRST, **STREAM)
    second.says(REST, **STREAM)
    assert text(events(ask(web, "carried"))) == "Roses are red, violets blue."


def test_a_stream_that_ends_as_it_should_is_left_alone(web, provider, second, platform):
    provider.says(REST, **STREAM)
    answer = ask(web, "carried", stream_options={"include_usage": True})
    assert text(events(answer)) == " violets blue."
    assert events(answer)[-1]["usage"]["completion_tokens"] == 4
    assert second.asked == []
    event = platform.event(answer.headers["x-request-id"])
    assert (event.input_tokens, event.output_tokens, event.cost_micros) == (30, 4, 115)


CALL = {"tool_calls": [{"index": 0, "id": "t", "type": "function", "function": {"name": "f"}}]}


@pytest.mark.parametrize(
    ("said", "fields"),
    [
        ([BEGIN, chunk(CALL)], {}),
        ([BEGIN, chunk({"content": '{"a":'})], {"response_format": {"type": "json_object"}}),
        ([BEGIN, chunk({"reasoning_content": "Hm"})], {}),
        ([BEGIN, chunk({"content": "All."}), chunk({}, "stop")], {}),
        ([BEGIN, chunk({"content": "A"})], {"n": 2}),
    ],
)
def test_what_cannot_be_carried_on_ends_with_an_error(web, provider, second, said, fields):
    breaks_off(provider, sse(*said))
    second.says(REST, **STREAM)
    answer = ask(web, "carried", **fields)
    assert events(answer)[-1]["error"]["code"] == "upstream_broken"
    assert second.asked == []


def test_an_answer_that_breaks_off_twice_ends_with_an_error(web, provider, second, platform):
    breaks_off(provider, FIRST)
    breaks_off(second, sse(chunk({"content": "violets"})))
    answer = ask(web, "carried")
    *chunks, last = events(answer)
    assert text(chunks) == "Roses are red, violets"
    assert last["error"]["code"] == "upstream_broken"
    event = platform.event(answer.headers["x-request-id"])
    assert event.error_code == "upstream_broken"
    second_in, second_out = about(second.last.body), about(b"violets")
    assert event.output_tokens == about(b"Roses are red, ") + second_out
    first_in = event.input_tokens - second_in
    assert first_in == about(provider.last.body)
    assert event.cost_micros == round(
        2.5 * first_in + 10 * about(b"Roses are red, ") + 25 * second_in + 100 * second_out
    )


def test_where_nobody_goes_on_it_ends_with_an_error(web, provider, second, platform):
    breaks_off(provider, FIRST)
    second.says(b'{"error":{"message":"busy"}}', status=503)
    answer = ask(web, "carried")
    assert events(answer)[-1]["error"]["code"] == "upstream_broken"
    event = platform.event(answer.headers["x-request-id"])
    assert event.deployment_id == "carried-0"
    assert event.routed.endswith("broke off (upstream_broken), nobody carried on")
    assert event.input_tokens == about(provider.last.body)
    assert event.output_tokens == about(b"Roses are red, ")
    assert events(ask(web, "carried-alone"))[-1]["error"]["code"] == "upstream_broken"


def test_what_came_before_nobody_went_on_is_estimated(web, provider, second, platform):
    """Anthropic reports one token before it says anything."""
    breaks_off(provider, claude("Roses are ", "red, ", end=False))
    second.says(b'{"error":{"message":"busy"}}', status=503)
    answer = ask(web, "claude-carried", "/v1/messages", max_tokens=100)
    event = platform.event(answer.headers["x-request-id"])
    assert (event.error_code, event.input_tokens) == ("upstream_broken", 40)
    assert event.output_tokens == 1 + about(b"Roses are red, ")


def test_who_leaves_a_stream_that_may_be_carried_on_pays_for_what_came(web, provider, platform):
    pieces = [sse(chunk({"content": "wave"}))] * 200
    provider.says(sse(BEGIN), *pieces, pause=0.02, **STREAM)
    body = {"model": "carried", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    with web.stream("POST", "/v1/chat/completions", json=body) as answer:
        for part in answer.iter_raw():
            if b"wave" in part:
                break
    assert provider.left.wait(3)
    event = platform.event(answer.headers["x-request-id"])
    assert event.abandoned
    assert event.input_tokens
    assert event.output_tokens
    assert event.cost_micros


def test_without_the_rule_it_ends_with_an_error(web, provider, second):
    breaks_off(provider, FIRST)
    second.says(REST, **STREAM)
    answer = ask(web, "prior")
    assert events(answer)[-1]["error"]["code"] == "upstream_broken"
    assert second.asked == []


def test_costs_in_two_currencies_have_no_sum(web, provider, second, platform):
    breaks_off(provider, FIRST)
    second.says(REST, **STREAM)
    event = platform.event(ask(web, "carried-in-euros").headers["x-request-id"])
    assert event.output_tokens == about(b"Roses are red, ") + 4
    assert event.cost_micros is None


def test_the_second_may_call_a_tool(web, provider, second):
    breaks_off(provider, FIRST)
    done = {"index": 0, "function": {"arguments": "{}"}}
    second.says(
        sse(BEGIN, chunk(CALL), chunk({"tool_calls": [done]}), chunk({}, "tool_calls"), "[DONE]"),
        **STREAM,
    )
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    chunks = events(ask(web, "carried", tools=[tool]))
    assert text(chunks) == "Roses are red, "
    assert any("tool_calls" in one["choices"][0]["delta"] for one in chunks if one["choices"])


def test_a_prompts_stream_is_carried_on_too(web, provider, second, platform):
    breaks_off(provider, FIRST)
    second.says(REST, **STREAM)
    answer = web.post("/p/carried?stream=true", json={"text": "A poem."})
    deltas = [one["delta"] for one in events(answer) if "delta" in one]
    assert "".join(deltas) == "Roses are red, violets blue."
    event = platform.event(answer.headers["x-request-id"])
    assert event.output_tokens == about(b"Roses are red, ") + 4
    assert events(answer)[-1]["usage"]["output_tokens"] == event.output_tokens


def test_an_estimate_is_a_quarter_of_a_token_a_byte():
    assert about(b"") == 0
    assert about(b"four") == 1
    assert about(b"word " * 100) == 125


def test_costs_are_rounded_once():
    prices = Prices(input=400_000, output=0)
    one = Usage(1, 0)
    assert cost_micros(prices, one) == 0
    assert sum_micros((prices, one), (prices, one)) == 1
