"""What a worker refuses when it cannot keep up: pure arithmetic, tick by tick."""

from __future__ import annotations

from proxy.overload import STANDING, Load


class Worker:
    """Serves at most ``capacity`` calls a tick; what it cannot serve waits and makes lag."""

    def __init__(self, capacity: int, most: int = 8192) -> None:
        self.load = Load(most)
        self.capacity = capacity
        self.waiting = 0

    def tick(self, **asked: int) -> dict[str, int]:
        """Tenants ask for so many calls; returns how many each got into the worker."""
        got = {}
        for name, calls in asked.items():
            share = self.load.share(name)
            got[name] = 0
            for _ in range(calls):
                if not self.load.refuses(name):
                    share.begun += 1
                    got[name] += 1
        self.waiting = max(0, self.waiting + sum(got.values()) - self.capacity)
        for share in self.load.shares.values():
            share.in_flight = self.waiting // len(self.load.shares)
        self.load.tick(0.05 * self.waiting / self.capacity)
        return got

    def run(self, ticks: int, **asked: int) -> dict[str, int]:
        """The sums over the second half of so many ticks."""
        results = [self.tick(**asked) for _ in range(ticks)][ticks // 2 :]
        return {name: sum(result[name] for result in results) for name in asked}


def test_nothing_is_refused_below_capacity() -> None:
    worker = Worker(1000)
    assert worker.run(40, a=900) == {"a": 18_000}
    assert worker.run(40, a=500, b=490) == {"a": 10_000, "b": 9_800}


def test_a_short_lag_refuses_nothing() -> None:
    load = Load(100)
    share = load.share("a")
    for _ in range(10):
        for lag in [0.5] * (STANDING - 1) + [0.0]:
            share.begun += 100
            load.tick(lag)
            assert share.refusing == 0.0


def test_past_capacity_what_gets_in_is_what_can_be_served() -> None:
    worker = Worker(1000)
    got = worker.run(200, a=3000)
    assert 0.85 * 100_000 < got["a"] < 1.02 * 100_000
    assert worker.waiting < 1500, "what waits is served within a few ticks"


def test_a_tenant_far_above_its_share_is_the_one_that_is_cut_back() -> None:
    worker = Worker(1000)
    light = {f"t{n}": 50 for n in range(9)}
    got = worker.run(200, heavy=1000, **light)
    assert {name: got[name] for name in light} == dict.fromkeys(light, 5000)
    assert 0.7 * 55_000 < got["heavy"] < 1.02 * 55_000
    assert worker.waiting < 300


def test_equals_are_cut_back_alike() -> None:
    worker = Worker(1000)
    got = worker.run(200, a=1000, b=1000)
    assert abs(got["a"] - got["b"]) < 0.02 * got["a"]


def test_when_the_load_is_gone_so_is_the_refusing() -> None:
    worker = Worker(1000)
    worker.run(100, a=3000)
    worker.run(100, a=500)
    assert worker.run(20, a=900) == {"a": 9_000}


def test_few_calls_are_never_refused_for_a_lag_that_other_programs_make() -> None:
    load = Load(1000)
    share = load.share("a")
    share.in_flight = 200
    for _ in range(50):
        share.begun += 200
        load.tick(1.0)
        assert share.refusing == 0.0


def test_one_tenant_has_at_most_half_of_all_calls_under_way() -> None:
    load = Load(100)
    load.share("a").in_flight = 50
    load.share("b").in_flight = 49
    load.share("a").begun = load.share("b").begun = 100
    load.tick(0.0)
    assert load.share("a").refusing == 1.0
    assert load.share("b").refusing == 0.0


def test_a_full_worker_refuses_those_with_more_than_their_share_under_way() -> None:
    load = Load(100)
    for name, calls in (("a", 40), ("b", 40), ("c", 20)):
        load.share(name).in_flight = calls
    load.tick(0.0)
    refusing = {name: share.refusing for name, share in load.shares.items()}
    assert refusing == {"a": 1.0, "b": 1.0, "c": 0.0}


def test_a_tenant_that_has_stopped_calling_is_forgotten() -> None:
    load = Load(100)
    load.share("a").begun = 1
    for _ in range(60):
        load.tick(0.0)
    assert not load.shares
