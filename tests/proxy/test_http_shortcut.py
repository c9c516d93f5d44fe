"""However a request is cut into reads, and with or without the parser, it means the same."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest
from http_loopless import Application, outcome
from http_wire import read_requests
from test_http_llhttp_cases import CASES, read_cases

HOST = "alice.localhost"
ROUNDS = int(os.environ.get("HUBPO_FUZZ_ROUNDS", "60"))
"""15 requests each, for each block of fields."""
PIECES = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b"\x00", b":", b"/", b"?", b"#", b"%2e", b"..", b"\xff",
    b"HTTP/1.1", b"HTTP/1.0", b"Host: evil", b"\r\nHost: evil", b"\r\n folded", b"GET ", b"POST ",
    b"Content-Length: 3", b"\r\nContent-Length: 3", b"\r\nTransfer-Encoding: chunked",
    b"\r\nConnection: close", b"\r\nExpect: 100-continue", b"\r\n\r\n", b"0\r\n\r\n", b"abc",
    b"\r\nConnection: Upgrade\r\nUpgrade: h2c",
]  # fmt: skip
BLOCKS = [
    b"Host: alice.localhost",
    b"Host: alice.localhost\r\nAccept: */*\r\nConnection: keep-alive",
    b"Host: alice.localhost\r\nContent-Length: 3\r\nX-API-Key: k",
    b"content-length:   3\r\nHost: alice.localhost",
    b"X: y\r\nHOST: alice.localhost\r\nContent-Length: 0",
    b"Host: alice.localhost\r\nX-Content-Length: 3\r\nUser-Agent: a b",
]


def body_of(block: bytes) -> bytes:
    found = read_requests(b"POST / HTTP/1.1\r\n" + block + b"\r\n\r\nabc")[0]
    return found[0].body


def good(dice: random.Random, block: bytes) -> bytes:
    """A request that has the same fields as the one before on its connection."""
    method = dice.choice([b"GET", b"POST", b"DELETE", b"HEAD", b"OPTIONS", b"PUT", b"TRACE"])
    path = dice.choice([b"/", b"/a/b", b"/a%20b?x=1&y", b"/?", b"/a?b?c", b"/a;b=c/@:!$'()*+,~"])
    return b"%b %b HTTP/1.1\r\n%b\r\n\r\n%b" % (method, path, block, body_of(block))


def bent(dice: random.Random, data: bytes) -> bytes:
    for _ in range(dice.choice([1, 1, 1, 2, 3])):
        start = dice.randrange(len(data) + 1)
        stop = min(len(data), start + dice.choice([0, 0, 0, 1, 1, 2, 8]))
        data = data[:start] + dice.choice(PIECES) + data[stop:]
    return data


def requests(dice: random.Random, block: bytes) -> Iterator[bytes]:
    yield good(dice, block)
    yield good(dice, block) + good(dice, block)
    yield good(dice, block) + bent(dice, good(dice, block))
    yield good(dice, block)[: -dice.randrange(1, 8)]
    length = dice.choice([b"0", b"1", b"03", b"3 ", b"+3", b"4", b"10", b"99999999999", b"3,3"])
    yield good(dice, block).replace(b"3", length, 1)
    for _ in range(10):
        yield bent(dice, good(dice, block))


@pytest.mark.parametrize("block", BLOCKS)
async def test_a_connection_that_knows_the_fields_takes_a_request_as_a_new_one_does(
    block: bytes,
) -> None:
    """Random requests, bent at random places, behind two plain ones and on a new connection."""
    application, dice = Application(), random.Random(block)
    quick = 0
    for _ in range(ROUNDS):
        for data in requests(dice, block):
            kept = application.connect()
            plain = b"GET /plain HTTP/1.1\r\n%b\r\n\r\n%b" % (block, body_of(block))
            for _ in range(2):
                assert len((await outcome(kept, [plain]))[0]) == 1
            fed = kept._parser
            kept._parser = None  # the shortcut does without
            assert len((await outcome(kept, [plain]))[0]) == 1
            kept._parser = fed
            expected = await outcome(application.connect(), [data])
            found = await outcome(kept, [data])
            assert found == expected, data
            quick += len(found[0])
            strict = [(request.method, request.body) for request in read_requests(data)[0]]
            assert [(call[0], call[4]) for call in found[0]] == strict[: len(found[0])], data
    assert quick > ROUNDS


@pytest.mark.skipif(not CASES.exists(), reason="The llhttp cases are not here.")
async def test_each_case_of_llhttp_means_the_same_cut_anywhere() -> None:
    application = Application()
    cuts = 0
    for case in read_cases(HOST):
        whole = await outcome(application.connect(), [case.raw])
        assert len(whole[0]) == len(case.requests), case
        for cut in range(1, len(case.raw)):
            found = await outcome(application.connect(), [case.raw[:cut], case.raw[cut:]])
            assert found == whole, (cut, case)
            cuts += 1
    assert cuts > 10_000
