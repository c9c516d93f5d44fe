"""The memory of a worker with many tenants is in large pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from proxy_servers import GatewayProcess, wait_until

from proxy import pages

MB = 1024 * 1024


needs_large_pages = pytest.mark.skipif(not pages.possible(), reason="There are no large pages.")


@needs_large_pages
def test_a_worker_sees_to_it(gateway: GatewayProcess) -> None:
    wait_until(lambda: large(gateway.process.pid) > 0, "its heap is in large pages")


@needs_large_pages
def test_the_heap_is_put_into_large_pages() -> None:
    heap = [bytes(400) for _ in range(100_000)]
    before = large()

    pages.enlarge()

    assert large() - before > len(heap) * 400 / 2
    assert all(one == bytes(400) for one in heap)


@needs_large_pages
def test_what_is_in_large_pages_is_left_alone() -> None:
    heap = [bytes(400) for _ in range(100_000)]
    pages.enlarge()
    after = list(pages.scattered(Path("/proc/self/smaps").read_text()))

    assert sum(end - start for start, end in after) < len(heap) * 400 / 2


def test_only_what_is_mostly_used_is_worth_it() -> None:
    mappings = "".join(
        (
            mapping(0x7F0000100000, 9, used=9),
            mapping(0x7F0010000000, 8, used=1),
            mapping(0x7F0020000000, 8, used=8, large=8),
            mapping(0x7F0030000000, 1, used=1),
            mapping(0x7F0040000000, 8, used=8, what="00:01 1035 /work/usage", mode="rw-s"),
            mapping(0x7F0050000000, 8, used=8, what="fe:00 260850 /usr/lib/libc.so"),
            mapping(0x560000000000, 4, used=4, what="00:00 0          [heap]"),
            mapping(0x7FFE00000000, 8, used=8, what="00:00 0          [stack]"),
        )
    )

    found = list(pages.scattered(mappings))

    assert found == [(0x7F0000200000, 0x7F0000A00000), (0x560000000000, 0x560000400000)]


def mapping(
    start: int, size: int, *, used: int, large: int = 0, what: str = "00:00 0 ", mode: str = "rw-p"
) -> str:
    """Of ``size`` MB, as ``/proc/PID/smaps`` shows it."""
    return (
        f"{start:x}-{start + size * MB:x} {mode} 00000000 {what}\n"
        f"Size:  {size * 1024} kB\nRss:  {used * 1024} kB\nPss:  {used * 1024} kB\n"
        f"AnonHugePages:  {large * 1024} kB\nVmFlags: rd wr mr mw me ac \n"
    )


def large(pid: int | str = "self") -> int:
    """Bytes of a process in large pages."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(kb) * 1024 for kb in re.findall(r"AnonHugePages: +(\d+) kB", text))
