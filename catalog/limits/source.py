"""Where usage is recorded: ``analytics.limits``, which this app may not import."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID


class Sum(NamedTuple):
    """What is added up: a limit's measure from a moment on, of cost in one currency."""

    measure: str
    since: datetime
    currency: str


class Records(Protocol):
    def used(
        self, tenant_id: UUID, since: datetime, later: datetime, open_apis: Sequence[str]
    ) -> list[Any]: ...

    def used_by_users(
        self,
        tenant_id: UUID,
        column: str,
        ids: Sequence[str],
        sums: Sequence[Sum],
        open_apis: Sequence[str],
    ) -> Iterator[tuple[str, str, str, Sequence[int]]]: ...

    def newest_entry(self) -> bytes: ...

    def recorded_up_to(self, entry: bytes) -> bool: ...


_records: list[Records] = []


def read_from(source: Records) -> None:
    """Says once, when the program starts, where the records are."""
    _records[:] = [source]


def records() -> Records:
    return _records[0]
