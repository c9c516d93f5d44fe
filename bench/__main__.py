"""Measures every installed subject under every case and writes ``var/bench.json``."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from bench import peers, report
from bench.cases import CASES, REST_GET, STEADY, Case
from bench.measure import Wrong, measure, of_rounds, refuses_without_key, steadily
from bench.subjects import Running, Subject, installed, nginx
from bench.subjects.processes import upstream
from config import env

STEADY_ROUNDS = 3
"""At least so many, since the 99th percentile of one round varies."""


def main() -> int:
    options = _options()
    subjects = [one for one in installed() if not options.only or one.name in options.only]
    rows: list[dict] = []
    with upstream() as port, tempfile.TemporaryDirectory(prefix="hubpo-bench-") as work:
        for subject in subjects:
            print(f"{subject.name}: {subject.checks}", flush=True)
            rows += _measured(subject, port, Path(work), options)
    report.ratios(rows)
    out = options.out or env.var_dir() / "bench.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"\n{report.table(rows)}\n\nwritten to {out}")
    return 1 if any("problem" in row for row in rows) else 0


def _options() -> argparse.Namespace:
    names = ", ".join([*(case.name for case in CASES), *STEADY])
    parser = argparse.ArgumentParser(prog="make bench", description=f"{__doc__} Cases: {names}.")
    parser.add_argument("--seconds", type=float, default=5, help="measured time of each case")
    parser.add_argument("--rounds", type=int, default=1, help="of each case; the median counts")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--only", type=_names, help="subjects, with commas between")
    parser.add_argument("--case", type=_names, help="cases, with commas between")
    parser.add_argument("--out", type=Path, help="in place of var/bench.json")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    return text.split(",")


def _measured(
    subject: Subject, port: int, work: Path, options: argparse.Namespace
) -> Iterator[dict]:
    """A row for each case, with ``problem`` in place of figures where there are none."""
    cases = [case for case in CASES if case.ai or not subject.ai_only]
    if not subject.translates:
        cases = [case for case in cases if not case.translated]
    wanted = [case for case in cases if not options.case or case.name in options.case]
    shares = [name for name in STEADY if not options.case or name in options.case]
    try:
        if wanted:
            with subject.start(port, _place(work, subject.name)) as running:
                for case in wanted:
                    yield _shown(_row(subject, running, case, options))
        if subject.steady and shares:
            with (
                _light_upstream(port, _place(work, f"{subject.name}-upstream")) as light,
                subject.start(light, _place(work, f"{subject.name}-steady")) as running,
            ):
                for row in _steady_rows(subject, running, shares, options):
                    yield _shown(row)
    except RuntimeError as error:
        yield _shown({"case": "start", "subject": subject.name, "problem": str(error)})


def _place(work: Path, name: str) -> Path:
    place = work / name
    place.mkdir()
    return place


def _light_upstream(port: int, work: Path) -> AbstractContextManager[int]:
    """One that costs the load's core less, where there is an nginx."""
    return nginx.answering(REST_GET.answer, work) if peers.nginx() else nullcontext(port)


def _row(subject: Subject, running: Running, case: Case, options: argparse.Namespace) -> dict:
    row: dict = {"case": case.name, "subject": subject.name}
    try:
        return row | _cost(subject, running, case, options)
    except Wrong as error:
        return row | {"problem": str(error)}


def _cost(subject: Subject, running: Running, case: Case, options: argparse.Namespace) -> dict:
    if subject.checks_keys and not refuses_without_key(subject, running, case):
        raise Wrong("It answers calls without a key.")
    how = {"connections": options.connections, "seconds": options.seconds}
    rounds = [measure(subject, running, case, **how) for _ in range(options.rounds)]
    return of_rounds(rounds, "us_per_request")


def _steady_rows(
    subject: Subject, running: Running, names: list[str], options: argparse.Namespace
) -> Iterator[dict]:
    for name in names:
        row: dict = {"case": name, "subject": subject.name}
        try:
            capacity = _cost(subject, running, REST_GET, options)["us_per_request"]
            rounds = [
                steadily(
                    subject, running, REST_GET, capacity, STEADY[name], seconds=options.seconds
                )
                for _ in range(max(options.rounds, STEADY_ROUNDS))
            ]
            row |= {"capacity": round(1e6 / capacity), **of_rounds(rounds, "p99_ms")}
        except Wrong as error:
            row |= {"problem": str(error)}
        yield row


def _shown(row: dict) -> dict:
    print("  " + "  ".join(f"{key}={value}" for key, value in row.items()), flush=True)
    return row


if __name__ == "__main__":
    sys.exit(main())
