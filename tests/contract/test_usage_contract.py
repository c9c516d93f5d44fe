"""A usage event survives the journal, and older events stay readable."""

from __future__ import annotations

import msgspec

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
    attempts=2,
)


def test_an_event_comes_back_as_it_went_with_unknown_and_zero_apart() -> None:
    back = usage.decode(usage.encode(EVENT))
    assert back == EVENT
    assert back.output_tokens is None
    assert back.cost_micros == 0


def test_an_event_written_before_the_last_fields_existed_is_still_read() -> None:
    fields = msgspec.msgpack.decode(usage.encode(EVENT))
    assert usage.decode(msgspec.msgpack.encode(fields[:6])).path == EVENT.path


BEFORE_ATTEMPTS = 31
"""Fields of an event as the version wrote it that did not count attempts."""


def test_an_event_that_counts_no_attempts_is_read_as_one_of_which_they_are_not_known() -> None:
    fields = msgspec.msgpack.decode(usage.encode(EVENT))
    assert fields[BEFORE_ATTEMPTS - 1 : BEFORE_ATTEMPTS + 1] == ["", 2], "currency, attempts"
    old = usage.decode(msgspec.msgpack.encode(fields[:BEFORE_ATTEMPTS]))
    assert old == msgspec.structs.replace(EVENT, attempts=None)


def test_an_event_of_a_later_version_is_read_as_far_as_it_is_known() -> None:
    fields = msgspec.msgpack.decode(usage.encode(EVENT))
    assert usage.decode(msgspec.msgpack.encode([*fields, "later", None])) == EVENT
