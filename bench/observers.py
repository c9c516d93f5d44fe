"""What metrics and traces add to the cost of a call: off, and on in several ways.

Each variant is served by a worker of its own, and the rounds take turns. The lowest figure
counts: what else the machine does only ever adds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from unittest import mock

from bench import tenants
from bench.cases import REST_GET
from bench.measure import job, under_load
from bench.subjects.hubpo import valkey, worker
from bench.subjects.processes import LOAD_CORE, free_port, upstream
from config import env

METRICS = "HUBPO_METRICS_PORT"
ENDPOINT = "HUBPO_OTLP_ENDPOINT"
RATIO = "HUBPO_TRACE_RATIO"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.observers", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4, help="measured time of each round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with upstream() as port, _collector() as endpoint:
        variants = {
            "off": {},
            "metrics": {METRICS: str(free_port())},
            "traces, none sampled": {ENDPOINT: endpoint, RATIO: "0"},
            "traces, 1 in 100 sampled": {ENDPOINT: endpoint, RATIO: "0.01"},
            "traces, all sampled": {ENDPOINT: endpoint, RATIO: "1"},
        }
        found: dict[str, list[float]] = {name: [] for name in variants}
        for _ in range(options.rounds):
            for name, settings in variants.items():
                found[name].append(_cost(port, settings, options.seconds))
                print(f"{found[name][-1]:6.1f} us  {name}", flush=True)
    print("\n" + "\n".join(f"{min(costs):6.1f} us  {name}" for name, costs in found.items()))
    return 0


def _cost(upstream_port: int, settings: dict[str, str], seconds: float) -> float:
    """Microseconds of CPU a call."""
    with tempfile.TemporaryDirectory(prefix="hubpo-observers-") as directory:
        work = Path(directory)
        told = settings | {"HUBPO_VAR": str(work / "var")}
        with valkey(work) as url, mock.patch.dict(os.environ, told):
            tenants.store(url, [tenants.small(upstream_port)])
            with worker(url, work / "var") as (port, pid):
                call = job(port, [REST_GET.request(port)], REST_GET.answer) | {"seconds": seconds}
                result, spent = under_load("bench.load", call, pid)
            shutil.rmtree(env.run_dir(), ignore_errors=True)
    return round(spent / result["count"] * 1e6, 1)


class _Sink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


class _Collector(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A worker that is stopped breaks off."""


@contextmanager
def _collector() -> Iterator[str]:
    """Takes what is exported, where the load is."""
    os.sched_setaffinity(0, {LOAD_CORE})
    with _Collector(("127.0.0.1", 0), _Sink) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


if __name__ == "__main__":
    sys.exit(main())
