"""Weighted round robin, and targets that are left out for a while."""

from __future__ import annotations

from collections import Counter

from contract.snapshot import Breaker, Probe, Retries, Target
from proxy.balance import Balance, sequence
from proxy.health import Health


def target(name: str, weight: int = 1) -> Target:
    return Target(id=name, scheme="http", host="localhost", port=80, weight=weight)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_targets_get_calls_in_proportion_to_their_weights_and_well_spread() -> None:
    order = sequence([target("a", 5), target("b", 1), target("c", 1)])
    assert [item.id for item in order] == ["a", "a", "b", "a", "c", "a", "a"]


def test_weight_zero_gets_nothing_and_large_weights_stay_cheap() -> None:
    order = sequence([target("a", 0), target("b", 1_000_000), target("c", 999_999)])
    counts = Counter(item.id for item in order)
    assert set(counts) == {"b", "c"}
    assert len(order) <= 1000


THREE = [target("a"), target("b"), target("c")]
TWICE = Breaker(failures=2, seconds=10)
ONCE = Breaker(failures=1, seconds=10)
PROBE = Probe("/healthz", healthy_after=2, unhealthy_after=3)


def test_a_target_is_left_out_from_the_threshold_on_until_its_time_is_over() -> None:
    clock = Clock()
    health = Health(clock)
    health.failed("a", TWICE)
    assert health.healthy("a")
    health.failed("a", TWICE)
    assert not health.healthy("a")
    clock.now += 10
    assert health.healthy("a")
    health.failed("a", TWICE)
    assert not health.healthy("a")


def test_a_success_clears_the_failures_before_it() -> None:
    health = Health()
    health.failed("a", TWICE)
    health.succeeded("a")
    health.failed("a", TWICE)
    assert health.healthy("a")


def test_the_turn_passes_over_targets_that_failed_or_were_tried() -> None:
    health = Health()
    balance = Balance(health)
    order = sequence(THREE)
    health.failed("b", ONCE)
    picked = [balance.pick("up", order) for _ in range(4)]
    assert {item.id for item in picked if item} == {"a", "c"}
    assert balance.pick("up", order, ("a", "c")) is None


def test_one_call_is_let_through_to_see_and_its_outcome_decides_for_all() -> None:
    clock = Clock()
    health = Health(clock)
    balance = Balance(health)
    order = sequence([target("a")])
    health.failed("a", ONCE)
    assert balance.pick("up", order) is None
    clock.now += 10
    assert [balance.pick("up", order) is None for _ in range(3)] == [False, True, True]
    health.failed("a", ONCE)
    assert balance.pick("up", order) is None
    clock.now += 10
    assert balance.pick("up", order) is not None
    health.succeeded("a")
    assert [balance.pick("up", order) is None for _ in range(3)] == [False, False, False]
    assert not health.circuits


def test_a_trial_whose_outcome_never_comes_is_followed_by_another() -> None:
    clock = Clock()
    health = Health(clock)
    balance = Balance(health)
    order = sequence([target("a")])
    health.failed("a", ONCE)
    for _ in range(3):
        clock.now += 10
        assert [balance.pick("up", order) is None for _ in range(2)] == [False, True]


def test_what_was_under_way_when_a_target_was_left_out_decides_nothing() -> None:
    clock = Clock()
    health = Health(clock)
    health.failed("a", ONCE)
    clock.now += 6
    health.succeeded("a")
    assert not health.healthy("a")
    health.failed("a", ONCE)
    clock.now += 4
    assert health.healthy("a"), "the second failure has not put off the trial"


def test_a_share_of_failures_opens_the_circuit_once_there_were_enough_calls() -> None:
    clock = Clock()
    health = Health(clock)
    rule = Breaker(failures=100, seconds=10, error_percent=50, least_calls=10)
    for _ in range(4):
        health.failed("a", rule)
        health.succeeded("a")
    health.failed("a", rule)
    assert health.healthy("a"), "nine calls are too few to say"
    health.failed("a", rule)
    assert not health.healthy("a")


def test_failures_of_long_ago_are_no_share_of_the_calls_of_now() -> None:
    clock = Clock()
    health = Health(clock)
    rule = Breaker(failures=100, seconds=10, error_percent=50, least_calls=10)
    for _ in range(9):
        health.failed("a", rule)
    clock.now += 20
    health.failed("a", rule)
    assert health.healthy("a")
    clock.now += 20
    health.succeeded("a")
    assert not health.circuits, "nothing is held against it any more"


def test_probes_decide_after_as_many_in_a_row_as_their_thresholds_say() -> None:
    health = Health()
    told = []
    for well in (False, False, True, False, False, False, True, False, True, True):
        health.probed("a", PROBE, "t", well=well)
        told.append(health.healthy("a"))
    assert told == [True] * 5 + [False] * 4 + [True]
    assert not health.circuits


def test_a_target_that_nobody_probes_any_more_is_used_again() -> None:
    health = Health()
    for _ in range(3):
        health.probed("a", PROBE, "t", well=False)
    assert not health.healthy("a")
    health.unprobed("a")
    assert health.healthy("a")


def test_those_that_rest_come_last_and_are_used_all_the_same() -> None:
    clock = Clock()
    health = Health(clock)
    balance = Balance(health)
    order = sequence(THREE)
    health.rests("a", 20)
    health.rests("b", 10)
    assert {balance.pick("m", order).id for _ in range(6)} == {"c"}
    assert balance.pick("m", order, ["c"]).id == "b"
    assert balance.pick("m", order, ["b", "c"]).id == "a"
    clock.now += 10
    assert {balance.pick("m", order).id for _ in range(6)} == {"b", "c"}


def test_repeats_are_a_share_of_the_calls_with_a_few_always_allowed() -> None:
    clock = Clock()
    rule = Retries(budget_percent=20, budget_per_second=3)
    budget = Health(clock).budget("up")
    assert [budget.take(rule, clock.now) for _ in range(31)] == [True] * 30 + [False]
    budget.calls += 1000
    assert sum(budget.take(rule, clock.now) for _ in range(1000)) == 170, "200 with those before"
    clock.now += 20
    assert sum(budget.take(rule, clock.now) for _ in range(1000)) == 30


def test_calls_of_an_hour_do_not_pay_for_a_storm_of_repeats_now() -> None:
    clock = Clock()
    rule = Retries(budget_percent=20, budget_per_second=3)
    budget = Health(clock).budget("up")
    budget.calls += 360_000
    clock.now += 3600
    assert sum(budget.take(rule, clock.now) for _ in range(1000)) == 200, "of 1000 in 10 s"
