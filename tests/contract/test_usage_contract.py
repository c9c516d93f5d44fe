"""A usage event survives the journal, and older events stay readable."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contract import usage

EVENT = usage.UsageEvent(
    id="x-1",
    at=1_760_000_000_000_000,
    tenant_id="t1",
    method="POST",
    path="/v1/chat/completions",
    status=200,
    input_tokens=12,
    output_tokens=None,
    cost_micros=0,
    currency="EUR",
    attempts=2,
    end_user="5f3a9c1e77d20b1100000000",
)


def test_an_event_comes_back_as_it_went_with_unknown_and_zero_apart() -> None:
    back = usage.decode(usage.encode(EVENT))
    assert back == EVENT
    assert back.output_tokens is None
    assert back.cost_micros == 0


def test_an_event_written_before_the_last_fields_existed_is_still_read() -> None:
    fields = msgspec.msgpack.decode(usage.encode(EVENT))
    assert usage.decode(msgspec.msgpack.encode(fields[:6])).path == EVENT.path


FIELDS_BEFORE = {"attempts": 31, "end_user": 32, "saved_micros": 36, "measured": 37}
"""How many an event had as the version wrote it that did not know the field yet."""


@pytest.mark.parametrize(
    ("added", "unknown"),
    [("attempts", None), ("end_user", ""), ("saved_micros", None), ("measured", None)],
)
def test_an_event_without_a_field_that_was_added_is_read_as_one_that_does_not_know_it(
    added: str, unknown: Any
) -> None:
    count = FIELDS_BEFORE[added]
    assert EVENT.__struct_fields__[count] == added, "what is added goes to the end"
    fields = msgspec.msgpack.decode(usage.encode(EVENT))
    old = usage.decode(msgspec.msgpack.encode(fields[:count]))
    assert getattr(old, added) == unknown
    assert old.currency == EVENT.currency == fields[30]


def test_an_event_of_a_later_version_is_read_as_far_as_it_is_known() -> None:
    fields = msgspec.msgpack.decode(usage.encode(EVENT))
    assert usage.decode(msgspec.msgpack.encode([*fields, "later", None])) == EVENT
