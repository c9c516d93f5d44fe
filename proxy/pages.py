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
from pathlib import Path

logger = logging.getLogger(__name__)

LARGE = 2 * 1024 * 1024
AGAIN_SECONDS = 10.0
"""How often it is seen to what the heap has grown by."""

MOSTLY = 0.875
"""Of a mapping, what must be in use."""

_COLLAPSE, _SINCE = 25, (6, 1)
"""MADV_COLLAPSE of ``madvise(2)``, and the Linux that has it first."""
_SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_MAPPINGS = Path("/proc/self/smaps")
_heap = re.compile(
    r"^([0-9a-f]+)-([0-9a-f]+) rw-p 0+ 00:00 0 *(?:\[heap\])?\n"
    r"(?:\w+: .*\n)*?Rss: +(\d+) kB\n"
    r"(?:\w+: .*\n)*?AnonHugePages: +(\d+) kB$",
    re.MULTILINE,
).finditer


async def keep_large() -> None:
    """Sees to it again and again. In a thread, so that calls go on meanwhile."""
    if not possible():
        return
    while True:
        try:
            await asyncio.to_thread(enlarge)
        except OSError as error:
            logger.warning("The heap stays in small pages: %s", error)
            return
        await asyncio.sleep(AGAIN_SECONDS)


def possible() -> bool:
    """Whether the system can, and its operator has not forbidden it."""
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if release is None or (int(release[1]), int(release[2])) < _SINCE or not _SETTING.exists():
        return False
    return "[never]" not in _SETTING.read_text()


def enlarge() -> None:
    """Puts the heap of this process into large pages. Raises OSError where it cannot be seen."""
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    found = list(scattered(_MAPPINGS.read_text()))
    done = [advise(start, end - start, _COLLAPSE) == 0 for start, end in found]
    # One that was given back meanwhile fails, and so may all where large pages are used up.
    logger.debug("%d of %d mappings are in large pages now.", sum(done), len(done))


def scattered(mappings: str) -> Iterator[tuple[int, int]]:
    """What is worth it of ``/proc/PID/smaps``: begin and end, whole large pages.

    Only where nearly all is in use, so that memory hardly grows: not the stacks of threads.
    """
    for begin, close, resident, large in (found.groups() for found in _heap(mappings)):
        start, end = -(-int(begin, 16) // LARGE) * LARGE, int(close, 16) // LARGE * LARGE
        size = int(close, 16) - int(begin, 16)
        if int(resident) * 1024 >= size * MOSTLY and int(large) * 1024 < end - start:
            yield start, end
