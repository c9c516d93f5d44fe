"""Measures how the gateway scales and writes ``var/bench-scale.json``."""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
from pathlib import Path

from bench.scale import long_run, many_tenants, open_connections, two_workers
from config import env

PARTS = {
    "workers": two_workers.measured,
    "tenants": many_tenants.measured,
    "connections": open_connections.measured,
    "memory": long_run.measured,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-scale", description=__doc__)
    parser.add_argument("--part", choices=PARTS, action="append", help="one part only")
    parser.add_argument("--seconds", type=float, default=5, help="measured time of each load")
    parser.add_argument("--tenants", type=int, default=1000)
    parser.add_argument("--idle", type=int, default=5000, help="open connections")
    parser.add_argument("--streams", type=int, default=1000, help="open streams")
    parser.add_argument("--calls", type=int, default=1_000_000, help="between two looks at memory")
    parser.add_argument("--out", type=Path, help="in place of var/bench-scale.json")
    options = parser.parse_args()
    # Each connection is a file here, and two in the gateway.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    figures = {}
    for name in options.part or PARTS:
        print(f"{name}:", flush=True)
        with tempfile.TemporaryDirectory(prefix="hubpo-scale-") as work:
            figures[name] = PARTS[name](Path(work), options)
        for what, value in figures[name].items():
            print(f"  {what:<44} {value}", flush=True)
    out = options.out or env.var_dir() / "bench-scale.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(figures, indent=1) + "\n")
    print(f"written to {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
