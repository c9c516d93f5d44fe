"""Usage events on disk, before the answer is over, so that they outlive a kill -9.

A worker has files of its own, which begin with its name: one of slots, which say what it
knows of the calls that are upstream now (``slots``), and segments of records (``segment``).
Files of workers that are gone are adopted by any that lives.

No call goes upstream whose record might find no room. So there are always spare segments,
allocated on the disk, with room for the largest record of every call under way; segments
that were shipped are used again. Where no more can be had, since the disk is full or the
journal at its limit, calls are refused until there is room. What they were refused with is
then not recorded: the upstream has not seen them.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import secrets
from pathlib import Path
from time import monotonic, time_ns
from typing import Any

import msgspec

from contract.usage import UsageEvent, decode, encode
from proxy.errors import UsageUnrecordable
from proxy.usage import slots as slot_files
from proxy.usage.files import WORD
from proxy.usage.orphan import Orphan
from proxy.usage.segment import HEADER, SUFFIX, Segment
from proxy.usage.slots import SLOT, Slot, Slots

logger = logging.getLogger(__name__)

MOST = 4096
"""Bytes that a record may take."""
SPARES = 2
PROBE_SECONDS = 0.5
"""How often a disk that was full is tried again."""
_COMPLAIN_SECONDS = 10.0
_SLOT_MOST = SLOT - WORD
_encode = msgspec.msgpack.Encoder().encode


class Journal:
    """What this worker writes. Not for several threads.

    ``refused``: calls for which there was no room; ``unrecorded``: refusals, of whatever
    kind, that were not recorded either; ``recovered``: calls that were lost with other
    workers and recorded by this one.
    """

    def __init__(self, directory: Path, segment_bytes: int, most_bytes: int = 1 << 40) -> None:
        """``most_bytes``: of all files in the directory, those of other workers included."""
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.name = f"{time_ns():020d}-{os.getpid()}-{secrets.token_hex(4)}"
        self.refused = self.unrecorded = self.recovered = 0
        self.waiting: list[Segment] = []
        """Full, and not yet shipped."""
        self.open: Segment | None = None
        self._spares: list[Segment] = []
        self._slots: Slots | None = None
        self._free: list[Slot] = []
        self._floor = 0
        """As many slots must stay free: the spares have no room for records of more calls."""
        self._size = segment_bytes
        self._calls_each = (segment_bytes - HEADER) // (MOST + WORD)
        """Calls under way for whose records a spare has room, however large they are."""
        if not self._calls_each:
            raise ValueError(f"A segment must have room for {MOST + WORD + HEADER} bytes.")
        self._most = most_bytes
        self._number = 0
        self._files = 0
        self._retry_at = self._complained = 0.0
        self._make_room()

    # Calls

    def begin(self, known: UsageEvent | tuple[Any, ...]) -> Slot:
        """Takes a call before it goes upstream; ``known`` is its event so far, or the first
        fields of it.

        Raises UsageUnrecordable where its record might find no room.
        """
        if len(self._free) <= self._floor and not self._make_room():
            self.refused += 1
            raise UsageUnrecordable
        outline = _encode(known)
        if len(outline) > _SLOT_MOST:
            outline = _brief(outline)
        slot = self._free.pop()
        block, words, start = slot
        block[start + WORD : start + WORD + len(outline)] = outline
        words[start // WORD] = len(outline)
        return slot

    def append(self, event: UsageEvent, slot: Slot | None = None) -> None:
        """Writes the record of a call, and frees the slot that it may have taken."""
        record = encode(event)
        if len(record) > MOST:
            record = _brief(record)
        if slot is None and not self._has_room_besides():
            self.unrecorded += 1
            return
        if (self.open is None or not self.open.append(record)) and not self._rotate(record):
            return
        if slot is not None:
            slot[1][slot[2] // WORD] = 0
            self._free.append(slot)

    @property
    def under_way(self) -> int:
        """Calls that hold a slot."""
        return (self._slots.total if self._slots is not None else 0) - len(self._free)

    # Room

    def _has_room_besides(self) -> bool:
        """Whether a record can be written without the room promised to calls under way."""
        return self._is_besides() or (self._make_room() and self._is_besides())

    def _is_besides(self) -> bool:
        spares = len(self._spares)
        if self.open is None or self.open.end + WORD + MOST > self._size:
            spares -= 1
        return spares >= 0 and self.under_way <= spares * self._calls_each

    def _make_room(self) -> bool:
        """Sees to spares and slots for the calls under way and one more; whether they are there.

        A disk that was full is left alone for a while.
        """
        if monotonic() >= self._retry_at:
            try:
                self._top_up()
            except OSError as error:
                self._retry_at = monotonic() + PROBE_SECONDS
                self._complain(error)
        return len(self._free) > self._floor

    def _top_up(self) -> None:
        if self._slots is None:
            self._slots = Slots.create(self.directory / f"{self.name}{slot_files.SUFFIX}")
            self._free = self._slots.free
            self._promise()
        while len(self._spares) < self._wanted():
            self._spares.append(self._allocate())
            self._promise()
        if not self._free:
            self._slots.grow()
            self._promise()

    def _wanted(self) -> int:
        """Spares: for the calls under way, for one more, and in advance."""
        return self.under_way // self._calls_each + SPARES

    def _promise(self) -> None:
        total = self._slots.total if self._slots is not None else 0
        self._floor = max(0, total - len(self._spares) * self._calls_each)

    def _allocate(self) -> Segment:
        used = sum(_size(entry) for entry in os.scandir(self.directory))
        if used + self._size > self._most:
            raise OSError(errno.EDQUOT, f"the journal is at its limit of {self._most} bytes")
        self._files += 1
        return Segment.create(self.directory / f"{self.name}-{self._files}{SUFFIX}", self._size)

    def _rotate(self, record: bytes) -> bool:
        """The next spare becomes the open segment, with this record as its first.

        There is one for every call under way; only once the journal is closed there is none.
        """
        if not self._spares:
            return False
        fresh = self._spares.pop(0)
        self._number += 1
        fresh.begin(self._number)
        if self.open is not None:
            self.open.rest()
            self.waiting.append(self.open)
        self.open = fresh
        self._promise()
        return fresh.append(record)

    def recycle(self, segment: Segment) -> None:
        """A waiting segment has been shipped."""
        self.waiting.remove(segment)
        if len(self._spares) < self._wanted() + SPARES:
            segment.clear()
            self._spares.append(segment)
            self._promise()
        else:
            segment.delete()

    def _complain(self, error: OSError) -> None:
        if monotonic() - self._complained > _COMPLAIN_SECONDS:
            self._complained = monotonic()
            logger.error("Calls are refused, since usage cannot be recorded: %s", error)

    # Figures

    @property
    def waiting_bytes(self) -> int:
        """Written and not yet shipped, full segments as a whole."""
        unshipped = self.open.end - self.open.cursor if self.open is not None else 0
        return self._size * len(self.waiting) + unshipped

    # The end

    def orphans(self) -> list[Orphan]:
        """Takes over the files of workers that are gone, and removes those that they had only
        begun. Raises OSError.

        Those that cannot be read stay where they are.
        """
        found = []
        for path in sorted(self.directory.glob(f"*{slot_files.SUFFIX}")):
            own = self._slots is not None and path == self._slots.path
            if not own and (slots := Slots.adopt(path)) is not None:
                try:
                    orphan = Orphan(slots)
                except OSError as error:
                    logger.error("%s and what belongs to it cannot be read: %s", path, error)
                    slots.close()
                    continue
                self.recovered += len(orphan.lost)
                found.append(orphan)
        slot_files.remove_drafts(self.directory)
        return found

    def close(self) -> None:
        """Leaves nothing behind if all is shipped and no call under way."""
        left = self.waiting_bytes or self.under_way
        for segment in [*self.waiting, *self._spares, *([self.open] if self.open else [])]:
            if left:
                segment.rest()
            else:
                segment.delete()
        if self._slots is not None:
            if not left:
                self._slots.path.unlink()
            self._slots.close()
        self.waiting, self._spares, self.open, self._slots = [], [], None, None
        self._retry_at = math.inf


def _brief(known: bytes) -> bytes:
    """The same event without what a client or an administrator may have made too long."""
    return encode(msgspec.structs.replace(decode(known), method="", path="", model=""))


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except FileNotFoundError:
        return 0
