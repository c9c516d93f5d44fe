"""In which order a worker begins calls and which it refuses: pure arithmetic, turn by turn."""

from __future__ import annotations

from collections import Counter

from proxy.overload import (
    BUSY,
    ENOUGH,
    FEWEST,
    LONGEST,
    MOST,
    PATIENCE,
    STRICT_PATIENCE,
    STRICT_SECONDS,
    TICK,
    TURN,
    Load,
)

COST = 0.0001


class Worker:
    """Calls cost it 0.1 ms each, so that it can begin ten in a turn of a millisecond."""

    def __init__(self, most: int = 8192) -> None:
        self.load = Load(most, lambda: self.now, lambda: self.spent)
        self.now, self.spent = 100.0, 0.0
        self.refused: Counter[str] = Counter()
        self.away: list[int] = []
        """Seconds after which those that were refused may ask again."""
        self.turns = 0
        self.waits: dict[str, list[float]] = {}
        self.begun: list[str] = []
        for _ in range(50):
            self.load.share("cost").begun += 100
            self.load.tick(100 * COST)
        assert self.load.batch == round(TURN / COST) == 10

    def ask(self, name: str) -> None:
        """What the server does with a call that has come."""
        came = self.now

        def begin() -> None:
            self.load.share(name).begun += 1
            self.spent += COST
            self.begun.append(name)
            self.waits.setdefault(name, []).append(self.now - came)

        if self.load.room:
            self.load.room -= 1
            begin()
        elif seconds := self.load.admit(name, self.now, begin):
            self.refused[name] += 1
            self.away.append(seconds)

    def turn(self, **asked: int) -> None:
        """So many calls of each come, and the loop goes on."""
        for name, calls in asked.items():
            for _ in range(calls):
                self.ask(name)
        self.now += TURN
        self.turns += 1
        if self.turns % round(TICK / TURN) == 0:
            self.load.tick(
                sum(share.begun - share.seen for share in self.load.shares.values()) * COST
            )
        self.load.turn()

    def run(self, turns: int, **asked: float) -> Counter[str]:
        """Calls a turn of each, evenly; what each had begun in the second half."""
        for turn in range(turns):
            if turn == turns // 2:
                self.begun.clear()
                self.waits.clear()
                self.refused.clear()
            self.turn(
                **{name: int((turn + 1) * each) - int(turn * each) for name, each in asked.items()}
            )
        return Counter(self.begun)


def test_nothing_waits_or_is_refused_below_capacity() -> None:
    worker = Worker()
    assert worker.run(200, a=5, b=4) == {"a": 500, "b": 400}
    assert not worker.refused
    assert max(worker.waits["a"]) == 0.0


def test_a_burst_is_served_if_late() -> None:
    worker = Worker()
    calls = int(PATIENCE / COST) - 10
    worker.turn(a=calls)
    worker.run(200, a=0)
    assert not worker.refused
    assert max(worker.waits.get("a", [0.0])) <= PATIENCE


def test_past_capacity_the_newest_are_refused_and_the_others_are_soon_begun() -> None:
    worker = Worker()
    begun = worker.run(1000, a=30)
    assert begun == {"a": 5000}, "as many as it can"
    assert worker.refused["a"] > 9000
    assert max(worker.waits["a"]) < STRICT_PATIENCE + 2 * TURN


def test_who_asks_for_less_than_its_share_has_all_of_it_at_once() -> None:
    worker = Worker()
    light = {f"t{n}": 0.5 for n in range(9)}
    begun = worker.run(1000, heavy=20, **light)
    assert {name: begun[name] for name in light} == dict.fromkeys(light, 250)
    left = BUSY * 5000 - 9 * 250
    assert 0.9 * left < begun["heavy"] < 1.1 * left, "the worker stays partly idle for the others"
    assert set(worker.refused) == {"heavy"}
    assert max(max(worker.waits[name]) for name in light) < 1.5 * TURN


def test_who_asks_for_far_more_is_held_back_before_anybody_had_to_be_refused() -> None:
    worker = Worker()
    light = {f"t{n}": 0.3 for n in range(9)}
    begun = worker.run(1000, heavy=6.5, **light)
    left = BUSY * 5000 - 9 * 150
    assert begun["heavy"] < 1.05 * left, "all of them together would keep it busy by nine tenths"
    assert {name: begun[name] for name in light} == dict.fromkeys(light, 150)


def test_while_there_is_little_to_do_no_call_is_looked_at() -> None:
    worker = Worker()
    worker.run(1000, heavy=3, a=0.5, b=0.5, c=0.5)
    assert worker.load.room == worker.load.batch
    assert not worker.refused
    assert max(worker.waits["heavy"]) == 0.0


def test_the_more_are_refused_the_later_they_may_ask_again() -> None:
    worker = Worker()
    worker.turn(a=1000)
    worker.run(round(25 / TURN), a=10.1)
    assert len(worker.away) > 1000
    assert set(worker.away[-100:]) == {1}
    worker.run(1000, a=40)
    many = worker.away[-500:]
    assert LONGEST - 0.5 < sum(many) / len(many) < LONGEST + 0.5
    assert len(set(many)) > LONGEST / 2, "not all at the same moment"
    worker.run(round(20 / TURN), a=1)
    worker.away.clear()
    worker.turn(a=2 * int(PATIENCE / COST))
    assert max(worker.away) <= 2


def test_equals_are_begun_alike() -> None:
    worker = Worker()
    begun = worker.run(1000, a=20, b=40)
    assert begun["a"] == begun["b"] == 2500


def test_when_the_load_is_gone_so_is_the_waiting() -> None:
    worker = Worker()
    worker.run(100, a=30)
    worker.run(200, a=5)
    assert not worker.refused
    assert max(worker.waits["a"]) == 0.0
    assert worker.load.room == worker.load.batch


def test_a_pause_of_the_machine_refuses_nothing() -> None:
    """Though calls waited when it began, and more have come meanwhile."""
    worker = Worker()
    worker.turn(a=30)
    worker.now += 5.0
    worker.load.tick(0.001)
    worker.turn(a=300)
    worker.run(100, a=5)
    assert not worker.refused


def test_a_burst_is_no_burst_shortly_after_a_refusal() -> None:
    worker = Worker()
    worker.turn(a=2 * int(PATIENCE / COST))
    assert worker.refused["a"] > 0
    while worker.load.room == 0:
        worker.turn()
    before = worker.refused["a"]
    worker.turn(a=300)
    assert worker.refused["a"] > before
    worker.now += STRICT_SECONDS
    while worker.load.room == 0:
        worker.turn()
    before = worker.refused["a"]
    worker.turn(a=300)
    assert worker.refused["a"] == before


def test_who_is_held_back_has_its_share_all_the_same() -> None:
    worker = Worker()
    others = {f"t{n}": 1.2 for n in range(8)}
    begun = worker.run(1000, heavy=20, **others)
    assert begun["heavy"] >= 0.8 * 5000 / 9, "though the others leave nothing of the four fifths"
    assert max(worker.waits["heavy"]) < 0.06


def test_equals_are_never_held_back_for_one_another() -> None:
    worker = Worker()
    begun = worker.run(1000, a=20, b=20, c=20)
    assert sum(begun.values()) == 5000, "as many as it can"


def test_as_many_begin_in_a_turn_as_take_a_millisecond_within_bounds() -> None:
    load = Load()
    assert load.batch == MOST
    for cost, batch in ((0.00005, 20), (0.01, FEWEST), (0.000001, MOST)):
        for _ in range(50):
            load.share("a").begun += 100
            load.tick(100 * cost)
        assert load.batch == load.room == batch
    before = load.cost
    load.share("a").begun += ENOUGH - 1
    load.tick(TICK)
    assert load.cost == before, "too few calls to say what one costs"


def test_one_tenant_has_at_most_half_of_all_calls_under_way() -> None:
    load = Load(100)
    load.share("a").in_flight = 50
    load.share("b").in_flight = 49
    load.tick(0.0)
    assert load.room == 0, "so that each call is looked at"
    assert load.admit("a", 0.0, list) == 1, "after a second it may ask again"
    assert not load.admit("b", 0.0, list)
    load.share("a").in_flight = 49
    load.turn()
    load.turn()
    load.tick(0.0)
    assert load.room == load.batch


def test_a_full_worker_refuses_those_with_more_than_their_share_under_way() -> None:
    load = Load(100)
    for name, calls in (("a", 40), ("b", 40), ("c", 20)):
        load.share(name).in_flight = calls
    load.tick(0.0)
    full = {name: share.full for name, share in load.shares.items()}
    assert full == {"a": True, "b": True, "c": False}


def test_a_tenant_that_has_stopped_calling_is_forgotten() -> None:
    load = Load(100)
    load.share("a").begun = 1
    load.tick(0.0)
    load.tick(0.0)
    assert not load.shares
