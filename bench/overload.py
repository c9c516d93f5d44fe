"""What a worker does with more calls than it can answer; ``python -m bench.overload``.

One worker on a core of its own; load, Valkey and the upstream, an nginx that says the same to
every call where there is one, share the other. Two questions:

- Past its limit, does it keep the latency of what it accepts? Ten tenants ask for 0.7 of what the
  worker can answer of calls that come evenly, then for twice what it reaches in a closed loop.
- Does one tenant at ten times its share leave the others' latency alone? Ten tenants ask for a
  fifteenth of the capacity each, again of calls that come evenly, which makes the worker about two
  thirds busy; then one of them asks for ten times that.

Each is asked several times in turn, on the same connections, and the answer is the median of the
ratios of neighbours. Phases are to be longer than the seconds for which refused clients are sent
away. How busy the worker and the other core were is printed, and how much of the worker's core
others took. A pair is left out of the median where that was more than ``OTHERS``, or the load's
core busier than ``LOADED``: then it is not the worker's latency that was measured.
"""

from __future__ import annotations

import argparse
import base64
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from bench import peers, tenants
from bench.cases import CASES
from bench.measure import Load
from bench.subjects import nginx
from bench.subjects.hubpo import valkey, worker
from bench.subjects.processes import (
    LOAD_CORE,
    SUBJECT_CORE,
    TICK,
    core_ticks,
    cpu_seconds,
    upstream,
)
from config import env

TENANTS, CONNECTIONS, MANY = 10, 100, 2000
SHARE, CALM, CROWDED = 1 / 15, 0.7, 2.0
CALL = next(case for case in CASES if case.name == "chat-2KB-1KB")
"""To a model, which costs the worker far more than the core that makes the load."""
SETTLE = 1.5
OTHERS, LOADED = 0.1, 0.8
TRIES = 3
"""Of finding the capacity undisturbed, on which all rates depend."""
QUESTIONS = ("all at twice what can be answered", "one tenant at ten times its share")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="measured time of each phase")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of phases for each question")
    parser.add_argument("--question", type=int, choices=(1, 2), help="only this one")
    parser.add_argument("--out", type=Path, help="in place of var/bench-overload.json")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asked = (options.question,) if options.question else (1, 2)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="hubpo-overload-") as directory:
        work = Path(directory)
        with _upstream(work) as port, valkey(work) as url:
            made = [tenants.large(n, port, routes=20, api_keys=2) for n in range(1, TENANTS + 1)]
            tenants.store(url, made)
            with worker(url, work / "var") as running:
                for _ in range(TRIES):
                    (capacity,) = _run(running, options.seconds, [None])
                    if not _disturbed(capacity):
                        break
                rate = _answered(capacity, options.seconds)
                print(f"capacity: {rate:.0f} calls/s, {_busy(capacity)}", flush=True)
                (even,) = _run(running, options.seconds, [[rate / 2 / TENANTS] * TENANTS])
                evenly = _answered(even, options.seconds) / even["worker"]
                print(f"of calls that come evenly: {evenly:.0f} calls/s, {_busy(even)}", flush=True)
                figures["capacity"] = {"closed": round(rate), "evenly": round(evenly)}
                for number in asked:
                    phases = _phases(number, rate, evenly)
                    told = _run(running, options.seconds, phases * options.rounds)
                    figures[QUESTIONS[number - 1]] = _judged(number, told, options.seconds)
    out = options.out or env.var_dir() / "bench-overload.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


@contextmanager
def _upstream(work: Path) -> Iterator[int]:
    """nginx costs the core of the load a fraction of what ``bench.upstream`` does."""
    cheap = nginx.answering(CALL.answer, work) if peers.nginx() else upstream()
    with cheap as port:
        yield port


def _answered(phase: dict[str, Any], seconds: float) -> float:
    """Calls a second, of all tenants."""
    return sum(one["answered"] for one in phase["tenants"]) / seconds


def _phases(question: int, closed: float, evenly: float) -> list[list[float]]:
    """Calls a second of each tenant before and during the overload. Capacities in calls a second:
    in a closed loop, and of calls that come evenly, which is less."""
    if question == 1:
        return [[CALM * evenly / TENANTS] * TENANTS, [CROWDED * closed / TENANTS] * TENANTS]
    share = SHARE * evenly
    return [[share] * TENANTS, [10 * share, *[share] * (TENANTS - 1)]]


def _judged(question: int, phases: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    """Prints each phase. The p99 of each, of those whose latency is to stay, and the ratios."""
    print(f"\n{QUESTIONS[question - 1]}")
    p99s, refused = [], 0
    for place, phase in enumerate(phases):
        heavy, *others = phase["tenants"]
        watched = [heavy, *others] if question == 1 else others
        p99s.append(median(one["p99_ms"] or 0.0 for one in watched))
        line = f"  {'before' if place % 2 == 0 else 'during'}  p99 {p99s[-1]:7.2f} ms "
        line += f"(worst tenant {max(one['p99_ms'] or 0 for one in watched):7.2f}), "
        line += f"p50 {median(one['p50_ms'] or 0.0 for one in watched):6.2f}; "
        line += _told("all" if question == 1 else "the nine", watched, seconds)
        if question == 2:
            line += _told("; the tenth", [heavy], seconds)
        refused += sum(one["refused"] + one["unsent"] for one in watched) if place % 2 else 0
        print(f"{line}; {_busy(phase)}")
    ratios = [after / before for before, after in zip(p99s[::2], p99s[1::2], strict=True)]
    calm = [not _disturbed(phase) for phase in phases]
    pairs = zip(ratios, calm[::2], calm[1::2], strict=True)
    counted = [ratio for ratio, before, after in pairs if before and after]
    middle = round(median(counted), 2) if counted else None
    shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    print(f"  p99 during, by that before: {shown}; median of {len(counted)}: {middle}", flush=True)
    return {"p99_ms": p99s, "ratios": ratios, "ratio": middle, "phases": phases}


def _told(name: str, of: list[dict[str, Any]], seconds: float) -> str:
    """Calls a second."""
    sums = {key: sum(one[key] for one in of) for key in ("answered", "refused", "unsent", "wrong")}
    told = ", ".join(f"{key} {count / seconds:.0f}" for key, count in sums.items() if count)
    return f"{name}: {told}"


def _busy(phase: dict[str, Any]) -> str:
    own, others, load = phase["worker"], phase["others"], phase["load"]
    told = f"worker {own:.0%} (others on its core {others:.0%}), core of the load {load:.0%}"
    return told + " DISTURBED" * _disturbed(phase)


def _disturbed(phase: dict[str, Any]) -> bool:
    return phase["others"] > OTHERS or phase["load"] > LOADED


def _run(
    running: tuple[int, int], seconds: float, phases: list[list[float] | None]
) -> list[dict[str, Any]]:
    """``running``: the worker's port and process id. What each phase's tenants saw, and of 1 what
    the worker took, what others took of its core, and how busy the load's core was."""
    port, pid = running
    connections = [MANY, *[CONNECTIONS] * (TENANTS - 1)]
    work = {
        "port": port,
        "settle": SETTLE,
        "seconds": seconds,
        "answer": base64.b64encode(CALL.answer).decode(),
        "tenants": [
            {"request": base64.b64encode(_request(place + 1)).decode(), "connections": count}
            for place, count in enumerate(connections)
        ],
        "phases": phases,
    }
    load, busy = Load("bench.rates", work), []
    for _ in phases:
        load.await_start()
        before = _spent(pid)
        load.await_end()
        began, own, core, other = (
            now - then for now, then in zip(_spent(pid), before, strict=True)
        )
        busy.append({"worker": own / began, "others": (core - own) / began, "load": other / began})
    told = load.told()
    return [share | {"tenants": one} for share, one in zip(busy, told, strict=True)]


def _spent(pid: int) -> list[float]:
    """Seconds now, and of CPU by the worker, by all on its core, and by all on the load's."""
    cores = [core_ticks(core)[0] / TICK for core in (SUBJECT_CORE, LOAD_CORE)]
    return [time.perf_counter(), cpu_seconds(pid), *cores]


def _request(number: int) -> bytes:
    host, _, key = tenants.call_of(number, 0, routes=20, api_keys=2)
    lines = [f"POST {CALL.path} HTTP/1.1", f"Host: {host}", f"X-API-Key: {key}"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(CALL.body)}", "", ""]
    return "\r\n".join(lines).encode() + CALL.body


if __name__ == "__main__":
    sys.exit(main())
