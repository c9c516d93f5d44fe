"""Each way of choosing is told in words: the reason, and what was passed over for it."""

from __future__ import annotations

import pytest
from ai_cast import ALICE, OTHER
from test_ai_choosing import BODY, ask, both
from test_ai_meaning import PARAPHRASE, UNRELATED, embeds

from proxy.ai.meaning import Meanings

__all__ = ["both"]

FIRST, SECOND = "Provider first dear", "Provider second cheap"
LONG = "word " * 200
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


@pytest.fixture
def track(platform):
    return platform.application.gateway.track


@pytest.fixture
def told(web, both, platform):
    """``told(model)``: what the record says, which the answer's head says of whom, too."""
    gateway = platform.application.gateway
    gateway.health.circuits.clear()
    gateway.track._seen.clear()
    gateway.track.low.clear()

    def call(model, text="Say hello.", key=ALICE, **fields):
        answer = ask(web, model, text, {"authorization": f"Bearer {key}"}, **fields)
        assert answer.status_code == 200, answer.text
        routed = platform.event(answer.headers["x-request-id"]).routed
        where, _, why = answer.headers["x-hubpo-route"].partition(": ")
        assert where in (
            "Provider first (dear)",
            "Provider second (cheap)",
            "Provider first (gpt-real)",
        )
        assert why == routed
        return routed

    return call


def test_one_deployment_leaves_nothing_to_choose(told):
    assert told("gpt") == "the only deployment"


def test_turns_by_weight(told):
    assert {told("turns") for _ in range(2)} == {
        f"weighted: 1 of 2 turns; passed over: {other} (1 of 2 turns)" for other in (FIRST, SECOND)
    }


def test_priority(told):
    assert told("prior") == f"priority 1; passed over: {SECOND} (priority 2)"


def test_what_failed_is_passed_over_for_a_while(told, both):
    both[0].says(b"{}", status=503)
    assert told("prior") == "priority 2 after Provider first 503"
    assert told("prior") == (
        f"priority 2; passed over: {FIRST} (priority 1, resting after a failure)"
    )
    assert told("turns").startswith("weighted: 1 of 2 turns")


def test_where_turns_are_taken_too(told, both):
    both[0].says(b"{}", status=503)
    assert {told("turns") for _ in range(2)} >= {"weighted: 1 of 2 turns after Provider first 503"}
    assert told("turns") == (
        f"weighted: 1 of 2 turns; passed over: {FIRST} (1 of 2 turns, resting after a failure)"
    )


def test_lowest_cost(told):
    said = told("cheapest")
    assert said.startswith("lowest cost: about 0.00000")
    assert f"; passed over: {FIRST} (about 0.0" in said
    assert said.endswith(" USD)")


@pytest.mark.parametrize(
    ("model", "slow", "quick", "figures"),
    [
        ("quick", (0.5, None), (0.02, None), ("first token in 20 ms", "first token in 500 ms")),
        ("writes", (0.5, 10), (0.5, 90), ("90 tokens a second", "10 tokens a second")),
    ],
)
def test_lowest_latency(told, track, model, slow, quick, figures):
    track.of(f"alice:{model}-0").timed(*slow)
    track.of(f"alice:{model}-1").timed(*quick)
    assert told(model) == f"lowest latency: {figures[0]}; passed over: {FIRST} ({figures[1]})"
    track.of(f"alice:{model}-0").timed(0.0, 1000)
    track._seen.clear()
    said = told(model)
    assert said.startswith("lowest latency, in turn within 10 %: not yet seen; passed over: ")
    assert said.endswith(" (not yet seen)")


def test_one_that_is_tried_to_see_how_quick_it_is(told, track):
    track.of("alice:explores-0").timed(0.02, None)
    track.of("alice:explores-1").timed(0.5, None)
    assert {told("explores").partition(": ")[0] for _ in range(2)} == {
        "lowest latency, tried to see how quick it is"
    }


def test_least_busy(told, track):
    track.of("alice:idle-0").in_flight = 3
    assert told("idle") == f"least busy: 0 under way; passed over: {FIRST} (3 under way)"


def left(requests):
    return {
        "x-ratelimit-remaining-requests": f"{requests}",
        "x-ratelimit-limit-requests": "100",
        "x-ratelimit-reset-requests": "1h0m0s",
    }


def test_the_most_left_under_the_providers_limits(told, both):
    both[0].says(BODY, headers=left(20))
    both[1].says(BODY, headers=left(90))
    while "100%" in told("room"):
        pass
    assert told("room") == f"headroom: 90% left; passed over: {FIRST} (20% left)"


def test_a_declared_limit_that_is_used_up(told):
    assert told("metered") == f"priority 0; passed over: {FIRST} (priority 1)"
    assert told("metered") == (
        "priority 1 after Provider second not asked (its rate limit is used up)"
    )


def test_a_limit_that_the_provider_says_is_used_up(told, both):
    both[0].says(BODY, headers=left(0))
    assert told("prior").startswith("priority 1; ")
    assert told("prior") == (
        f"priority 2; passed over: {FIRST} (priority 1, its rate limit is used up)"
    )


def test_abilities(told):
    assert told("some-see", ["What is it?", IMAGE][1:]) == (
        f"the only one that fits; passed over: {FIRST} (lacks vision)"
    )


def test_the_length_of_the_context(told):
    said = told("short", LONG)
    assert said.startswith(f"the only one that fits; passed over: {SECOND} (context of 100 tokens")


def test_region(told):
    assert told("in-europe") == (
        f"the only one that fits; passed over: {FIRST} (in no region, not in EU)"
    )


def test_a_model_of_which_none_fits(told):
    assert told("nowhere") == (
        f"fallback of nowhere, of which none fits ({FIRST}: in no region, not in EU or US); "
        "the only deployment"
    )


@pytest.mark.parametrize(
    ("text", "fields", "rule"),
    [
        ("Hi", {"headers": {"x-tier": "gold"}}, "'gold' (header x-tier)"),
        ("Hi", {"metadata": {"team": "blue"}}, "'blue' (metadata team)"),
        ("Wie geht es dir und was ist das für ein Tag?", {}, "'german' (language de)"),
        ("def f(x):\n    return x;\n Explain.", {}, "'code' (code)"),
        ("What is the weather in Paris today?", {}, "'weather' (83 % alike)"),
        ("word " * 3000, {}, "'long' (prompt estimated at 75"),
    ],
)
def test_rules(web, both, platform, text, fields, rule):
    answer = ask(web, "ruled", text, **fields)
    said = platform.event(answer.headers["x-request-id"]).routed
    assert said.startswith(f"rule {rule}")
    assert f"; the only one that fits; passed over: {FIRST} (not named by the rule)" in said
    assert ("rules of ruled that did not hold: gold" in said) == ("'gold'" not in rule)
    assert answer.headers["x-hubpo-route"].endswith(said)


def test_no_rule_that_holds(told):
    said = told("ruled", "Hello there.")
    assert said.startswith("weighted: 1 of 2 turns; passed over: ")
    assert said.endswith(
        "; rules of ruled that did not hold: gold, blue, long, german, code and 1 more"
    )


def test_rules_on_applications_streams_and_what_is_not(told):
    assert told("by-rules") == (
        f"rule 'ours' (application App); the only one that fits; passed over: {SECOND} "
        "(not named by the rule); rules of by-rules that did not hold: lang, same app, other, "
        "hard, streams"
    )
    assert told("by-rules", key=OTHER).startswith("rule 'other' (application Other); ")
    french = "Quelle est la capitale de la France et que faire dans le pays ?"
    assert told("by-rules", french).startswith("rule 'lang' (language fr); ")


def test_complexity_and_what_it_saved(told, web, platform):
    said = told("to-the-small")
    assert said.startswith("rule 'easy' (complexity ")
    assert said.endswith(") asks gpt in place of to-the-small; the only deployment")
    event = platform.event(ask(web, "to-the-small").headers["x-request-id"])
    assert event.saved_micros > 0


def test_likeness_in_meaning(told, third, platform):
    platform.application.gateway.meanings = Meanings()
    third.answer = embeds
    assert told("meant", PARAPHRASE) == (
        "meant by third-embedder; rule 'weather' (100 % alike); the only one that fits; "
        f"passed over: {FIRST} (not named by the rule)"
    )
    said = told("meant", UNRELATED)
    assert said.startswith("meant by third-embedder; weighted: 1 of 2 turns; passed over: ")
    assert "; rules of meant that did not hold: weather (" in said
