"""Which targets are left out for now, and whose turn is next.

Mutable state shared between calls, one of the two places that have any (the other is
``limits``). It belongs to one worker and starts empty; a lost mark costs a failed
connection attempt, never a wrong answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from time import monotonic


class Health:
    """Marks by target id, and turns by upstream id."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failures: Counter[str] = Counter()
        self._out_until: dict[str, float] = {}
        self._turns: Counter[str] = Counter()

    def healthy(self, target_id: str) -> bool:
        """False while a target is left out."""
        until = self._out_until.get(target_id)
        return until is None or until <= self._clock()

    def failed(self, target_id: str, threshold: int, seconds: float) -> None:
        """One more failure in a row; from ``threshold`` on it is left out for ``seconds``.

        After that time it is tried again, and the next failure leaves it out anew.
        """
        self._failures[target_id] += 1
        if self._failures[target_id] >= threshold:
            self._out_until[target_id] = self._clock() + seconds

    def succeeded(self, target_id: str) -> None:
        if target_id in self._failures:
            del self._failures[target_id]
            self._out_until.pop(target_id, None)

    def turn(self, upstream_id: str) -> int:
        """0, 1, 2 ... for the calls to one upstream."""
        turn = self._turns[upstream_id]
        self._turns[upstream_id] = turn + 1
        return turn
