"""Where the CPU time of a call goes, by part: the kernel, the event loop, our own modules.

First the cost of a call is measured with nothing else on. Then, under the same load, perf (where
it is installed and may) tells how much of it the kernel takes and what for, and py-spy looks 500
times a second at what the worker does outside the kernel. What C code does for a module of ours
counts as that module's. Last, strace counts the system calls of a call, where it is installed.
Each of the three slows the worker down, so only shares and counts are taken from them, and of
paced streams fewer are open meanwhile: all of them would be more than it can then do. py-spy is
no part of Hubpo: ``make bench-peers`` installs it into a place of its own.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from bench import kernel, peers
from bench.cases import CASES, Case
from bench.measure import Load, job, measure
from bench.subjects import Running
from bench.subjects.hubpo import HUBPO
from bench.subjects.processes import upstream

RATE = 500
MOST_WATCHED = 100
"""Calls at once while the worker is looked at, so that it is not overloaded by that."""
SMALLEST = 0.005
"""Share of a part that is shown by itself."""
_FRAME = re.compile(r"(?P<name>.*) \((?P<file>[^():]+)(:(?P<line>\d+))?\)$")
_SYSTEM_CALLS = {
    *("write", "writev", "send", "sendmsg", "read", "recv", "recvfrom"),
    *("epoll_pwait", "epoll_wait", "epoll_ctl"),
}
_KERNEL = "kernel"
_NATIVE = {
    "event loop (uvloop, asyncio)": {
        "loop.c", "core.c", "linux.c", "stream.c", "timer.c", "loop-watcher.c", "queue.h",
        "_asynciomodule.c", "_asynciomodule.c.h",
    },
    "HTTP parser (httptools)": {"parser.c", "llhttp.c", "api.c", "http.c"},
    "Valkey parser (hiredis)": {"hiredis.c", "read.c", "reader.c", "sds.c", "sds.h", "pack.c"},
}  # fmt: skip
_PARTS = {file: part for part, files in _NATIVE.items() for file in files}


def main() -> int:
    options = _options()
    if not peers.profiler().exists():
        print("py-spy is not here: run `make bench-peers` first.")
        return 1
    case = next(case for case in CASES if case.name == options.case)
    with (
        upstream() as port,
        tempfile.TemporaryDirectory(prefix="hubpo-profile-") as directory,
        HUBPO.start(port, Path(directory)) as running,
    ):
        work = Path(directory)
        row = measure(HUBPO, running, case, connections=32, seconds=options.seconds)
        load = _load(running, case, options.seconds)
        in_kernel = kernel.shares(running.pid, options.seconds - 1, work / "perf")
        _end(load)
        samples = _samples(running, case, options.seconds, work / "samples")
        calls = _system_calls(running, case, work / "calls")
    cost = row["us_per_request"]
    print(f"{case.name}: {cost} us of CPU a call, {row['rps']:,} calls a second\n")
    _show("part", cost, _outside(samples, _part, in_kernel) | in_kernel)
    _show("function, outside the kernel", cost, _outside(samples, _function, in_kernel))
    if calls:
        print("system calls for each call: " + "  ".join(calls))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-profile", description=__doc__)
    parser.add_argument("--case", default=CASES[0].name, choices=[case.name for case in CASES])
    parser.add_argument("--seconds", type=float, default=8)
    return parser.parse_args()


def _load(running: Running, case: Case, seconds: float) -> Load:
    work = job(running.port, [case.request(running.port)], case.answer)
    connections = min(case.connections or 32, MOST_WATCHED)
    work |= {"connections": connections, "spread": case.spread, "seconds": seconds}
    load = Load("bench.load", work)
    load.await_start()
    return load


def _end(load: Load) -> dict:
    load.await_end()
    return load.result()


def _samples(running: Running, case: Case, seconds: float, out: Path) -> Counter[tuple[str, ...]]:
    """Stacks from the outermost call inwards, with how often each was seen."""
    load = _load(running, case, seconds + 2)
    look = [str(peers.profiler()), "record", "--pid", str(running.pid), "--native"]
    look += ["--format", "raw", "--rate", str(RATE), "--output", str(out)]
    look += ["--duration", str(max(1, round(seconds)))]
    subprocess.run(look, check=True, stdout=subprocess.DEVNULL)
    _end(load)
    found: Counter[tuple[str, ...]] = Counter()
    for line in out.read_text().splitlines():
        stack, _, times = line.rpartition(" ")
        if "concurrent/futures/thread.py" not in stack:  # threads that wait for work
            found[tuple(stack.split(";"))] += int(times)
    return found


def _outside(
    samples: Counter[tuple[str, ...]], name: Callable, in_kernel: dict[str, float]
) -> dict[str, float]:
    """Shares of the whole by name, where the kernel's own are known; otherwise it is one part."""
    found: Counter[str] = Counter()
    for stack, times in samples.items():
        found[_KERNEL if _is_in_kernel(stack) else name(stack)] += times
    if in_kernel:
        del found[_KERNEL]
    scale = (1 - sum(in_kernel.values())) / sum(found.values())
    return {part: times * scale for part, times in found.items()}


def _is_in_kernel(stack: tuple[str, ...]) -> bool:
    frame = _FRAME.match(stack[-1])
    if frame is None or not frame["file"].startswith("libc."):
        return False
    return frame["name"].lstrip("_").removeprefix("libc_") in _SYSTEM_CALLS


def _frames(stack: tuple[str, ...]) -> list[re.Match]:
    """From the innermost call outwards; frames without a file are left out."""
    return [match for frame in reversed(stack) if (match := _FRAME.match(frame))]


def _part(stack: tuple[str, ...]) -> str:
    """The innermost library or module that is known by name."""
    for frame in _frames(stack):
        if frame["file"] in _PARTS:
            return _PARTS[frame["file"]]
        if frame["file"].endswith(".py"):
            return frame["file"]
    return "other"


def _function(stack: tuple[str, ...]) -> str:
    """The innermost function written in Python."""
    for frame in _frames(stack):
        if frame["file"].endswith(".py"):
            return f"{frame['file']} {frame['name']}"
    return "other"


def _show(title: str, cost: float, shares: dict[str, float]) -> None:
    print(f"{'us':>6} {'share':>6}  {title}")
    rest = 0.0
    for name, share in sorted(shares.items(), key=lambda item: -item[1]):
        if share >= SMALLEST:
            print(f"{cost * share:6.1f} {share:6.1%}  {name}")
        else:
            rest += share
    print(f"{cost * rest:6.1f} {rest:6.1%}  all smaller ones\n")


def _system_calls(running: Running, case: Case, out: Path, seconds: float = 3) -> list[str]:
    """As ``name number`` for each kind, per call; empty where strace is missing."""
    strace = shutil.which("strace")
    if strace is None:
        return []
    load = _load(running, case, seconds)
    count = [strace, "-c", "-f", "-qq", "-o", str(out), "-p", str(running.pid)]
    tracer = subprocess.Popen(count, stderr=subprocess.DEVNULL)
    load.await_end()
    tracer.send_signal(signal.SIGINT)
    tracer.wait(10)
    calls = load.result()["count"]
    rows = [line.split() for line in out.read_text().splitlines()[2:-2]]
    counts = {row[-1]: int(row[3]) / calls for row in rows if len(row) >= 5}
    return [f"{name} {each:.2f}" for name, each in counts.items() if each >= 0.005]


if __name__ == "__main__":
    sys.exit(main())
