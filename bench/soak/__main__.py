"""Half an hour at half load: the memory at the end must be what it was after the first minute.

One worker on a core of its own, Valkey, upstream and clients on another. How many calls a second
are half a core's is measured first. Every answer is judged, and calls and usage records must be
the same, by how they ended. Writes ``var/soak.json`` and ``var/soak.svg``; the exit status is 1
where memory differs by more than 5 %, an answer was wrong, a record is missing or one too many.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

from bench import tenants
from bench.measure import Load
from bench.soak import curve, world
from bench.soak.calls import KINDS, TURNED_AWAY
from bench.soak.records import Records, expected
from bench.soak.samples import Watched, change
from bench.subjects.hubpo import valkey, worker
from bench.subjects.processes import cpu_seconds, free_port, upstream
from config import env

SAMPLE_SECONDS = world.CHANGE_SECONDS
TRIAL_RATE, TRIAL_SECONDS = 300.0, 10.0
"""The calls from which their cost is learnt."""
FILLING_CALLS = 9_000
"""After which a worker has remembered as many end users and paths as it may."""
MOST_CHANGE = 0.05
MOST_TURNED_AWAY = 0.01
"""Of all calls. On a machine of its own none is."""


class Soak:
    def __init__(self, watched: Watched, port: int, upstream_port: int) -> None:
        self.watched = watched
        self.port = port
        self.upstream_port = upstream_port
        self.records = Records(watched.valkey_url)
        self.began = time.monotonic()
        self.version = -1
        self.loads: list[dict[str, Any]] = []
        self.samples: list[dict[str, Any]] = []
        self.change_tenant()

    def change_tenant(self) -> None:
        """Stores the version of the moving tenant that is due."""
        due = int((time.monotonic() - self.began) / world.CHANGE_SECONDS)
        if due != self.version:
            self.version = due
            tenants.store(self.watched.valkey_url, [world.moving(due, self.upstream_port)])

    def fill(self, rate: float, calls: int) -> None:
        """Lets the worker remember as much as it may."""
        self._run(rate, calls / rate, filling=True)

    def trial(self, share: float, seconds: float) -> float:
        """How many calls a second take so much of a core."""
        before = cpu_seconds(self.watched.pid)
        self._run(TRIAL_RATE, seconds)
        spent = cpu_seconds(self.watched.pid) - before
        return share * TRIAL_RATE * seconds / spent

    def run(self, rate: float, seconds: float) -> None:
        self._run(rate, seconds, sampled=True)

    def _run(
        self, rate: float, seconds: float, *, sampled: bool = False, filling: bool = False
    ) -> None:
        work: dict[str, Any] = {"port": self.port, "began": self.began, "rate": rate}
        work |= {"seconds": seconds, "filling": filling}
        load = Load("bench.soak.load", work)
        load.await_start()
        started, last = time.monotonic(), cpu_seconds(self.watched.pid)
        due = SAMPLE_SECONDS
        while (passed := time.monotonic() - started) < seconds and load.running:
            self.change_tenant()
            self.records.take()
            if sampled and passed >= min(due, seconds - 1):
                sample = {"at": round(passed, 1), "calls": self.records.counts.total()}
                sample |= self.watched.sample()
                since = passed - (self.samples[-1]["at"] if self.samples else 0)
                sample["share"] = round((sample["cpu"] - last) / since, 2)
                last = sample["cpu"]
                due += SAMPLE_SECONDS
                self.samples.append(sample)
                print(curve.line(sample, 1.5 * self.samples[0]["rss_mb"]), flush=True)
            time.sleep(0.5)
        load.await_end()
        self.loads.append(load.told())

    def result(self) -> dict[str, Any]:
        """All that is judged."""
        outcomes: Counter[tuple[str, int, str]] = Counter()
        for load in self.loads:
            for name, status, code, count in load["outcomes"]:
                outcomes[name, status, code] += count
        counted = [[*outcome, count] for outcome, count in sorted(outcomes.items())]
        calls = expected(counted)
        difference = self.records.difference(calls)
        first, last = change(self.samples)
        after = self._after()
        return {
            "seconds": self.samples[-1]["at"],
            "calls": outcomes.total(),
            "records": self.records.counts.total(),
            "difference": [[*outcome, count] for outcome, count in difference.items()],
            "wrong": sum(load["wrong"] for load in self.loads),
            "complaints": [text for load in self.loads for text in load["complaints"]],
            "never": [
                [kind.name, *outcome]
                for kind in KINDS
                for outcome in sorted(kind.outcomes)
                if (kind.name, *outcome) not in outcomes
            ],
            "turned_away": sum(
                count
                for key, count in outcomes.items()
                if key[1:] in TURNED_AWAY and key[0] != "failing target"
            ),
            "late": sum(load["late"] for load in self.loads),
            "first_mb": first,
            "last_mb": last,
            "change": round(last / first - 1, 4),
            "left_open": after["clients"] + after["in_flight"],
            "after": after,
            "outcomes": counted,
            "samples": self.samples,
        }

    def _after(self) -> dict[str, Any]:
        """What the worker holds when all clients are gone."""
        deadline = time.monotonic() + 10
        while True:
            after = self.watched.sample()
            gone = not after["clients"] and not after["in_flight"]
            if gone or time.monotonic() > deadline:
                return after
            time.sleep(0.2)


def faults(result: dict[str, Any]) -> list[str]:
    """Why the run does not pass; empty where it does."""
    found = []
    if abs(result["change"]) > MOST_CHANGE:
        found.append(
            f"Memory was {result['first_mb']} MB after the first minute "
            f"and {result['last_mb']} MB at the end: {result['change']:+.1%}."
        )
    if result["wrong"]:
        found.append(f"Wrong answers: {result['wrong']}. " + " ".join(result["complaints"][:3]))
    if result["turned_away"] > MOST_TURNED_AWAY * result["calls"]:
        found.append(f"Calls turned away: {result['turned_away']}. This load is not half of it.")
    if result["difference"]:
        found.append(f"Records do not match the calls: {result['difference']}.")
    if result["left_open"]:
        found.append(f"Connections or calls left when all clients were gone: {result['after']}.")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--load", type=float, default=0.5, help="share of a core for the worker")
    parser.add_argument("--trial", type=float, default=TRIAL_SECONDS, help="seconds")
    parser.add_argument("--filling", type=int, default=FILLING_CALLS, help="calls")
    parser.add_argument("--out", type=Path, help="in place of var/soak.json, and .svg beside it")
    options = parser.parse_args()
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="hubpo-soak-") as directory:
        work = Path(directory)
        settings = {"HUBPO_METRICS_PORT": str(port), "HUBPO_VAR": str(work / "var")}
        with (
            upstream(module="bench.soak.upstream") as upstream_port,
            valkey(work) as url,
            mock.patch.dict(os.environ, settings),
        ):
            tenants.store(url, [world.steady(upstream_port), world.moving(0, upstream_port)])
            with worker(url, work / "var") as (gateway_port, pid):
                soak = Soak(Watched(pid, port, url), gateway_port, upstream_port)
                rate = soak.trial(options.load, options.trial)
                print(f"{rate:.0f} calls a second are {options.load:.0%} of a core.", flush=True)
                soak.fill(rate, options.filling)
                soak.run(rate, options.minutes * 60)
                result = {"rate": round(rate), "load": options.load} | soak.result()
    return _told(result, options.out or env.var_dir() / "soak.json")


def _told(result: dict[str, Any], out: Path) -> int:
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    drawn = out.with_suffix(".svg")
    drawn.write_text(curve.svg(result["samples"], result["first_mb"], MOST_CHANGE))
    for name, status, code, count in result["outcomes"]:
        print(f"  {name:<24} {status} {code:<22} {count:>10,}")
    print(
        f"{result['calls']:,} calls, {result['turned_away']} of them turned away, "
        f"{result['late']} more not made in time; "
        f"{result['first_mb']} MB after the first minute, {result['last_mb']} MB at the end "
        f"({result['change']:+.1%}); written to {out} and {drawn}"
    )
    if result["never"]:
        print(f"Did not come: {result['never']}")
    found = faults(result)
    print("\n".join(found) or "Every answer was right, and each call has its record.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
