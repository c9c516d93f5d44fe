"""What is loaded, in large pages.

The snapshots of many tenants are a heap of small objects, of which each call touches others. In
pages of 4 KB most of these also miss the processor's cache of page addresses. Linux (6.1 and
later) moves memory into pages of 2 MB when it is asked to, and no more of it is used.

Asking once changes no flag of a mapping, as a lasting request would: what the heap grows by, a
megabyte at a time, could then not be joined to it and would never fill a large page.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import re
from collections.abc import Iterator
from functools import cache
from mmap import PAGESIZE
from pathlib import Path
from threading import Event
from time import thread_time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.snapshot import Holder

logger = logging.getLogger(__name__)

LARGE = 2 * 1024 * 1024
AGAIN_SECONDS = 10.0
"""How often it is looked whether tenants have changed."""
REST_SECONDS = 0.01
"""After each large page, which takes some milliseconds of a core that calls may want."""

MOSTLY = 0.875
"""Of a mapping, what must be in use."""

_COLLAPSE, _SINCE = 25, (6, 1)
"""MADV_COLLAPSE of ``madvise(2)``, and the Linux that has it first."""
_SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_MAPPINGS = Path("/proc/self/maps")
_heap = re.compile(
    r"^([0-9a-f]+)-([0-9a-f]+) rw-p 0+ 00:00 0 *(?:\[heap\])?$", re.MULTILINE
).finditer


async def keep_large(holder: Holder) -> None:
    """Sees to it after tenants were loaded or changed. In a thread, so that calls go on meanwhile.

    What calls take for a while, such as what waits for clients who do not read, is not worth it.
    """
    if not possible():
        return
    seen, stop = -1.0, Event()
    try:
        while True:
            if holder.changed_at != seen:
                seen = holder.changed_at
                await asyncio.to_thread(enlarge, stop)
            await asyncio.sleep(AGAIN_SECONDS)
    except OSError as error:
        logger.warning("The heap stays in small pages: %s", error)
    finally:
        # The worker's end waits for its threads.
        stop.set()


def possible() -> bool:
    """Whether the system can, and its operator has not forbidden it."""
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if release is None or (int(release[1]), int(release[2])) < _SINCE or not _SETTING.exists():
        return False
    return "[never]" not in _SETTING.read_text()


def enlarge(stop: Event) -> None:
    """Puts the heap of this process into large pages. Raises OSError where it cannot be seen.

    Of what is in them already nothing is done.
    """
    for start, end in mapped(_MAPPINGS.read_text()):
        if used(start, end) < MOSTLY:
            continue
        for page in range(start, end, LARGE):
            if stop.is_set():
                return
            began = thread_time()
            # One that was given back meanwhile fails, and so may all where none are left.
            _system().madvise(page, LARGE, _COLLAPSE)
            if thread_time() - began > REST_SECONDS / 10:
                stop.wait(REST_SECONDS)


def mapped(mappings: str) -> Iterator[tuple[int, int]]:
    """The heap, of ``/proc/PID/maps``: begin and end of each mapping, whole large pages."""
    for begin, close in (found.groups() for found in _heap(mappings)):
        start, end = -(-int(begin, 16) // LARGE) * LARGE, int(close, 16) // LARGE * LARGE
        if start < end:
            yield start, end


def used(start: int, end: int) -> float:
    """Of a mapping, what is in memory: only where that is nearly all is a large page worth it, so
    that memory hardly grows, which leaves out the stacks of threads. 0 where it is gone."""
    resident = bytearray((end - start) // PAGESIZE)
    first = ctypes.c_char.from_buffer(resident)
    if _system().mincore(start, end - start, ctypes.byref(first)) != 0:
        return 0.0
    return resident.count(1) / len(resident)


@cache
def _system() -> ctypes.CDLL:
    """Once: each has types of its own, which only the cycle collector would take away again, as it
    would a type for each length of an array."""
    system = ctypes.CDLL(None)
    system.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    system.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
    return system
