"""What is known of the calls that are upstream now, so that none is lost with its worker.

A call takes a slot before it goes upstream and gives it back when its record is written. If
the worker is killed in between, another finds the slot taken and records the call as lost:
the upstream may have answered, and nobody can say with how many tokens.

The file also carries the lock that says that its worker lives.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path

from proxy.usage.files import WORD, Mapping, allocate, create

SUFFIX = ".calls"
DRAFT = ".draft"
"""Of a file that is not ready; its worker may die before it is."""
SLOT = 2048
"""Bytes of a slot: a word with the length, 0 where it is free, and an encoded event."""
BLOCK = 512 * SLOT

Slot = tuple[memoryview, memoryview, int]
"""Bytes and words of the block, and the slot's offset in it."""


class Slots:
    """``free`` are those at hand; there are ``total``. Grows by blocks and never shrinks."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.free: list[Slot] = []
        self.total = 0
        self._file = descriptor
        self._blocks: list[Mapping] = []

    @classmethod
    def create(cls, path: Path) -> Slots:
        """Locked, with the first block. Raises OSError, and leaves nothing behind then.

        It gets its name only when nobody can take it for that of a dead worker. As long as it
        is not locked anybody can, and then another is made, whose name is another.
        """
        while True:
            draft = path.with_name(f"{path.stem}-{secrets.token_hex(4)}{DRAFT}")
            descriptor = create(draft)
            if _lock(descriptor) and os.fstat(descriptor).st_nlink:
                break
            os.close(descriptor)
        slots = cls(path, descriptor)
        try:
            slots.grow()
            draft.rename(path)
        except OSError:
            slots.close()
            draft.unlink(missing_ok=True)
            raise
        return slots

    @classmethod
    def adopt(cls, path: Path) -> Slots | None:
        """Those of a worker that is gone; None where it lives or another adopted them."""
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return None
        if not _lock(descriptor):
            os.close(descriptor)
            return None
        slots = cls(path, descriptor)
        for _ in range(os.fstat(descriptor).st_size // BLOCK):
            slots._map()
        if os.fstat(descriptor).st_nlink == 0:
            slots.close()
            return None
        return slots

    def grow(self) -> None:
        """Raises OSError where the disk has no room."""
        allocate(self._file, BLOCK, len(self._blocks) * BLOCK)
        self._map()

    def _map(self) -> None:
        mapping = Mapping(self._file, BLOCK, len(self._blocks) * BLOCK)
        self._blocks.append(mapping)
        made = [(mapping.bytes, mapping.words, start) for start in range(0, BLOCK, SLOT)]
        self.free += reversed(made)
        self.total += len(made)

    def taken(self) -> list[bytes]:
        """What the calls left that never gave their slot back."""
        found = []
        for block in self._blocks:
            for start in range(0, BLOCK, SLOT):
                if length := block.words[start // WORD]:
                    found.append(bytes(block.bytes[start + WORD : start + WORD + length]))
        return found

    def close(self) -> None:
        """Lets go of the lock: what is left is an orphan's."""
        fcntl.flock(self._file, fcntl.LOCK_UN)
        os.close(self._file)
        self.free.clear()
        self._blocks.clear()


def _lock(descriptor: int) -> bool:
    """Whether nobody else had it. Whoever dies lets go of it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove_drafts(directory: Path) -> None:
    """Those of workers that died before their file was ready: there is nothing in them.

    Raises OSError.
    """
    for draft in directory.glob(f"*{DRAFT}"):
        if (slots := Slots.adopt(draft)) is not None:
            draft.unlink(missing_ok=True)
            slots.close()
