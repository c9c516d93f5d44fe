"""The memory of a worker with many tenants is in large pages."""

from __future__ import annotations

import asyncio
import mmap
import re
import time
from pathlib import Path
from threading import Event

import pytest
from proxy_servers import GatewayProcess, wait_until

from proxy import pages
from proxy.snapshot import Holder

MB = 1024 * 1024


needs_large_pages = pytest.mark.skipif(not pages.possible(), reason="There are no large pages.")


@needs_large_pages
def test_a_worker_sees_to_it(gateway: GatewayProcess) -> None:
    wait_until(lambda: large(gateway.process.pid) > 0, "its heap is in large pages")


@needs_large_pages
async def test_it_is_seen_to_again_only_after_tenants_have_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[float] = []
    holder = Holder()
    monkeypatch.setattr(pages, "AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(pages, "enlarge", lambda stop: seen.append(holder.changed_at))
    task = asyncio.create_task(pages.keep_large(holder))
    await asyncio.sleep(0.2)
    for changed_at in (1.0, 2.0):
        holder.changed_at = changed_at
        await asyncio.sleep(0.2)
    task.cancel()
    assert seen == [0.0, 1.0, 2.0]


@needs_large_pages
def test_the_heap_is_put_into_large_pages() -> None:
    heap = [bytes(400) for _ in range(100_000)]
    before = large()

    pages.enlarge(Event())

    assert large() - before > len(heap) * 400 / 2
    assert all(one == bytes(400) for one in heap)


@needs_large_pages
def test_a_worker_that_stops_does_not_wait_for_it() -> None:
    heap = [bytes(400) for _ in range(100_000)]
    stop = Event()
    stop.set()
    before = large()

    pages.enlarge(stop)

    assert large() - before < len(heap) * 400 / 2


@needs_large_pages
def test_little_used_memory_does_not_grow() -> None:
    size = 64 * MB
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        for place in range(0, size, 16 * mmap.PAGESIZE):
            memory[place] = 1
        before = resident()
        pages.enlarge(Event())
        assert resident() - before < size / 4


def test_many_small_mappings_are_seen_through_quickly() -> None:
    """A client that does not read has buffers of its own; meanwhile no call goes on."""
    small = [mapping(0x7F0000000000 + 2 * n * MB, 1) for n in range(4000)]
    started = time.thread_time()
    assert list(pages.mapped("".join(small))) == []
    assert time.thread_time() - started < 0.05


def test_only_whole_large_pages_of_the_heap_are_seen_to() -> None:
    mappings = "".join(
        (
            mapping(0x7F0000100000, 9),
            mapping(0x7F0030000000, 1),
            mapping(0x7F0040000000, 8, what="00:01 1035 /work/usage", mode="rw-s"),
            mapping(0x7F0050000000, 8, what="fe:00 260850 /usr/lib/libc.so"),
            mapping(0x560000000000, 4, what="00:00 0          [heap]"),
            mapping(0x7FFE00000000, 8, what="00:00 0          [stack]"),
        )
    )

    found = list(pages.mapped(mappings))

    assert found == [(0x7F0000200000, 0x7F0000A00000), (0x560000000000, 0x560000400000)]


def mapping(start: int, size: int, *, what: str = "00:00 0 ", mode: str = "rw-p") -> str:
    """Of ``size`` MB, as ``/proc/PID/maps`` shows it."""
    return f"{start:x}-{start + size * MB:x} {mode} 00000000 {what}\n"


def resident() -> int:
    """Bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


def large(pid: int | str = "self") -> int:
    """Bytes of a process in large pages."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(kb) * 1024 for kb in re.findall(r"AnonHugePages: +(\d+) kB", text))
