"""Files of a fixed size in memory: what is stored in one outlives a kill -9 of its process.

Their pages belong to the kernel, so a store costs a copy and no system call. All of the room
is allocated on the disk when a file is made: a store can never meet a full disk.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

WORD = 4
"""Bytes. Lengths are words of their own, stored whole or not at all, after what they measure."""


class Mapping:
    """A part of a file as ``bytes``, and the same as ``words`` in the machine's byte order."""

    __slots__ = ("_map", "bytes", "size", "words")

    def __init__(self, descriptor: int, size: int, offset: int = 0) -> None:
        self.size = size
        self._map = mmap.mmap(descriptor, size, offset=offset)
        self.bytes = memoryview(self._map)
        self.words = self.bytes.cast("I")

    def close(self) -> None:
        self.words.release()
        self.bytes.release()
        self._map.close()


def allocate(descriptor: int, size: int, offset: int = 0) -> None:
    """Room for ``size`` bytes of zeros. Raises OSError where the disk has none."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, offset, size)
    elif os.pwrite(descriptor, bytes(size), offset) != size:
        raise OSError("The disk is full.")


def create(path: Path) -> int:
    """A descriptor of a new file. Raises OSError."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
