"""How much a worker takes on, in which order, and whose calls it refuses when that is too much.

Mutable state shared between calls: each tenant's calls that wait and that are under way. It belongs
to one worker.

In one turn of the event loop only so many calls begin as take ``TURN`` seconds, so that turns stay
short and whoever comes next is served soon. What comes on top of that waits in its tenant's queue,
and the queues are begun in turn, a call of each tenant: a tenant that asks for less than its share
finds its own queue empty, however many calls of others wait. A call that would wait for too long is
refused at once, so it is the newest calls, of those who ask for more than their share, that are.
Who asks for far more than others do, while there is much to do, is given only what leaves part of
the worker idle: they are to find it as quick as before, so their calls begin at once. To refuse
costs something too, so the more clients of a tenant are refused, the later each is told to come
back.

How long it would wait follows from how many calls are ahead of it and what a call has cost of
late. That is CPU time, which stands still while the machine does something else: a pause makes
no call look expensive, and none is refused for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from math import inf
from random import random
from time import monotonic, thread_time

TICK = 0.05
"""Seconds between two looks at what calls cost."""
TURN = 0.001
"""Seconds for which calls begin in one turn of the loop."""
FEWEST, MOST = 8, 64
"""Calls that begin in a turn, at least and at most."""
PATIENCE = 0.1
"""Seconds that a call may have to wait: a burst is served, if late."""
STRICT_PATIENCE, STRICT_SECONDS = 0.005, 2.0
"""The same for so long after a call of this tenant was refused: it is no burst."""
GREEDY = 2.0
"""So many times what tenants ask for on average is far more."""
BUSY = 0.75
"""Of its time, that a worker is to be busy at most where that is up to such a tenant."""
WATCHED = 0.6
"""Of its time, that a worker is busy where it is looked whether there is one."""
PAUSE = 0.001
"""Seconds until it is seen again whether that leaves something for who waits."""
DEBT = 0.02
"""Seconds by which the others may be ahead of it."""
ENOUGH = 20
"""Calls in a tick from which on their cost is known."""
SMOOTHING = 0.3
COMING_BACK = 200.0
"""Refused clients of a tenant that are to ask again in a second, at most."""
LONGEST = 4
"""Seconds for which they are sent away, at most."""
RISE, FALL = 0.1, 0.005
"""How far, in a tick, it is taken for more or fewer of them."""


class Share:
    """One tenant's calls."""

    __slots__ = (
        "away",
        "begun",
        "fresh",
        "full",
        "greedy_until",
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
        self.away = 0.0
        """Clients that were refused and wait until they may ask again, about."""
        self.greedy_until = 0.0
        """Loop time. It asked for far more than others did, not long ago."""

    def send_away(self) -> None:
        """Reckons, with the refusals of a tick, how many clients wait: as many as ask again in a
        second, times the seconds for which they were sent away."""
        found = self.refused / TICK * max(self.away / COMING_BACK, 1.0)
        more = min(found, COMING_BACK * LONGEST) - self.away
        self.away += more * (RISE if more > 0.0 else FALL)


class Load:
    """``most`` calls may be under way at once; one tenant may have half of them."""

    def __init__(
        self,
        most: int = 8192,
        clock: Callable[[], float] = monotonic,
        cpu: Callable[[], float] = thread_time,
    ) -> None:
        """``clock`` goes as the loop's does; ``cpu`` as this thread is busy."""
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
        self._queues: deque[Share] = deque()
        """With something in them, in the order of their turn."""
        self._greedy = False
        """Some tenant is."""
        self._fair = 0.0
        """Calls of a tenant that began in the last tick, on average."""
        self._credit = 0.0
        """Seconds of CPU that may be spent on calls of those who are held back."""
        self._at = self._ticked = 0.0
        """Times of when that was reckoned, and of the last tick."""
        self._used = 0.0
        """CPU of this thread at ``_at``."""
        self._clock, self._cpu = clock, cpu
        self._armed = self._paused = False
        """A turn is due in the next one of the loop; after ``PAUSE``."""
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

    def admit(self, tenant_id: str, now: float, begin: Callable[[], object]) -> int:
        """Begins the call once its turn comes, and returns 0. Where it is refused instead, which
        is then counted: the seconds after which to ask again. ``now``: loop time."""
        share = self.share(tenant_id)
        greedy = now < share.greedy_until
        patience = STRICT_PATIENCE if now < share.strict_until else PATIENCE
        if share.full or self._wait(share, greedy) > patience:
            share.strict_until = now + STRICT_SECONDS
            share.refused += 1
            self.refused += 1
            # Not all at the same moment again.
            return max(round(share.away / COMING_BACK * (0.5 + random())), 1)
        if not share.waiting:
            if self._left and not greedy:
                self._left -= 1
                begin()
                self.arm()
                return 0
            self._queues.append(share)
        share.waiting.append(begin)
        self.room = 0
        if not (self._paused and greedy):
            self.arm()
        return 0

    def _wait(self, share: Share, greedy: bool) -> float:
        """Seconds until a call that comes now would begin: all queues are served alike, but for
        those of whoever asks for far more."""
        waiting = len(share.waiting)
        seconds = waiting * max(len(self._queues), 1) * self.cost
        if greedy:
            return max(seconds, waiting * TICK / max(share.fresh, 1))
        return seconds

    def turn(self) -> None:
        """Once in each turn of the loop in which calls begin."""
        self._armed = False
        queues, begun = self._queues, 0
        now = self._reckon() if queues and self._greedy else inf
        left, held = self._credit, []
        while queues and begun < self.batch:
            share = queues.popleft()
            if now < share.greedy_until:
                if left < 0.0 and self._has_enough(share, now):
                    held.append(share)
                    continue
                left -= self.cost
            begin = share.waiting.popleft()
            if share.waiting:
                queues.append(share)
            begin()
            begun += 1
        queues.extend(held)
        self._open(self.batch - begun)
        if begun:
            self.arm()
        elif held and not self._paused and self._loop is not None:
            self._paused = True
            self._loop.call_later(PAUSE, self._resume)

    def _resume(self) -> None:
        self._paused = False
        if not self._armed:
            self.turn()

    def _has_enough(self, share: Share, now: float) -> bool:
        """Of what tenants have on average, which comes evenly over a tick."""
        return share.begun - share.seen >= self._fair * (now - self._ticked) / TICK

    def _reckon(self) -> float:
        """Brings up to date what may be spent on those who are held back. Returns the time."""
        now, used = self._clock(), self._cpu()
        earned = (now - self._at) * BUSY - (used - self._used)
        self._credit = min(max(self._credit + earned, -DEBT), TURN)
        self._at, self._used = now, used
        return now

    def _open(self, room: int) -> None:
        if self._queues or self._full or self._greedy:
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
        self._ticked = self._clock()
        begun = in_flight = busy = 0
        asked: dict[str, int] = {}
        for name, share in list(self.shares.items()):
            fresh, share.seen = share.begun - share.seen, share.begun
            share.fresh = fresh
            share.send_away()
            begun += fresh
            in_flight += share.in_flight
            busy += share.in_flight > 0
            if fresh or share.refused:
                asked[name] = fresh + share.refused
                share.refused = 0
            elif not share.in_flight and not share.waiting:
                del self.shares[name]
        if begun >= ENOUGH:
            self.cost += (cpu / begun - self.cost) * SMOOTHING
        self._fair = begun / max(len(asked), 1)
        self._judge(asked, cpu)
        self._bound(in_flight, busy)
        if not self._armed:
            self.batch = min(max(int(TURN / self.cost), FEWEST), MOST)
            self._open(self.batch)

    def _judge(self, asked: dict[str, int], cpu: float) -> None:
        """``asked``: calls of the last tick by tenant; ``cpu``: what it took."""
        usual = GREEDY * sum(asked.values()) / max(len(asked), 1)
        for name, calls in asked.items():
            if calls > usual and cpu > WATCHED * TICK:
                self.shares[name].greedy_until = self._ticked + STRICT_SECONDS
        self._greedy = any(self._ticked < share.greedy_until for share in self.shares.values())

    def _bound(self, in_flight: int, busy: int) -> None:
        """Refuses all calls of whoever has too many under way."""
        most = self.most // 2
        if in_flight >= self.most:
            most = min(most, self.most // max(busy, 1))
        for share in self.shares.values():
            share.full = share.in_flight >= most
        self._full = any(share.full for share in self.shares.values())
