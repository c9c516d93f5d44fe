"""Which deployment is asked: strategies, rules, fallbacks, and what is said of it."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from ai_cast import ALICE

from proxy.ai import traits
from proxy.ai.middle import Message, Request, Text
from proxy.ai.track import Track

ANSWER = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hi"},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
}
BODY = json.dumps(ANSWER).encode()


@pytest.fixture
def both(provider, second):
    provider.says(BODY)
    second.says(BODY)
    return provider, second


def ask(web, model, text="Say hello.", headers=None, **fields):
    body = {"model": model, "messages": [{"role": "user", "content": text}], **fields}
    answer = web.post(
        "/v1/chat/completions", json=body, headers={"x-hubpo-explain": "1", **(headers or {})}
    )
    return answer


def test_the_cheapest_is_asked_and_the_reason_is_told(web, both, platform):
    first, second = both
    answers = [ask(web, "cheapest") for _ in range(3)]
    assert (len(first.asked), len(second.asked)) == (0, 3)
    assert answers[0].headers["x-hubpo-route"].startswith("Provider second (cheap): lowest cost")
    event = platform.event(answers[0].headers["x-request-id"])
    assert event.routed.startswith("lowest cost: about 0.")
    assert event.deployment_id == "cheapest-1"


def test_by_priority_the_next_is_asked_only_where_one_fails(web, both, platform):
    first, second = both
    assert ask(web, "prior").status_code == 200
    assert (len(first.asked), len(second.asked)) == (1, 0)
    first.says(b'{"error":{"message":"busy"}}', status=503)
    answer = ask(web, "prior")
    assert answer.status_code == 200
    assert platform.event(answer.headers["x-request-id"]).routed == (
        "priority 2 after Provider first 503"
    )
    assert platform.event(answer.headers["x-request-id"]).attempts == 2


def test_a_fallback_is_asked_once_all_deployments_have_failed(web, both, platform):
    first, _ = both
    answer = ask(web, "falls-back")
    assert answer.status_code == 200
    event = platform.event(answer.headers["x-request-id"])
    assert event.routed.startswith("fallback of falls-back; ")
    assert "connect" in event.routed or "Provider down" in event.routed
    assert event.model == "falls-back"
    assert json.loads(first.last.body)["model"] == "gpt-real"


LONG = {"message": "Too long.", "type": "invalid_request_error", "code": "context_length_exceeded"}


def test_a_prompt_that_is_too_long_goes_on_to_whoever_has_room_for_more(web, both, platform):
    first, second = both
    first.says(json.dumps({"error": LONG}).encode(), status=400)
    answer = ask(web, "sized")
    assert answer.status_code == 200, answer.text
    assert [json.loads(one.body)["model"] for one in second.asked] == ["roomy-real"]
    event = platform.event(answer.headers["x-request-id"])
    assert event.routed == (
        "fallback of sized; the only deployment after Provider first 400 context_length_exceeded, "
        "Provider second not asked (context of 4000 tokens)"
    )
    assert event.attempts == 2


def test_it_is_passed_on_where_nobody_has_room_for_more(web, both, platform):
    first, second = both
    first.says(json.dumps({"error": LONG}).encode(), status=400)
    for _ in range(2):
        answer = ask(web, "sized-alone")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, LONG["code"])
    assert (len(first.asked), len(second.asked)) == (2, 0), "and nobody rests for it"
    assert platform.event(answer.headers["x-request-id"]).error_code == "provider_error"


def test_whose_room_is_not_known_is_asked(web, both):
    first, second = both
    first.says(json.dumps({"error": LONG}).encode(), status=400)
    assert ask(web, "unsized").status_code == 200
    assert len(second.asked) == 1


@pytest.mark.parametrize(
    ("index", "status", "error", "goes_on"),
    [
        (0, 404, {"message": "The model `m` does not exist.", "code": "model_not_found"}, True),
        (1, 400, {"message": "The model 'm' does not exist.", "code": "model_not_found"}, True),
        (2, 404, {"message": "The deployment does not exist.", "code": "DeploymentNotFound"}, True),
        (3, 404, {"message": "model: claude-old", "type": "not_found_error"}, True),
        (4, 404, {"message": "Item with id 'rs_1' not found.", "code": None}, False),
        (5, 400, {"message": "The model takes no pictures.", "code": "invalid_value"}, False),
    ],
)
def test_a_model_that_is_gone_makes_way_for_the_next(
    web, both, platform, index, status, error, goes_on
):
    first, second = both
    first.says(json.dumps({"error": error}).encode(), status=status)
    answer = ask(web, f"gone-{index}")
    assert answer.status_code == (200 if goes_on else status)
    assert len(second.asked) == goes_on
    routed = platform.event(answer.headers["x-request-id"]).routed
    assert (f"after Provider first {status} model_not_found" in routed) == goes_on
    second.says(json.dumps({"error": error}).encode(), status=status)
    assert ask(web, f"gone-{index}").json()["error"]["message"] == error["message"]


@pytest.mark.parametrize(
    ("text", "headers", "fields", "rule"),
    [
        ("Hi", {"x-tier": "gold"}, {}, "rule 'gold'"),
        ("Hi", {}, {"metadata": {"team": "blue"}}, "rule 'blue'"),
        ("Wie geht es dir und was ist das für ein Tag?", {}, {}, "rule 'german'"),
        ("def f(x):\n    return x;\n Explain.", {}, {}, "rule 'code'"),
        ("What is the weather in Paris today?", {}, {}, "rule 'weather'"),
        ("word " * 3000, {}, {}, "rule 'long'"),
    ],
)
def test_the_first_rule_that_holds_decides(web, both, platform, text, headers, fields, rule):
    _, second = both
    answer = ask(web, "ruled", text, headers, **fields)
    assert answer.status_code == 200, answer.text
    assert platform.event(answer.headers["x-request-id"]).routed.startswith(rule)
    assert len(second.asked) == 1


def test_without_a_rule_that_holds_all_deployments_are_there(web, both):
    first, second = both
    for _ in range(4):
        assert ask(web, "ruled", "Hello there.").status_code == 200
    assert (len(first.asked), len(second.asked)) == (2, 2)


def test_only_deployments_of_the_regions_are_asked(web, both):
    first, second = both
    for _ in range(3):
        ask(web, "in-europe")
    assert (len(first.asked), len(second.asked)) == (0, 3)


def test_a_provider_that_says_nothing_is_left_is_not_asked(web, both):
    first, second = both
    first.says(
        BODY, headers={"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20s"}
    )
    for _ in range(4):
        ask(web, "limited")
    assert len(first.asked) == 1
    assert len(second.asked) == 3


def test_it_is_not_asked_either_where_deployments_take_turns(web, both, platform):
    first, second = both
    left = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20s"}
    first.says(BODY, headers=left)
    answers = [ask(web, "turns") for _ in range(5)]
    assert (len(first.asked), len(second.asked)) == (1, 4)
    assert [answer.status_code for answer in answers] == [200] * 5
    assert (
        "weighted: 1 of 2 turns; passed over: Provider first dear (its rate limit is used up)"
    ) in {platform.event(answer.headers["x-request-id"]).routed for answer in answers}
    second.says(BODY, headers=left)
    answers = [ask(web, "turns") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert (len(first.asked), len(second.asked)) == (1, 5)


def test_what_a_deployment_cannot_do_it_is_not_asked_for(web, both):
    first, second = both
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    content = [{"type": "text", "text": "What is it?"}, image]
    for _ in range(2):
        assert ask(web, "some-see", content).status_code == 200
    assert (len(first.asked), len(second.asked)) == (0, 2)


COST = round(2.5 * 9 + 10 * 3)
"""Of ANSWER's tokens at PRICES."""


@pytest.mark.parametrize(
    ("named", "cost", "saved"),
    [
        ("to-the-small", COST, 9 * 22.5 + 90 * 3),
        ("own-dearest", COST, 9 * 22.5 + 90 * 3),
        ("dear-itself", 525, -(9 * 22.5 + 90 * 3)),
        ("saves-nothing-known", COST, None),
        ("compared-with-none", COST, None),
        ("gpt", COST, None),
    ],
)
def test_a_calls_saving_is_told_where_its_model_is_compared(
    web, both, platform, named, cost, saved
):
    event = platform.event(ask(web, named).headers["x-request-id"])
    assert event.cost_micros == cost
    assert event.saved_micros == (None if saved is None else pytest.approx(saved, abs=1))


def test_a_call_that_used_nothing_saved_nothing(web, both, platform):
    both[0].says(b'{"error":{"message":"no"}}', status=400)
    event = platform.event(ask(web, "to-the-small").headers["x-request-id"])
    assert (event.status, event.cost_micros, event.saved_micros) == (400, None, None)


def test_another_tenants_model_is_no_fallback(web, both):
    answer = web.post(
        "/v1/chat/completions",
        json={"model": "charlies", "messages": []},
        headers={"authorization": f"Bearer {ALICE}"},
    )
    assert answer.status_code == 404


def request(text, **fields):
    return Request(format="chat", model="m", messages=[Message("user", [Text(text)])], **fields)


def test_easy_questions_are_less_complex_than_hard_ones():
    easy = "Hi, how are you?"
    middling = "Summarise this mail in two sentences: we meet on Tuesday at ten."
    hard = (
        "Design a rate limiter for a cluster. Compare token bucket and sliding window step by "
        "step, prove that at most n calls pass, then write the code:\n"
        "```python\ndef allow(): ...\n```"
    )
    scores = [traits.complexity(request(text), text) for text in (easy, middling, hard)]
    assert scores[0] < 10
    assert scores == sorted(scores)
    assert scores[2] >= 50


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What is the capital of the country that you are in?", "en"),
        ("Was ist die Hauptstadt und wie ist das Wetter?", "de"),
        ("Quelle est la capitale de la France et que faire dans le pays ?", "fr"),
        ("これは何ですか", "ja"),
        ("Какая сегодня погода?", "ru"),
        ("zxqv", ""),
    ],
)
def test_languages_are_told_by_script_and_common_words(text, language):
    assert traits.language(text) == language


def tokens_left(left, reset=b"1m30s"):
    return [
        (b"x-ratelimit-remaining-tokens", b"%d" % left),
        (b"x-ratelimit-limit-tokens", b"100"),
        (b"x-ratelimit-reset-tokens", reset),
    ]


def test_the_provider_is_believed_until_it_has_all_again():
    now = [100.0]
    track = Track(lambda: now[0])
    seen = track.began("d", 10)
    assert track.wait("d", 10**9) == 0
    track.answered(seen, tokens_left(10))
    assert track.wait("d", 10) == 0
    assert track.wait("d", 11) == pytest.approx(1), "a token comes back in each second"
    assert track.headroom("d") == 0.1
    now[0] += 30
    assert track.wait("d", 40) == 0
    track.began("d", 40)
    assert track.wait("d", 40) == pytest.approx(40)
    now[0] += 61
    assert (track.wait("d", 10**9), track.headroom("d")) == (0, 1)


def test_what_exceeds_the_whole_limit_needs_all_of_it():
    now = [100.0]
    track = Track(lambda: now[0])
    track.answered(track.began("d", 10), tokens_left(99))
    assert track.wait("d", 101) == pytest.approx(90)
    track.answered(track.began("d", 10), tokens_left(100))
    assert track.wait("d", 101) == 0


def test_after_a_refusal_nothing_is_expected_before_the_provider_says_so():
    now = [100.0]
    track = Track(lambda: now[0])
    seen = track.began("d", 10)
    track.answered(seen, tokens_left(10), refused=True)
    assert track.wait("d", 11) == 90
    track.answered(seen, [*tokens_left(10), (b"retry-after", b"3")], refused=True)
    assert track.wait("d", 11) == 3
    now[0] += 3
    assert track.wait("d", 11) == 0


def test_one_is_low_where_less_than_half_is_left():
    now = [100.0]
    track = Track(lambda: now[0])
    seen = track.began("d", 10)
    track.answered(seen, tokens_left(50))
    assert not track.low
    assert not track.news
    track.began("d", 10)
    assert list(track.low) == ["d"]
    track.answered(seen, tokens_left(45))
    assert [word.left for word in track.news["d"]] == [45]
    track.answered(seen, tokens_left(70))
    assert not track.low
    assert [word.left for word in track.news["d"]] == [70], "others are told of that, too"


def test_ones_own_fresh_word_goes_before_anothers():
    now = [100.0]
    track, other = Track(lambda: now[0]), Track(lambda: now[0])
    other.answered(other.began("d", 10), tokens_left(0))
    track.answered(track.began("d", 10), tokens_left(90))
    track.heard("d", other.news["d"])
    assert track.wait("d", 80) == 0
    now[0] += 0.25
    track.heard("d", other.news["d"])
    assert track.wait("d", 80) > 60
    assert track.wait("e", 80) == 0


@pytest.mark.parametrize(("after", "wait"), [(600, 12), (-5, 0)])
def test_anthropic_says_when_there_will_be_more(after, wait):
    track = Track(lambda: 100.0)
    reset = (datetime.now(UTC) + timedelta(seconds=after)).strftime("%Y-%m-%dT%H:%M:%SZ")
    track.answered(
        track.began("d", 10),
        [
            (b"anthropic-ratelimit-requests-remaining", b"0"),
            (b"anthropic-ratelimit-requests-limit", b"50"),
            (b"anthropic-ratelimit-requests-reset", reset.encode()),
        ],
    )
    assert track.wait("d", 10) == pytest.approx(wait, abs=0.1), "50 come back in 600 s"


@pytest.mark.parametrize(
    ("headers", "tokens", "output", "share"),
    [
        ({"anthropic-ratelimit-input-tokens-{}": (40, 80)}, 90, 49, 0.5),
        ({"anthropic-ratelimit-output-tokens-{}": (10, 40)}, 90, 11, 0.25),
        ({"x-ratelimit-{}-tokens-prompt": (40, 80)}, 90, 49, 0.5),
        ({"x-ratelimit-{}-tokens-generated": (10, 40)}, 90, 11, 0.25),
        ({"x-ratelimit-{}-req-minute": (0, 5)}, 1, 0, 0.0),
        ({"x-ratelimit-{}-tokens-minute": (50, 100)}, 51, 0, 0.5),
        ({"x-ratelimitbysize-{}-minute": (50, 100)}, 51, 0, 0.5),
        ({"x-ratelimitbysize-{}-month": (50, 100)}, 51, 0, 0.5),
        ({"ratelimitbysize-{}": (50, 100)}, 51, 0, 0.5),
        ({"x-ratelimit-{}-requests-day": (0, 100)}, 1, 0, 0.0),
        ({"x-ratelimit-{}-requests": (9, 9), "x-ratelimit-{}-requests-day": (0, 9)}, 1, 0, 0.0),
        ({"x-ratelimit-{}-requests": (0, 9), "x-ratelimit-{}-requests-day": (9, 9)}, 1, 0, 0.0),
    ],
)
def test_each_providers_own_names_for_its_limits_are_read(headers, tokens, output, share):
    now = [100.0]
    track = Track(lambda: now[0])
    told = []
    for name, (left, most) in headers.items():
        told += [
            (name.format("remaining").encode(), b"%d" % left),
            (name.format("limit").encode(), b"%d" % most),
            (name.format("reset").encode(), b"11.382867097854614"),
        ]
    track.answered(track.began("d", 10), told)
    assert track.wait("d", tokens, output)
    assert track.headroom("d") == share
    if tokens > 1:
        assert not track.wait("d", tokens - 1, max(0, output - (output == 11)))
    now[0] += 12
    assert not track.wait("d", tokens, output)


@pytest.mark.parametrize("unit", [1, 1000], ids=["seconds", "milliseconds"])
def test_a_limit_may_end_at_a_unix_time(unit):
    track = Track(lambda: 100.0)
    reset = b"%d" % ((time.time() + 30) * unit)
    day = [(b"x-ratelimit-remaining-requests-day", b"0"), (b"x-ratelimit-limit-requests-day", b"9")]
    track.answered(track.began("d", 10), [*day, (b"x-ratelimit-reset-requests-day", reset)])
    assert track.wait("d", 10) == pytest.approx(30, abs=2)


def test_what_is_left_of_the_day_comes_back_at_its_end_only():
    now = [100.0]
    track = Track(lambda: now[0])
    day = [(b"x-ratelimit-remaining-requests-day", b"2"), (b"x-ratelimit-limit-requests-day", b"9")]
    track.answered(track.began("d", 10), [*day, (b"x-ratelimit-reset-requests-day", b"900")])
    for _ in range(2):
        assert not track.wait("d", 10)
        track.began("d", 10)
    assert track.wait("d", 10) == 900
    now[0] += 899
    assert track.wait("d", 10) == 1


def test_a_long_answer_goes_where_the_provider_has_output_left(web, both):
    first, second = both
    left = {"anthropic-ratelimit-output-tokens-remaining": "100"}
    first.says(BODY, headers=left)
    for most in (50, 50, 500):
        assert ask(web, "meted", max_tokens=most).status_code == 200
    assert (len(first.asked), len(second.asked)) == (2, 1)


def test_what_is_no_number_says_nothing_of_a_limit():
    track = Track()
    for said in (b"", b"-1", b"many", b"9" * 5000):
        track.answered(track.began("d", 1), [(b"x-ratelimit-remaining-requests-day", said)])
    assert not track.wait("d", 10)


def test_a_limit_of_nothing_is_no_limit():
    track = Track()
    azure = [(b"x-ratelimit-remaining-tokens", b"0"), (b"x-ratelimit-limit-tokens", b"0")]
    track.answered(track.began("d", 1), azure)
    assert not track.wait("d", 10)
