"""What the tables hold of the load, beside what the ledger says."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields

from bench.faults.ledger import Ledger, tokens
from bench.faults.platform import Platform

_RECORDS = """
SELECT api_id::text, path, error_code, attempts,
    coalesce(input_tokens, 0), coalesce(output_tokens, 0), coalesce(cost_micros, 0)
FROM public.analytics_usagerecord WHERE api_id::text = ANY(%s)
"""
_SUMS = """
SELECT coalesce(sum(calls), 0), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0),
    coalesce(sum(cost_micros), 0)
FROM public.analytics_rollup{interval} WHERE api_id::text = ANY(%s)
"""


@dataclass
class Totals:
    """Of everything since the platform started; ``-`` gives those of a time in between.

    ``records`` are those of calls that were sent upstream. ``difference`` counts calls that
    are in the ledger and not in the tables, or the other way round, or more than once;
    ``rollups`` how far the sums of calls, tokens and cost are from the records', added up
    over minutes, hours and days. ``tokens`` is what the ledger has beyond the records.
    ``lost``: records of calls whose worker was killed; only their tokens are unknown.
    ``unsent``: those of them that never reached the upstream, which a killed worker cannot
    tell from those that did. They are not in ``records``.
    """

    answered: int = 0
    records: int = 0
    difference: int = 0
    rollups: int = 0
    tokens: int = 0
    lost: int = 0
    unsent: int = 0
    refused: int = 0
    odd: list[int] = field(default_factory=list)
    """Numbers of calls to the service that make up the difference."""

    def __sub__(self, before: Totals) -> Totals:
        names = [one.name for one in fields(self) if one.name != "odd"]
        return Totals(*(getattr(self, name) - getattr(before, name) for name in names))


def totals(platform: Platform, ledger: Ledger, apis: dict[str, str]) -> Totals:
    """``apis`` are the ids of the service's API (``rest``) and of the models' (``ai``)."""
    found, sums = Totals(answered=ledger.answered), [0, 0, 0, 0]
    asked = ledger.chat + ledger.streams
    rest: Counter[int] = Counter()
    chats = lost_chats = 0
    for api, path, code, attempts, given, made, cost in platform.ask(_RECORDS, list(apis.values())):
        sums = [a + b for a, b in zip(sums, (1, given, made, cost), strict=True)]
        if attempts == 0:
            found.refused += 1
            continue
        lost = code == "gateway_lost"
        found.lost += lost
        if api == apis["ai"]:
            chats += 1
            lost_chats += lost
        elif lost and _number(path) not in ledger.rest:
            found.unsent += 1
        else:
            rest[_number(path)] += 1
    unsent_chats = min(lost_chats, max(0, chats - asked.total()))
    found.unsent += unsent_chats
    found.records = rest.total() + chats - unsent_chats
    numbers = ledger.rest.keys() | rest.keys()
    found.difference = sum(abs(ledger.rest[number] - rest[number]) for number in numbers)
    found.difference += abs(asked.total() - chats + unsent_chats)
    found.odd = [number for number in numbers if ledger.rest[number] != rest[number]]
    found.tokens = sum(times * sum(tokens(number)) for number, times in asked.items())
    found.tokens -= sums[1] + sums[2]
    for interval in ("minute", "hour", "day"):
        (row,) = platform.ask(_SUMS.format(interval=interval), list(apis.values()))
        found.rollups += sum(abs(int(a) - b) for a, b in zip(row, sums, strict=True))
    return found


def _number(path: str) -> int:
    return int(path.rpartition("/")[2])
