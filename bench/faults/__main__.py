"""Does faults to a running platform under load and writes ``var/faults.json``.

The upstream counts the calls it answers; that count must equal the records and the roll-ups
in PostgreSQL. Exits with 1 where it does not.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.faults import cluster, kinds
from bench.faults.run import Fault, Run, under_load
from config import env

SECONDS = 2.0
"""Of load before each fault, and after it."""

COLUMNS = {
    "fault": "fault",
    "answered": "answered",
    "records": "records",
    "difference": "difference",
    "rollups": "in roll-ups",
    "lost": "lost",
    "unsent": "unsent",
    "tokens": "tokens unknown",
    "refused": "refused",
    "no_answer": "no answer",
    "seconds": "seconds",
    "remark": "",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--fault", action="append", help="only those whose name has this word")
    parser.add_argument("--out", type=Path, help="in place of var/faults.json")
    options = parser.parse_args()
    began, rows, left_out = time.monotonic(), [], []
    print(_line(COLUMNS), flush=True)
    for faults, start in GROUPS:
        wanted = {name: fault for name, fault in faults.items() if _wanted(name, options.fault)}
        if not wanted:
            continue
        try:
            with start() as run:
                for name, fault in wanted.items():
                    rows.append(run.put_to(name, fault, SECONDS))
                    print(_line(rows[-1]), flush=True)
        except Missing as reason:
            left_out += [f"{name}: {reason}" for name in wanted]
    for line in left_out:
        print(f"not run: {line}")
    print(f"{time.monotonic() - began:.0f} s in all")
    out = options.out or env.var_dir() / "faults.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"faults": rows, "not_run": left_out}, indent=1) + "\n")
    print(f"written to {out}")
    return int(any(row["difference"] or row["rollups"] for row in rows))


class Missing(Exception):
    """What this machine lacks for a fault."""


@contextmanager
def _on_a_small_disk() -> Iterator[Run]:
    """The journal is on a file system of 8 MB, and its files are small."""
    mounted: list[Path] = []

    def mount(var: Path) -> None:
        place = var / "journal"
        place.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=8m", "hubpo-faults", str(place)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Missing(f"no file system can be mounted ({done.stderr.strip()})")
        mounted.append(place)

    try:
        with under_load({"HUBPO_JOURNAL_SEGMENT_KB": "32"}, mount) as run:
            yield run
            # Before the directory is removed.
            subprocess.run(["umount", "-l", str(mounted.pop())], check=True)
    finally:
        for place in mounted:
            subprocess.run(["umount", "-l", str(place)], check=False)


@contextmanager
def _with_a_clock() -> Iterator[Run]:
    """The wall clock of our programs, and of none of the servers, can be stepped."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise Missing("there is no C compiler")
    with tempfile.TemporaryDirectory(prefix="hubpo-clock-") as place:
        library, source = Path(place) / "clock.so", Path(__file__).with_name("clock.c")
        subprocess.run([compiler, "-shared", "-fPIC", "-O2", source, "-o", library], check=True)
        kinds.set_clock(Path(place) / "clock", 0)
        environment = {"LD_PRELOAD": str(library), "HUBPO_FAULT_CLOCK": f"{place}/clock"}
        with under_load(environment) as run:
            run.clock = Path(place) / "clock"
            yield run


GROUPS: list[tuple[dict[str, Fault], Callable]] = [
    (kinds.ON_ONE_PLATFORM, under_load),
    (kinds.ON_A_SMALL_DISK, _on_a_small_disk),
    (kinds.WITH_A_CLOCK, _with_a_clock),
    (cluster.IN_A_CLUSTER, cluster.on_a_cluster),
]


def _wanted(name: str, words: list[str] | None) -> bool:
    return not words or any(word in name for word in words)


def _line(row: dict[str, object]) -> str:
    first, *others = (str(row[key]) for key in COLUMNS)
    *numbers, remark = others
    cells = [f"{one:>{max(8, len(title))}}" for one, title in zip(numbers, _TITLES, strict=True)]
    return f"{first:<44}{'  '.join(cells)}  {remark}".rstrip()


_TITLES = list(COLUMNS.values())[1:-1]

if __name__ == "__main__":
    sys.exit(main())
