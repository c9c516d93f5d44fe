"""What a worker keeps of batches, shared between calls."""

from __future__ import annotations

from asyncio import Lock, Task, get_running_loop
from collections import Counter
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from contract.secrets import Signer

if TYPE_CHECKING:
    from proxy.ai.batches.shelf import Shelf

REMEMBERED = 10_000


class State:
    """``uploads``: files that are being taken in, by tenant. ``signer`` signs the ids that clients
    see; ``shelf`` keeps files for providers that take none."""

    def __init__(self) -> None:
        self.signer: Signer | None = None
        self.shelf: Shelf | None = None
        self.uploads: Counter[str] = Counter()
        self._recorded: dict[str, None] = {}
        self._turns: WeakValueDictionary[str, Lock] = WeakValueDictionary()
        self._afterwards: set[Task[None]] = set()

    def later(self, what: Coroutine[Any, Any, None]) -> None:
        """Does what a call leaves to be done once it is over."""
        task = get_running_loop().create_task(what)
        self._afterwards.add(task)
        task.add_done_callback(self._afterwards.discard)

    def turn(self, record_id: str) -> Lock:
        """Who holds it reads that batch's answers; others wait for what comes of it."""
        turn = self._turns.get(record_id)
        if turn is None:
            turn = self._turns[record_id] = Lock()
        return turn

    def has_recorded(self, record_id: str) -> bool:
        """It need not be looked at again; that it has been recorded by another worker shows later.
        Forgetting costs time and nothing else."""
        return record_id in self._recorded

    def recorded(self, record_id: str) -> None:
        if len(self._recorded) >= REMEMBERED:
            self._recorded.clear()
        self._recorded[record_id] = None
