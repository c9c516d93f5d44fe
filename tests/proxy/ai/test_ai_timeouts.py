"""Providers that do not begin to answer in time make way, and the client sees none of it."""

from __future__ import annotations

import time
from itertools import count

import httpx
import pytest
from ai_carried import FIRST, REST, STREAM, events, text
from ai_cast import model
from ai_servers import Reply
from msgspec.structs import replace
from test_ai_choosing import BODY
from test_ai_provider_limits import PAT, tenant

from contract.routing import Priority, Routing
from contract.snapshot import Timeouts

LATE = 1.5
IMPATIENT = Timeouts(first_byte=0.3, idle=0.3)
_names = count(1)


@pytest.fixture
def late(platform, providers):
    """``late(timeouts)``: how to ask a model with two deployments, at providers that have these.
    ``fallback``: the second is its fallback's."""
    urls = {name: url for name, (url, _) in providers.items()}
    with httpx.Client(
        base_url=platform.url, headers={"authorization": f"Bearer {PAT}"}, timeout=20
    ) as client:

        def serve(timeouts=IMPATIENT, *, fallback=False, on_break="error", **limits):
            name = f"late-{next(_names)}"
            other = model(f"{name}-other", ("second", "other"))
            routing = Routing(
                strategy=Priority(), on_break=on_break, fallbacks=(other.id,) if fallback else ()
            )
            both = [("first", "real"), ("second", "real")]
            asked = model(name, *both[: 1 if fallback else 2], routing=routing)
            first, *others = asked.deployments
            others = [replace(one, priority=2) for one in others]
            asked = replace(asked, deployments=(replace(first, **limits), *others))
            snapshot = tenant("pat", urls, (asked, other))
            given = tuple(replace(one, timeouts=timeouts) for one in snapshot.providers)
            platform.publish(replace(snapshot, providers=given))

            def ask(**fields):
                body = {"model": name, "messages": [{"role": "user", "content": "Hi"}], **fields}
                return client.post("/v1/chat/completions", json=body)

            ask.deployment = first.id
            return ask

        yield serve


def stalls(script, seconds=LATE):
    """Nothing comes, not even the head."""

    def answer(asked):
        time.sleep(seconds)
        return Reply([BODY])

    script.answer = answer


def stalls_after_the_head(script):
    script.says(REST, pause=LATE, **STREAM)


@pytest.mark.parametrize("fallback", [False, True])
@pytest.mark.parametrize("stall", [stalls, stalls_after_the_head])
def test_who_does_not_begin_in_time_makes_way(late, provider, second, platform, stall, fallback):
    ask = late(fallback=fallback)
    stall(provider)
    second.says(REST, **STREAM)
    answer = ask(stream=True)
    assert answer.status_code == 200
    assert text(events(answer)) == " violets blue."
    event = platform.event(answer.headers["x-request-id"])
    assert " after Provider first upstream_timeout" in event.routed
    assert event.attempts == 2
    assert event.error_code == ""


def test_so_it_is_for_whole_answers(late, provider, second, platform):
    ask = late()
    stalls(provider)
    second.says(BODY)
    answer = ask()
    assert (answer.status_code, answer.content) == (200, BODY)
    assert platform.event(answer.headers["x-request-id"]).attempts == 2


def test_who_is_late_several_times_in_a_row_is_left_out(late, provider, second, platform):
    ask = late(fallback=True)
    stalls(provider)
    second.says(BODY)
    health = platform.application.gateway.health
    for _ in range(3):
        assert health.healthy(ask.deployment)
        assert ask().status_code == 200
    assert not health.healthy(ask.deployment)


def test_where_all_are_late_the_client_is_told_so(late, provider, second, platform):
    ask = late()
    stalls(provider)
    stalls(second)
    answer = ask()
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "upstream_timeout")
    event = platform.event(answer.headers["x-request-id"])
    assert event.routed == "priority 2 after Provider first upstream_timeout"
    assert (event.attempts, event.error_code) == (2, "upstream_timeout")


def test_declared_limits_count_what_a_late_one_may_have_used(late, provider, second, platform):
    ask = late(tokens_per_minute=1000)
    stalls(provider)
    second.says(BODY)
    for routed in (
        "after Provider first upstream_timeout",
        "not asked (its rate limit is used up)",
    ):
        answer = ask(max_tokens=900)
        assert answer.status_code == 200
        assert routed in platform.event(answer.headers["x-request-id"]).routed


def test_nobody_is_asked_once_the_time_for_all_is_up(late, provider, second, platform):
    ask = late(Timeouts(total=0.3))
    stalls(provider)
    answer = ask()
    assert answer.status_code == 504
    assert not second.asked
    event = platform.event(answer.headers["x-request-id"])
    assert (event.attempts, event.error_code) == (1, "upstream_timeout")
    assert ask.deployment not in platform.application.gateway.health.circuits


def test_the_next_has_what_is_left_of_it(late, provider, second):
    ask = late(Timeouts(first_byte=0.3, total=1.0))
    stalls(provider)
    stalls(second)
    assert ask().status_code == 504
    assert len(second.asked) == 1


def test_nor_does_anybody_carry_a_stream_on(late, provider, second):
    ask = late(Timeouts(total=0.5), on_break="continue")
    provider.says(FIRST, *[b": waits\n\n"] * 6, pause=0.2, **STREAM)
    answer = ask(stream=True)
    assert text(events(answer)[:2]) == "Roses are "
    assert "error" in answer.text
    assert not second.asked
