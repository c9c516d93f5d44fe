"""Which targets are left out for now, whose turn is next, and how much may be tried again.

Mutable state shared between calls. It belongs to one worker and starts empty; a lost mark costs
a failed attempt, never a wrong answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from time import monotonic

from contract.snapshot import Breaker, Probe, Retries

WINDOW = 10.0
"""Seconds over which calls, failures and retries are compared, give or take a half."""
MOST_UPSTREAMS = 10_000
"""Whose turns and budgets are known at once. Past that they begin anew: of those that are gone
nobody tells."""


class Window:
    """Calls, and some of them (``hits``), in the last five to ten seconds."""

    __slots__ = ("_before", "_began", "_now")

    def __init__(self, now: float) -> None:
        self._began = now
        self._now = self._before = (0, 0)

    def add(self, now: float, calls: int, hits: int) -> tuple[int, int]:
        """The sums with these added."""
        passed = now - self._began
        if passed >= WINDOW / 2:
            self._before = self._now if passed < WINDOW else (0, 0)
            self._now = (0, 0)
            self._began = now
        self._now = (self._now[0] + calls, self._now[1] + hits)
        return self._now[0] + self._before[0], self._now[1] + self._before[1]


class RetryBudget:
    """How many attempts of one upstream's calls may be repeats."""

    __slots__ = ("_at", "_counted", "_window", "calls", "repeats")

    def __init__(self, now: float) -> None:
        self.calls = 0
        """Counted up by whoever makes them."""
        self.repeats = 0
        """Those that were allowed, ever."""
        self._counted = 0
        self._at = now
        self._window = Window(now)

    def take(self, rule: Retries, now: float) -> bool:
        """Whether one more repeat may be sent, which is then counted."""
        passed, fresh = now - self._at, self.calls - self._counted
        if passed > WINDOW:
            fresh = int(fresh * WINDOW / passed)
        self._at, self._counted = now, self.calls
        calls, repeats = self._window.add(now, fresh, 0)
        allowed = max(calls * rule.budget_percent // 100, int(rule.budget_per_second * WINDOW))
        if repeats >= allowed:
            return False
        self._window.add(now, 0, 1)
        self.repeats += 1
        return True


class Circuit:
    """What is held against one target.

    Closed: calls go there. Open: none does before ``until``. Then half-open: one call goes
    there, and another only after as long again unless the outcome of the first decides before.
    Besides, probes may say that it is ``down``, and it may want to rest (``rests_until``),
    which others do for it as long as there are any.
    """

    __slots__ = (
        "down",
        "errors",
        "failures",
        "open",
        "owner",
        "probes",
        "rests_until",
        "seconds",
        "trial",
        "until",
        "window",
    )

    def __init__(self, owner: str, now: float) -> None:
        self.owner = owner
        """The id of its tenant."""
        self.open = False
        self.trial = False
        self.until = 0.0
        self.seconds = 0.0
        self.failures = 0
        """In a row."""
        self.window = Window(now)
        self.errors = 0
        """In the window, when it was looked at last."""
        self.rests_until = 0.0
        self.down = False
        self.probes = 0
        """In a row that say otherwise than ``down`` does."""

    def state(self, now: float) -> str:
        """One of ``down``, ``open``, ``half-open``, ``resting``, ``failing`` and ``healthy``."""
        if self.down:
            return "down"
        if self.open:
            return "half-open" if self.trial or self.until <= now else "open"
        if self.rests_until > now:
            return "resting"
        return "failing" if self.failures or self.probes else "healthy"

    def admits(self, now: float) -> bool:
        """Whether a call may go there now; the caller then makes it."""
        if self.down or self.until > now:
            return False
        if self.open:
            self.trial = True
            self.until = now + self.seconds
        return True

    def failed(self, rule: Breaker, now: float) -> None:
        if self.open and not self.trial and now < self.until:
            return  # One that was under way when it was opened.
        self.failures += 1
        calls, self.errors = self.window.add(now, 1, 1)
        often = rule.error_percent and calls >= rule.least_calls
        if (
            self.open
            or self.failures >= rule.failures
            or (often and self.errors * 100 >= rule.error_percent * calls)
        ):
            self.open, self.trial = True, False
            self.seconds = rule.seconds
            self.until = now + rule.seconds

    def succeeded(self, now: float) -> None:
        if self.open and not self.trial and now < self.until:
            return
        if self.open:
            self.open = self.trial = False
            self.until = 0.0
            self.window = Window(now)
        self.failures = 0
        _, self.errors = self.window.add(now, 1, 0)

    def probed(self, rule: Probe, *, well: bool) -> None:
        if well is not self.down:
            self.probes = 0
            return
        self.probes += 1
        if self.probes >= (rule.healthy_after if self.down else rule.unhealthy_after):
            self.down, self.probes = not self.down, 0

    def spotless(self, now: float) -> bool:
        """Nothing is held against it any more."""
        return (
            not self.open
            and not self.down
            and not self.failures
            and not self.errors
            and not self.probes
            and self.rests_until <= now
        )


class Health:
    """Circuits by target id, and turns and retry budgets by upstream."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.clock = clock
        self.circuits: dict[str, Circuit] = {}
        """Only of targets that something is held against."""
        self._turns: Counter[str] = Counter()
        self.budgets: dict[str, RetryBudget] = {}
        """By tenant id and upstream id, with a colon between."""

    def healthy(self, target_id: str) -> bool:
        """False while a target is left out."""
        circuit = self.circuits.get(target_id)
        return circuit is None or not (circuit.down or circuit.until > self.clock())

    def failed(self, target_id: str, rule: Breaker, owner: str = "") -> None:
        """A call that the rule takes for a failure; ``owner`` is the tenant's id."""
        self._circuit(target_id, owner).failed(rule, self.clock())

    def succeeded(self, target_id: str) -> None:
        circuit = self.circuits.get(target_id)
        if circuit is not None:
            now = self.clock()
            circuit.succeeded(now)
            self._clear(target_id, circuit, now)

    def rests(self, target_id: str, seconds: float, owner: str = "") -> None:
        """It has asked for a pause: others go first for so long."""
        self._circuit(target_id, owner).rests_until = self.clock() + seconds

    def probed(self, target_id: str, rule: Probe, owner: str, *, well: bool) -> None:
        if well and target_id not in self.circuits:
            return
        circuit = self._circuit(target_id, owner)
        circuit.probed(rule, well=well)
        self._clear(target_id, circuit, self.clock())

    def unprobed(self, target_id: str) -> None:
        """Nobody looks any more, so what the last probes said is forgotten."""
        circuit = self.circuits.get(target_id)
        if circuit is not None:
            circuit.down, circuit.probes = False, 0
            self._clear(target_id, circuit, self.clock())

    def turn(self, upstream_id: str) -> int:
        """0, 1, 2 ... for the calls to one upstream."""
        turn = self._turns[upstream_id]
        if not turn and len(self._turns) >= MOST_UPSTREAMS:
            self._turns.clear()
        self._turns[upstream_id] = turn + 1
        return turn

    def budget(self, upstream: str) -> RetryBudget:
        budget = self.budgets.get(upstream)
        if budget is None:
            if len(self.budgets) >= MOST_UPSTREAMS:
                self.budgets.clear()
            budget = self.budgets[upstream] = RetryBudget(self.clock())
        return budget

    def _circuit(self, target_id: str, owner: str) -> Circuit:
        circuit = self.circuits.get(target_id)
        if circuit is None:
            circuit = self.circuits[target_id] = Circuit(owner, self.clock())
        return circuit

    def _clear(self, target_id: str, circuit: Circuit, now: float) -> None:
        if circuit.spotless(now):
            del self.circuits[target_id]
