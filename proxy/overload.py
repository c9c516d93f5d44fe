"""How much a worker takes on, in which order, and whose calls it refuses when that is too much.

Mutable state shared between calls, beside ``health`` and ``limits``: each tenant's calls that wait
and that are under way. It belongs to one worker.

In one turn of the event loop only so many calls begin as take ``TURN`` seconds, so that turns stay
short and whoever comes next is served soon. What comes on top of that waits in its tenant's queue,
and the queues are begun in turn, a call of each tenant: a tenant that asks for less than its share
finds its own queue empty, however many calls of others wait. A call that would wait for too long is
refused at once, so it is the newest calls, of those who ask for more than their share, that are.
Who was refused of late and asks for far more than others do is given only what leaves part of the
worker idle: they are to find it as quick as before, so their calls begin at once.

How long it would wait follows from how many calls are ahead of it and what a call has cost of
late. That is CPU time, which stands still while the machine does something else: a pause makes
no call look expensive, and none is refused for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic, thread_time

TICK = 0.05
"""Seconds between two looks at what calls cost."""
TURN = 0.001
"""Seconds for which calls begin in one turn of the loop."""
FEWEST, MOST = 8, 64
"""Calls that begin in a turn, at least and at most."""
PATIENCE = 0.1
"""Seconds that a call may have to wait: a burst is served, if late."""
STRICT_PATIENCE, STRICT_SECONDS = 0.02, 2.0
"""The same for so long after a call of this tenant was refused: it is no burst."""
GREEDY_PATIENCE = 0.005
"""The same then for one that asks for far more than others do."""
GREEDY = 2.0
"""So many times what tenants ask for on average is far more."""
BUSY = 0.8
"""The share of its time that a worker is to be busy at most with calls of such a tenant."""
PAUSE = 0.001
"""Seconds until it is seen again whether that leaves something for who waits."""
DEBT = 0.02
"""Seconds by which the others may be ahead of it."""
ENOUGH = 20
"""Calls in a tick from which on their cost is known."""
SMOOTHING = 0.3


class Share:
    """One tenant's calls."""

    __slots__ = (
        "begun",
        "fresh",
        "full",
        "greedy",
        "in_flight",
        "refused",
        "seen",
        "strict_until",
        "waiting",
    )

    def __init__(self) -> None:
        self.begun = 0
        self.in_flight = 0
        self.waiting: deque[Callable[[], object]] = deque()
        """What begins each."""
        self.full = False
        """Too many are under way: all are refused."""
        self.strict_until = 0.0
        """Loop time."""
        self.seen = 0
        self.fresh = 0
        """Calls that began in the last tick."""
        self.refused = 0
        """Calls in this tick."""
        self.greedy = False
        """It asks for far more than others do."""


class Load:
    """``most`` calls may be under way at once; one tenant may have half of them."""

    def __init__(self, most: int = 8192, clock: Callable[[], float] = monotonic) -> None:
        """``clock`` goes as the loop's does."""
        self.most = most
        self.shares: dict[str, Share] = {}
        """By tenant id, of tenants that have called; and under ``""`` of nobody."""
        self.cost = TURN / MOST
        """Seconds of CPU that a call takes, on average over the last ticks."""
        self.batch = self.room = MOST
        """Calls that may begin in a turn, and those that still may in this one; 0 while others
        wait or some tenant is full, so that ``admit`` must be asked."""
        self.refused = 0
        """Calls, since the start."""
        self._left = 0
        """Of those, what is left for calls of tenants that ask for less than their share while
        there is no ``room``."""
        self._given = MOST
        """What ``room`` or ``_left`` began with."""
        self._queues: deque[Share] = deque()
        """With something in them, in the order of their turn."""
        self._greedy = False
        """Some tenant is."""
        self._fair = 0.0
        """Calls of a tenant that began in the last tick, on average."""
        self._credit = 0.0
        """Seconds of CPU that may be spent on calls of those who are held back."""
        self._at = 0.0
        """Time of the turn before."""
        self._clock = clock
        self._armed = False
        self._full = False
        self._spent = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def share(self, tenant_id: str) -> Share:
        return self.shares.setdefault(tenant_id, Share())

    def arm(self) -> None:
        """To be called with the first call that begins in a turn, when ``room`` is ``batch``."""
        if not self._armed and self._loop is not None:
            self._armed = True
            self._loop.call_soon(self.turn)

    def admit(self, tenant_id: str, now: float, begin: Callable[[], object]) -> bool:
        """Begins the call once its turn comes. False where it is refused instead, which is then
        counted. ``now``: loop time."""
        share = self.share(tenant_id)
        strict = now < share.strict_until
        patience = PATIENCE
        if strict:
            patience = GREEDY_PATIENCE if share.greedy else STRICT_PATIENCE
        if share.full or self._wait(share, strict) > patience:
            share.strict_until = now + STRICT_SECONDS
            share.refused += 1
            self.refused += 1
            return False
        if not share.waiting:
            if self._left and not (strict and share.greedy):
                self._left -= 1
                begin()
                self.arm()
                return True
            self._queues.append(share)
        share.waiting.append(begin)
        self.room = 0
        self.arm()
        return True

    def _wait(self, share: Share, strict: bool) -> float:
        """Seconds until a call that comes now would begin: all queues are served alike, but for
        those that are held back."""
        waiting = len(share.waiting)
        seconds = waiting * max(len(self._queues), 1) * self.cost
        if strict and share.greedy:
            return max(seconds, waiting * TICK / max(share.fresh, 1))
        return seconds

    def turn(self) -> None:
        """Once in each turn of the loop in which calls begin."""
        self._armed = False
        queues, begun = self._queues, 0
        now = self._reckon() if queues and self._greedy else None
        held = []
        while queues and begun < self.batch:
            share = queues.popleft()
            if now is not None:
                if self._credit < 0.0 and now < share.strict_until and self._has_enough(share):
                    held.append(share)
                    continue
                self._credit -= self.cost
            begin = share.waiting.popleft()
            if share.waiting:
                queues.append(share)
            begin()
            begun += 1
        queues.extend(held)
        self._open(self.batch - begun)
        if begun:
            self.arm()
        elif held and self._loop is not None:
            self._armed = True
            self._loop.call_later(PAUSE, self.turn)

    def _has_enough(self, share: Share) -> bool:
        """Of this tick: it is greedy, and what tenants had on average has begun for it too."""
        return share.greedy and share.begun - share.seen >= self._fair

    def _reckon(self) -> float:
        """Brings up to date what may be spent on those who are held back. Returns the time."""
        now = self._clock()
        direct = self._given - self.room - self._left
        earned = (now - self._at) * BUSY - direct * self.cost
        self._credit = min(max(self._credit + earned, -DEBT), TURN)
        self._at = now
        return now

    def _open(self, room: int) -> None:
        self._given = room
        if self._queues or self._full:
            self.room, self._left = 0, room
        else:
            self.room, self._left = room, 0

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._spent = thread_time()
        self._timer = self._loop.call_later(TICK, self._look)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        assert self._loop is not None
        before, self._spent = self._spent, thread_time()
        self.tick(self._spent - before)
        self._timer = self._loop.call_later(TICK, self._look)

    def tick(self, cpu: float) -> None:
        """``cpu``: seconds that the worker has spent since the last tick."""
        begun = in_flight = busy = 0
        asked: dict[str, int] = {}
        for name, share in list(self.shares.items()):
            fresh, share.seen = share.begun - share.seen, share.begun
            share.fresh = fresh
            begun += fresh
            in_flight += share.in_flight
            busy += share.in_flight > 0
            share.greedy = False
            if fresh or share.refused:
                asked[name] = fresh + share.refused
                share.refused = 0
            elif not share.in_flight and not share.waiting:
                del self.shares[name]
        if begun >= ENOUGH:
            self.cost += (cpu / begun - self.cost) * SMOOTHING
        self._fair = begun / max(len(asked), 1)
        self._judge(asked)
        self._bound(in_flight, busy)
        if not self._armed:
            self.batch = min(max(int(TURN / self.cost), FEWEST), MOST)
            self._open(self.batch)

    def _judge(self, asked: dict[str, int]) -> None:
        """``asked``: calls of the last tick by tenant."""
        usual = GREEDY * sum(asked.values()) / max(len(asked), 1)
        greedy = [name for name, calls in asked.items() if calls > usual]
        for name in greedy:
            self.shares[name].greedy = True
        self._greedy = bool(greedy)

    def _bound(self, in_flight: int, busy: int) -> None:
        """Refuses all calls of whoever has too many under way."""
        most = self.most // 2
        if in_flight >= self.most:
            most = min(most, self.most // max(busy, 1))
        for share in self.shares.values():
            share.full = share.in_flight >= most
        self._full = any(share.full for share in self.shares.values())
