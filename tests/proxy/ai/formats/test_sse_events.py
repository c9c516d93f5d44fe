"""Server-sent events out of pieces cut anywhere."""

import time

import pytest

from proxy.ai.formats.sse import LIMIT, Events, TooLong, event

STREAM = b"event: a\rdata: 1\r\ndata: 2\n\n: c\r\rdata:3\r\n\r\ndata: \xc3\xa4\n\rdata: 5"
FOUND = [(b"a", b"1\n2"), (b"", b"3"), (b"", "ä".encode()), (b"", b"5")]


def read(*pieces):
    events = Events()
    return [one for piece in pieces for one in events.feed(piece)] + events.end()


def test_all_kinds_of_line_ends_comments_and_a_missing_last_line():
    assert read(STREAM) == FOUND


def test_two_cuts_anywhere_change_nothing():
    for i in range(len(STREAM)):
        for j in range(i, len(STREAM)):
            assert read(STREAM[:i], STREAM[i:j], STREAM[j:]) == FOUND


def test_a_long_line_in_small_pieces_takes_time_in_proportion():
    body = event(b"a" * 4_000_000)
    begun = time.perf_counter()
    found = read(*(body[i : i + 1460] for i in range(0, len(body), 1460)))
    assert [len(data) for _, data in found] == [4_000_000]
    assert time.perf_counter() - begun < 2, "it was searched again for each piece"


def test_an_event_without_end_is_given_up():
    with pytest.raises(TooLong):
        read(*[b"x" * 65_536] * (LIMIT // 65_536 + 1))
