"""How much of a process's CPU time the kernel spends on what, as perf saw it."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path

RATE = 1999
_KERNEL = "ffffffff"
"""How an address in the kernel begins, on x86 and Arm with 64 bits."""


def shares(pid: int, seconds: float, out: Path) -> dict[str, float]:
    """Share of the process's CPU time by what the kernel did; what is missing to 1 was spent
    outside the kernel. Empty where perf is missing or may not look into the kernel.
    """
    perf = shutil.which("perf")
    if perf is None:
        return {}
    record = [perf, "record", "-q", "-g", "-F", str(RATE), "-p", str(pid), "-o", str(out)]
    subprocess.run([*record, "--", "sleep", str(seconds)], capture_output=True, check=False)
    script = [perf, "script", "-F", "ip,sym", "-i", str(out)]
    text = subprocess.run(script, capture_output=True, text=True, check=False).stdout
    stacks = [stack for block in text.split("\n\n") if (stack := _kernel_part(block)) is not None]
    found = Counter(_kind(stack) for stack in stacks if stack)
    return {f"kernel: {kind}": times / len(stacks) for kind, times in found.items()}


def _kernel_part(block: str) -> list[str] | None:
    """The kernel's functions in one sample, innermost first; None for no sample at all."""
    lines = [line.split() for line in block.strip().splitlines()]
    if not lines:
        return None
    return [line[1].split("+")[0] for line in lines if line[0].startswith(_KERNEL) and line[1:]]


def _kind(stack: list[str]) -> str:
    to_socket = any("sock_" in function for function in stack)
    for function in reversed(stack):
        if "write" in function or "send" in function:
            return "socket writes" if to_socket else "file writes"
        if "read" in function or "recv" in function:
            return "socket reads" if to_socket else "file reads"
        if "epoll" in function:
            return "waiting for sockets"
        if "interrupt" in function or "_ipi" in function or "page_fault" in function:
            return "interrupts and page faults"
    return "other system calls"
