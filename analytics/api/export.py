"""Records as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection

from analytics.api.answers import PLAIN
from analytics.models import UsageRecord
from analytics.names import KINDS, Names, names_in
from tenants.models import Tenant

HEADER = (*PLAIN, *(f"{kind}{end}" for kind in KINDS for end in ("_id", "")))
"""A record's own fields, then the id and the name of each thing it refers to."""

_RISKY = ("=", "+", "-", "@", "\t", "\r", "\n")


def cell(value: Any) -> Any:
    """A value for a cell. A text that a spreadsheet would run as a formula gets a ' before it."""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_RISKY) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat()
    return value  # None is written as an empty cell


def lines(rows: Iterable[Iterable[Any]]) -> bytes:
    """RFC 4180: quoted where needed, lines that end in CR LF, UTF-8."""
    text = io.StringIO()
    csv.writer(text).writerows([cell(value) for value in row] for row in rows)
    return text.getvalue().encode()


def table(blocks: Iterator[list[UsageRecord]], tenant: Tenant) -> Iterator[bytes]:
    """The whole file, a block of records at a time. Each block is read in the tenant's schema,
    and the connection is given back after it."""
    yield lines([HEADER])
    names: Names = {kind: {} for kind in KINDS}
    while True:
        with tenant:
            if (block := next(blocks, None)) is None:
                return
            names_in(block, names)
        if not connection.in_atomic_block:
            connection.close()
        yield lines(_row(record, names) for record in block)


def _row(record: UsageRecord, names: Names) -> Iterator[Any]:
    for name in PLAIN:
        yield getattr(record, name)
    for kind in KINDS:
        id_ = getattr(record, f"{kind}_id")
        yield from (id_, names[kind][id_]) if id_ is not None else ("", "")


async def in_threads(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The same for a server on an event loop: each block is made in a thread."""
    step = sync_to_async(next)
    while (chunk := await step(chunks, None)) is not None:
        yield chunk
