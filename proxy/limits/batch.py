"""Gathers checks, and has Valkey decide all of them in one script call.

All checks asked for in one turn of the event loop, or while enough calls are on their
way, travel together. Checks of the same limits are merged: so many are wanted, the script
says how many it grants.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from math import inf

from msgspec import Struct

from proxy.limits.books import Books
from proxy.limits.held import Held
from proxy.limits.items import Counter, Limits, Verdict
from proxy.limits.link import Link, heed
from proxy.limits.scripts import TAKE, number
from proxy.limits.shares import Shares
from proxy.valkey import Redirected, word

IN_FLIGHT = 2
"""Calls on their way at once. Checks that come meanwhile are gathered for the next."""

Answer = asyncio.Future[Verdict | None]


class Group(Struct, eq=False):
    """Checks of the same limits for the same units.

    ``held`` are those of ``waiting``, in the same order; empty where all units are spent at
    once.
    """

    limits: Limits
    waiting: list[Answer]
    held: list[Held]
    counters: tuple[Counter, ...] = ()
    until: float = 0.0
    """By the loop's clock, how long a node's word that the keys are elsewhere is followed."""


class Batch:
    def __init__(
        self,
        worker: str,
        link: Link,
        books: Books,
        shares: Shares,
        elsewhere: Callable[[list[Group], Redirected], None] | None,
    ) -> None:
        """``elsewhere`` takes the groups of a tenant whose keys are not here, in a cluster; there
        tenants may not share a script call. None: on a single server.
        """
        self._worker = word(worker)
        self._link = link
        self._books = books
        self._shares = shares
        self._elsewhere = elsewhere
        self._loop = asyncio.get_running_loop()
        self._merged: dict[Limits, Group] = {}
        self._single: list[Group] = []
        self._flying = 0

    def add(self, limits: Limits) -> Answer:
        """Asks for one call under plain limits."""
        answer = self._begin()
        group = self._merged.get(limits)
        if group is None:
            self._merged[limits] = Group(limits, [answer], [])
        else:
            group.waiting.append(answer)
        return answer

    def add_held(self, held: Held, *, alike: bool) -> Answer:
        """Asks for units to be held. ``alike``: they are the same for all calls of the limits."""
        answer = self._begin()
        if not alike:
            self._single.append(Group(held.limits, [answer], [held]))
            return answer
        group = self._merged.get(held.limits)
        if group is None:
            self._merged[held.limits] = Group(held.limits, [answer], [held])
        else:
            group.waiting.append(answer)
            group.held.append(held)
        return answer

    def _begin(self) -> Answer:
        if not self._merged and not self._single and self._flying < IN_FLIGHT:
            self._loop.call_soon(self.flush)
        return self._loop.create_future()

    def put(self, groups: list[Group], *, asking: bool = False) -> None:
        """Takes checks over from another node. ``asking``: it will have their keys soon."""
        if asking:
            self._send(groups, asking=True)
            return
        if not self._merged and not self._single and self._flying < IN_FLIGHT:
            self._loop.call_soon(self.flush)
        self._single += groups

    def flush(self) -> None:
        groups: list[Group] = [*self._merged.values(), *self._single]
        self._merged, self._single = {}, []
        if not groups:
            return
        if not self._link.usable:
            give_up(groups)
            return
        if self._elsewhere is None:
            self._send(groups)
            return
        tenants: dict[str, list[Group]] = {}
        for group in groups:
            tenants.setdefault(group.limits.tenant_id, []).append(group)
        for some in tenants.values():
            self._send(some)

    def _send(self, groups: list[Group], *, asking: bool = False) -> None:
        keys: list[bytes] = []
        arguments = [self._worker]
        key_count, words = 0, 1
        for group in groups:
            limits = group.limits
            if limits.until != inf:
                limits.resolve(self._link.now())
            keys.append(limits.keys)
            key_count += limits.key_count
            if group.held:
                words += self._ask_held(group, arguments)
                continue
            words += 2 + 3 * limits.key_count
            calls = len(group.waiting)
            if calls == 1:
                arguments.append(limits.once)
            else:
                arguments += (number(calls), limits.plain_words)
        self._flying += 1
        if asking:
            self._link.ask("ASKING").add_done_callback(heed)
        packed = b"".join(keys), b"".join(arguments)
        call = self._link.send(TAKE.command(key_count + words, key_count, *packed))
        call.add_done_callback(lambda done: self._answered(done, groups))

    def _ask_held(self, group: Group, arguments: list[bytes]) -> int:
        """How many words were added."""
        limits = group.limits
        group.counters = limits.counters
        units = group.held[0].units
        shares = self._shares.of(limits, group.counters) if limits.leased else ()
        arguments += (number(len(group.waiting)), number(len(limits.items)))
        words = 2 + 3 * len(limits.items)
        for index, (item, head) in enumerate(zip(limits.items, limits.heads, strict=True)):
            arguments.append(head)
            if item.measure == "calls" and not shares:
                continue
            unit, wanted = units[index], -1
            if shares:
                wanted = shares[index].wanted(unit)
                shares[index].report(self._books)
                unit = -1 if item.measure == "calls" else unit
            arguments += (number(unit), number(wanted))
            words += 2
        return words

    def _answered(self, done: asyncio.Future[list[list[int]]], groups: list[Group]) -> None:
        self._flying -= 1
        if self._merged or self._single:
            self._loop.call_soon(self.flush)
        error = done.exception()
        if isinstance(error, Redirected) and self._elsewhere is not None:
            self._elsewhere(groups, error)
            return
        if error is not None:
            self._doubt(groups)
            give_up(groups)
            return
        for group, (granted, tight, wait, *remaining) in zip(groups, done.result(), strict=True):
            if group.held:
                drawn = remaining[len(group.counters) :]
                remaining = remaining[: len(group.counters)]
                if granted:
                    self._hold(group, granted, remaining, drawn)
            waiting = group.waiting
            if granted < len(waiting):
                _tell(waiting[granted:], Verdict(False, remaining, tight - 1, wait))
                waiting = waiting[:granted]
            _tell(waiting, Verdict(True, remaining))

    def _doubt(self, groups: list[Group]) -> None:
        """The answer is lost, and with it whether anything is held."""
        for group in groups:
            if group.held:
                for counter in group.counters:
                    self._books.doubt(counter)

    def _hold(self, group: Group, granted: int, left: list[int], drawn: list[int]) -> None:
        """Notes what the script now holds for ``granted`` calls, and for their shares."""
        limits, counters = group.limits, group.counters
        shares = self._shares.of(limits, counters) if limits.leased else ()
        for index, unit in enumerate(group.held[0].units):
            taken = 0 if limits.items[index].measure == "calls" else granted * unit
            if shares:
                shares[index].draw(drawn[index], left[index])
                shares[index].lend(taken)
                taken += drawn[index]
            if taken:
                self._books.add(counters[index], taken)
        for held in group.held[:granted]:
            held.granted(self._books, counters, shares)


def _tell(waiting: Iterable[Answer], verdict: Verdict | None) -> None:
    for answer in waiting:
        if not answer.done():
            answer.set_result(verdict)


def give_up(groups: Iterable[Group]) -> None:
    """Nothing can be said of these: Valkey is away."""
    for group in groups:
        _tell(group.waiting, None)
