"""Measures every installed subject under every case and writes ``var/bench.json``."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import report
from bench.cases import CASES, REST_GET, STEADY, Case
from bench.measure import Wrong, measure, refuses_without_key, steadily
from bench.subjects import Running, Subject, installed
from bench.subjects.processes import upstream
from config import env


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
    names = ", ".join([*(case.name for case in CASES), STEADY])
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
    try:
        with subject.start(port, work) as running:
            for case in _cases(subject):
                yield from _rows(subject, running, case, options)
    except RuntimeError as error:
        yield _shown({"case": "start", "subject": subject.name, "problem": str(error)})


def _cases(subject: Subject) -> list[Case]:
    return [case for case in CASES if case.ai or not subject.ai_only]


def _rows(
    subject: Subject, running: Running, case: Case, options: argparse.Namespace
) -> Iterator[dict]:
    wanted = options.case or [case.name, STEADY]
    steady = case is REST_GET and subject.steady and STEADY in wanted
    if case.name not in wanted and not steady:
        return
    row: dict = {"case": case.name, "subject": subject.name}
    try:
        if subject.checks_keys and not refuses_without_key(subject, running, case):
            raise Wrong("It answers calls without a key.")
        how = {"connections": options.connections, "seconds": options.seconds}
        rounds = [measure(subject, running, case, **how) for _ in range(options.rounds)]
        row |= _median(rounds, "us_per_request")
        yield _shown(row)
        if steady:
            cost, row = row["us_per_request"], {"case": STEADY, "subject": subject.name}
            rounds = [
                steadily(subject, running, case, cost, seconds=options.seconds)
                for _ in range(options.rounds)
            ]
            yield _shown(row | _median(rounds, "p99_ms"))
    except Wrong as error:
        yield _shown(row | {"problem": str(error)})


def _median(rounds: list[dict], figure: str) -> dict:
    """The round whose figure is in the middle."""
    return sorted(rounds, key=lambda row: row[figure])[len(rounds) // 2]


def _shown(row: dict) -> dict:
    print("  " + "  ".join(f"{key}={value}" for key, value in row.items()), flush=True)
    return row


if __name__ == "__main__":
    sys.exit(main())
