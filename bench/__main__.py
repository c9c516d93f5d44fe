"""Measures every installed subject under every case and writes ``var/bench.json``."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.cases import CASES
from bench.measure import LOAD_CORE, measure, pinned
from bench.subjects import free_port, installed
from config import env


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="measured time of each case")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--only", help="one subject")
    options = parser.parse_args()
    port = free_port()
    upstream = subprocess.Popen(
        [*pinned(LOAD_CORE), sys.executable, "-m", "bench.upstream", str(port)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert upstream.stdout
    upstream.stdout.readline()
    rows: list[dict] = []
    try:
        with tempfile.TemporaryDirectory(prefix="hubpo-bench-") as work:
            for name, subject in installed().items():
                if options.only in (None, name):
                    rows += _rows(name, subject, port, Path(work), options)
    finally:
        upstream.terminate()
    out = env.var_dir() / "bench.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"written to {out}")
    return 1 if any("problem" in row for row in rows) else 0


def _rows(name: str, subject, upstream: int, work: Path, options) -> list[dict]:
    rows = []
    with subject(upstream, work) as (port, pid):
        for case in CASES:
            row: dict = {"case": case.name, "subject": name}
            try:
                row |= measure(
                    case,
                    port,
                    pid,
                    connections=options.connections,
                    seconds=options.seconds,
                )
            except RuntimeError as error:
                row["problem"] = str(error)
            print("  ".join(f"{key}={value}" for key, value in row.items()), flush=True)
            rows.append(row)
    return rows


if __name__ == "__main__":
    sys.exit(main())
