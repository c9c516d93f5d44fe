"""What the soak judges: answers, records and memory; and that a short one runs through."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench.cases import REST_ANSWER
from bench.soak import curve, world
from bench.soak.__main__ import faults
from bench.soak.calls import FILLING, KINDS, turns
from bench.soak.records import expected
from bench.soak.samples import change
from contract.snapshot import decode, encode
from proxy.runtime import TenantRuntime

ROOT = Path(__file__).resolve().parents[2]
BY_NAME = {kind.name: kind for kind in KINDS}


def sample(at: float, rss: float) -> dict[str, Any]:
    return {
        "at": at, "rss_mb": rss, "fds": 9, "clients": 1, "upstreams": 1, "share": 0.5, "calls": 7,
    }  # fmt: skip


FINE = {
    "change": 0.01, "first_mb": 60.0, "last_mb": 60.6, "wrong": 0, "complaints": [],
    "turned_away": 0, "calls": 1000, "difference": [], "left_open": 0, "after": {},
}  # fmt: skip


def test_the_shares_of_the_kinds_make_a_thousand_and_no_two_have_a_name() -> None:
    assert sum(kind.share for kind in KINDS) == 1000
    assert len({kind.name for kind in (*KINDS, *FILLING)}) == len(KINDS) + len(FILLING)
    assert Counter(turns(KINDS)) == {kind: kind.share for kind in KINDS}


def test_an_answer_is_judged_by_its_status_its_code_and_its_body() -> None:
    get, users = BY_NAME["get"], BY_NAME["end users"]
    assert get.judge((200, ""), REST_ANSWER) is None
    assert get.judge((503, "gateway_overloaded"), b"") is None
    assert "another body" in str(get.judge((200, ""), REST_ANSWER[1:]))
    assert "429" in str(get.judge((429, "rate_limit_exceeded"), b""))
    assert users.judge((429, "rate_limit_exceeded"), b"") is None
    assert "quota" in str(users.judge((429, "quota_exceeded"), b""))


def test_calls_of_nobody_and_calls_turned_away_leave_no_record() -> None:
    counted = [
        ["get", 200, "", 5],
        ["chat", 200, "", 2],
        ["get", 503, "gateway_overloaded", 3],
        ["chat", 503, "limits_unavailable", 1],
        ["stranger", 404, "tenant_unknown", 4],
        ["stream, left", 200, "left", 6],
    ]
    assert expected(counted) == {
        (200, ""): 7, (503, "limits_unavailable"): 1, (200, "left"): 6,
    }  # fmt: skip


def test_memory_is_compared_from_the_first_minute_on() -> None:
    rising = [sample(10.0 * n, 50.0 + n) for n in range(1, 31)]
    assert change(rising) == (57.0, 79.0)
    spike = [sample(10.0 * n, 50.0 if n != 30 else 90.0) for n in range(1, 31)]
    assert change(spike) == (50.0, 50.0)


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ({}, None),
        ({"change": 0.051}, "+5.1%"),
        ({"change": -0.06}, "-6.0%"),
        ({"wrong": 1, "complaints": ["get: another body"]}, "another body"),
        ({"turned_away": 11}, "turned away: 11"),
        ({"difference": [[200, "", -1]]}, "do not match"),
        ({"left_open": 2}, "left"),
    ],
)
def test_a_run_fails_for_a_reason(what: dict[str, Any], told: str | None) -> None:
    found = faults(FINE | what)
    assert len(found) == (told is not None)
    assert told is None or told in found[0]


def test_the_curve_is_drawn() -> None:
    samples = [sample(10.0, 60.0), sample(20.0, 61.0), sample(30.0, 60.5)]
    drawn = ElementTree.fromstring(curve.svg(samples, 60.0))
    (line,) = drawn.iter("{http://www.w3.org/2000/svg}polyline")
    assert len(line.attrib["points"].split()) == 3
    assert "60.00 MB" in curve.line(samples[0], 90.0)


def test_both_tenants_load_and_no_id_of_the_moving_one_stays() -> None:
    first, second = (TenantRuntime(decode(encode(world.moving(n, 9))), None) for n in (4, 5))
    assert first.apis.keys().isdisjoint(second.apis)
    assert first.upstreams.keys().isdisjoint(second.upstreams)
    assert len(first.keys.keys() & second.keys.keys()) == 2
    assert len(TenantRuntime(decode(encode(world.steady(9))), None).apis) == 6


def test_a_soak_runs_through(tmp_path: Path) -> None:
    out = tmp_path / "soak.json"
    options = ["--minutes", "0.03", "--load", "0.2", "--trial", "1", "--filling", "60"]
    run = subprocess.run(
        [sys.executable, "-m", "bench.soak", *options, "--out", out],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    told = json.loads(out.read_text())
    assert told["calls"] > 100, run.stderr
    assert (told["wrong"], told["difference"], told["left_open"]) == (0, [], 0), run.stdout
    assert told["samples"][-1]["rss_mb"] > 20
    assert out.with_suffix(".svg").exists()
