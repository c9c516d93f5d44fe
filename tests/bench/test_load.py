"""The load generators refuse wrong answers, and a run of the benchmark quotes right ones."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import pytest

from bench import peers, policies, tenants
from bench.answers import Answers, meaning
from bench.cases import CASES, CHAT_ANSWER, REST_ANSWER, STEADY, STREAM
from bench.measure import Load, Wrong, job, of_rounds
from bench.report import ratios, table
from bench.subjects import nginx
from bench.subjects.processes import upstream
from contract.snapshot import decode, encode
from proxy.runtime import TenantRuntime

ROOT = Path(__file__).resolve().parents[2]
CALL = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


def whole(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def chunked(pieces: tuple[bytes, ...]) -> bytes:
    parts = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + parts + b"0\r\n\r\n"


class Scripted(asyncio.Protocol):
    """Gives the next answer to each call after so many seconds; its first ``cut`` bytes go out
    by themselves."""

    def __init__(self, answers: Iterator[bytes], delay: float, cut: int) -> None:
        self.answers = answers
        self.delay = delay
        self.cut = cut

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        answer, loop = next(self.answers), asyncio.get_running_loop()
        if self.cut:
            loop.call_later(self.delay, self.transport.write, answer[: self.cut])
            loop.call_later(self.delay + 0.002, self.transport.write, answer[self.cut :])
        else:
            loop.call_later(self.delay, self.transport.write, answer)


@pytest.fixture
def server() -> Iterator[Callable[..., int]]:
    """``server(answers)`` starts one that gives them over and over, and returns its port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def start(answers: list[bytes], delay: float = 0.0, cut: int = 0) -> int:
        turns = cycle(answers)
        made = loop.create_server(lambda: Scripted(turns, delay, cut), "127.0.0.1", 0)
        running = asyncio.run_coroutine_threadsafe(made, loop).result(10)
        return running.sockets[0].getsockname()[1]

    yield start
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def load(module: str, port: int, **options: object) -> dict:
    work = job(port, [CALL], REST_ANSWER) | {"connections": 2, "warmup": 0.0} | options
    running = Load(module, work, core=None)
    running.await_start()
    running.await_end()
    return running.result()


CLOSED = ("bench.load", {"seconds": 0.3})
OPEN = ("bench.steady", {"seconds": 0.3, "rate": 200})


@pytest.mark.parametrize(("module", "options"), [CLOSED, OPEN])
class TestLoadGenerators:
    def test_right_answers_are_counted(self, server, module, options):
        result = load(module, server([whole(REST_ANSWER)]), **options)

        assert result["errors"] == 0
        assert result["count"] > 10
        assert 0 < result["p50_ms"] <= result["p99_ms"]

    @pytest.mark.parametrize(
        "wrong",
        [
            whole(REST_ANSWER[:-1] + b"?"),
            whole(REST_ANSWER[:-1]),
            whole(REST_ANSWER, "500 Internal Server Error"),
            b"no HTTP at all",
        ],
        ids=["one byte differs", "one byte is missing", "another status", "no HTTP"],
    )
    def test_one_wrong_answer_among_right_ones_is_refused(self, server, module, options, wrong):
        port = server([*[whole(REST_ANSWER)] * 9, wrong])

        with pytest.raises(Wrong, match="wrong answers"):
            load(module, port, **options)


def test_a_number_of_calls_ends_a_run(server):
    result = load("bench.load", server([whole(REST_ANSWER)]), calls=500)

    assert 500 <= result["count"] <= 502


def test_connections_that_rest_take_turns_and_each_repeats_its_own_request() -> None:
    asked: dict[int, set[bytes]] = {}
    under_way = most = 0

    class Noting(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            nonlocal under_way, most
            asked.setdefault(id(self), set()).add(data)
            under_way += 1
            most = max(most, under_way)
            asyncio.get_running_loop().call_later(0.002, self.answer)

        def answer(self) -> None:
            nonlocal under_way
            under_way -= 1
            self.transport.write(whole(REST_ANSWER))

    loop = asyncio.new_event_loop()
    made = loop.run_until_complete(loop.create_server(Noting, "127.0.0.1", 0))
    port = made.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    calls = [b"GET /%d HTTP/1.1\r\nHost: test\r\n\r\n" % number for number in range(8)]
    work = job(port, calls, REST_ANSWER) | {"connections": 8, "at_once": 3, "calls": 200}
    running = Load("bench.load", work | {"warmup": 0.0}, core=None)
    running.await_start()
    running.await_end()
    result = running.result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    assert result["count"] >= 200
    assert most == 3
    assert sorted(map(len, asked.values())) == [1] * 8


def test_a_stall_is_charged_to_every_call_that_was_due_meanwhile(server):
    port = server([whole(REST_ANSWER)], delay=0.05)

    result = load("bench.steady", port, connections=1, rate=100, seconds=0.5)

    assert result["late"] > 20
    assert result["p99_ms"] > 200


def test_an_even_rate_is_kept_and_the_loads_own_delay_told(server):
    result = load("bench.steady", server([whole(REST_ANSWER)]), rate=500, seconds=0.6)

    assert 290 <= result["count"] + result["late"] <= 310
    assert 0 <= result["behind_p99_ms"] <= result["p99_ms"]


@pytest.mark.parametrize("cut", [1, 200])
def test_answers_in_pieces_and_answers_whose_head_changes_are_right(server, cut):
    heads = [b"HTTP/1.1 200 OK\r\nDate: %d\r\nContent-Length: 600\r\n\r\n" % n for n in range(3)]
    port = server([head + REST_ANSWER for head in heads], cut=cut)

    result = load("bench.steady", port, rate=200, seconds=0.3)

    assert result["errors"] == 0
    assert result["count"] > 10


def test_the_end_of_a_right_answer_is_no_answer(server):
    """Whatever a connection has received before."""
    port = server([whole(REST_ANSWER), whole(REST_ANSWER), whole(REST_ANSWER)[-100:]])

    with pytest.raises(Wrong, match="wrong answers"):
        load("bench.steady", port, rate=200, seconds=0.3)


@pytest.mark.skipif(not peers.nginx(), reason="nginx is not installed")
def test_nginx_answers_as_the_upstream_does(tmp_path):
    with nginx.answering(REST_ANSWER, tmp_path) as port:
        assert load("bench.steady", port, rate=200, seconds=0.3)["errors"] == 0


class TestRounds:
    def rounds(self, load_core: float) -> list[dict]:
        shared = {"rate": 9, "load_core": load_core}
        return [shared | {"p99_ms": p99} for p99 in (9.0, 1.0, 2.0)]

    def test_the_middle_latency_is_told_with_all_others(self):
        row = of_rounds(self.rounds(0.8), "p99_ms")

        assert row["p99_ms"] == 2.0
        assert row["p99_rounds_ms"] == [9.0, 1.0, 2.0]
        assert "note" not in row

    def test_a_busy_load_core_forbids_quoting(self):
        row = of_rounds(self.rounds(0.9), "p99_ms") | {"case": "a", "subject": "hubpo"}

        assert "90% busy: its latency is not to be quoted" in table([row])

    def test_nothing_is_compared_with_what_may_not_be_quoted(self):
        rows = [
            {"case": "a", "subject": name} | of_rounds(self.rounds(load_core), "p99_ms")
            for name, load_core in (("hubpo", 0.5), ("nginx", 0.9), ("nginx-lua", 0.5))
        ]

        ratios(rows)

        assert [row.get("x nginx") for row in rows] == [None, None, None]
        assert [row.get("x nginx-lua") for row in rows] == [1.0, None, 1.0]

    def test_a_cost_may_be_quoted_beside_a_busy_load(self):
        rows = [{"us_per_request": cost, "load_core": 1.0} for cost in (3.0, 1.0, 2.0)]

        assert of_rounds(rows, "us_per_request") == rows[2]


class TestAnswers:
    def test_a_stream_in_pieces_is_put_together(self):
        answers = Answers(b"".join(STREAM))
        data = chunked(STREAM)

        told = [answers.feed(data[at : at + 100]) for at in range(0, len(data), 100)]

        assert told == [None] * (len(told) - 1) + [True]

    def test_a_stream_that_lacks_a_chunk_is_wrong(self):
        assert Answers(b"".join(STREAM)).feed(chunked(STREAM[:-2] + STREAM[-1:])) is False

    def test_only_a_gateway_that_rewrites_may_send_other_bytes_of_the_same_meaning(self):
        same = json.dumps(json.loads(CHAT_ANSWER), indent=2).encode()

        assert Answers(CHAT_ANSWER).feed(whole(same)) is False
        assert Answers(CHAT_ANSWER, rewritten=True).feed(whole(same)) is True

    def test_another_text_means_something_else(self):
        other = CHAT_ANSWER.replace(b"gateway", b"getaway")

        assert Answers(CHAT_ANSWER, rewritten=True).feed(whole(other)) is False

    def test_a_stream_without_its_end_means_something_else(self):
        cut = b"".join(STREAM).replace(b"data: [DONE]\n\n", b"")

        assert meaning(cut) != meaning(b"".join(STREAM))


def test_a_large_tenant_holds_together():
    blob = encode(tenants.large(7, 9, routes=100, api_keys=20))

    tenant = TenantRuntime(decode(blob), None)

    host, _, key = tenants.call_of(7, 33)
    assert tenant.snapshot.hosts == (host,)
    assert sum(len(api.routes) for api in tenant.snapshot.apis) == 100
    assert len(tenant.keys) == 20
    assert tenants.keys.digest(key) in tenant.keys


def test_calls_under_a_budget_of_the_month_are_answered():
    case, change = next(
        (case, change) for name, case, change in policies.VARIANTS if "cost a month" in name
    )

    with upstream() as port:
        assert policies._cost(change(tenants.small(port)), case, 0.2) > 0


def test_ratios_are_taken_from_the_same_case():
    rows = [
        {"case": "a", "subject": "hubpo", "us_per_request": 30.0},
        {"case": "a", "subject": "nginx", "us_per_request": 10.0},
        {"case": "b", "subject": "hubpo", "us_per_request": 30.0},
        {"case": "c", "subject": "hubpo", "us_per_request": 1.0, "p99_ms": 4.0, "rate": 9},
        {"case": "c", "subject": "nginx", "us_per_request": 1.0, "p99_ms": 2.0, "rate": 9},
    ]

    ratios(rows)

    assert [row.get("x nginx") for row in rows] == [3.0, 1.0, None, 2.0, 1.0]
    assert "3.0" in table(rows)


def test_the_benchmark_runs_through(tmp_path):
    out = tmp_path / "bench.json"
    command = [sys.executable, "-m", "bench", "--seconds", "0.3", "--only", "hubpo"]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'platform'}"}

    done = subprocess.run(
        [*command, "--out", str(out)], cwd=ROOT, env=environment, capture_output=True, text=True
    )

    rows = {row["case"]: row for row in json.loads(out.read_text())}
    assert set(rows) == {*STEADY, *(case.name for case in CASES)}, done.stdout
    # Whether a rate can be kept up is not for a machine to say that does other things as well.
    for name in STEADY:
        del rows[name]
    assert [row for row in rows.values() if row.get("errors") != 0] == []
