"""Weighted round robin, and targets that are left out for a while."""

from __future__ import annotations

from collections import Counter

from contract.snapshot import Target
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


def test_a_target_is_left_out_from_the_threshold_on_until_its_time_is_over() -> None:
    clock = Clock()
    health = Health(clock)
    health.failed("a", 2, 10)
    assert health.healthy("a")
    health.failed("a", 2, 10)
    assert not health.healthy("a")
    clock.now += 10
    assert health.healthy("a")
    health.failed("a", 2, 10)
    assert not health.healthy("a")


def test_a_success_clears_the_failures_before_it() -> None:
    health = Health()
    health.failed("a", 2, 10)
    health.succeeded("a")
    health.failed("a", 2, 10)
    assert health.healthy("a")


def test_the_turn_passes_over_targets_that_failed_or_were_tried() -> None:
    health = Health()
    balance = Balance(health)
    order = sequence([target("a"), target("b"), target("c")])
    health.failed("b", 1, 10)
    picked = [balance.pick("up", order) for _ in range(4)]
    assert {item.id for item in picked if item} == {"a", "c"}
    assert balance.pick("up", order, ("a", "c")) is None
