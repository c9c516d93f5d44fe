"""Usage events on disk, before the answer is over, so that they outlive a kill -9.

A segment is a file of records, each four bytes of big-endian length and an encoded
``UsageEvent``. One worker appends to it and holds an exclusive lock on it for as long as
it lives; a segment without a lock is an orphan that any worker may ship. How far a
segment is shipped stands in a file beside it.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
from pathlib import Path
from time import monotonic, time_ns

from contract.usage import UsageEvent, encode

logger = logging.getLogger(__name__)

SUFFIX = ".usage"
_CURSOR = ".cursor"
_LONGEST = 1 << 20
_COMPLAIN_SECONDS = 10.0


class Segment:
    """One locked file. ``closed``: nothing will be appended any more."""

    def __init__(self, path: Path, descriptor: int, *, closed: bool) -> None:
        self.path = path
        self.closed = closed
        self.size = os.fstat(descriptor).st_size
        self._file = descriptor
        self._cursor_file = os.open(path.with_suffix(_CURSOR), os.O_RDWR | os.O_CREAT, 0o600)
        self.cursor = int.from_bytes(os.pread(self._cursor_file, 8, 0))

    def __repr__(self) -> str:
        return f"<Segment {self.path.name}: {self.cursor} of {self.size} bytes shipped>"

    def append(self, record: bytes) -> None:
        """All or nothing. Raises OSError."""
        written = os.write(self._file, record)
        if written != len(record):
            os.ftruncate(self._file, self.size)
            raise OSError("The disk is full.")
        self.size += written

    def read(self, most: int) -> tuple[list[bytes], int]:
        """Whole events from the cursor on, about ``most`` bytes, and the offset after them.

        Nothing where the rest is torn: cut off in the middle, or no record at all.
        """
        data = os.pread(self._file, most, self.cursor)
        events, at = [], 0
        while len(data) - at > 4:
            length = int.from_bytes(data[at : at + 4])
            if not 0 < length < _LONGEST or at + 4 + length > len(data):
                break
            events.append(data[at + 4 : at + 4 + length])
            at += 4 + length
        return events, self.cursor + at

    def advance(self, cursor: int) -> None:
        """Everything before ``cursor`` is in the stream."""
        os.pwrite(self._cursor_file, cursor.to_bytes(8), 0)
        self.cursor = cursor

    def delete(self) -> None:
        if self.cursor < self.size:
            logger.warning("%r ends in a torn record, which is dropped.", self)
        self.path.unlink(missing_ok=True)
        self.path.with_suffix(_CURSOR).unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        """Lets go of the lock: whatever is left is an orphan."""
        os.close(self._file)
        os.close(self._cursor_file)


class Journal:
    """The segments that this worker writes; the last one is open. Not for several threads."""

    def __init__(self, directory: Path, segment_bytes: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._most = segment_bytes
        self._complained = 0.0
        self.segments = [self._begin()]

    def append(self, event: UsageEvent) -> None:
        """Writes one event. A disk that takes none is complained about, not raised."""
        body = encode(event)
        segment = self.segments[-1]
        try:
            if segment.size >= self._most:
                segment = self._rotate()
            segment.append(len(body).to_bytes(4) + body)
        except OSError as error:
            if monotonic() - self._complained > _COMPLAIN_SECONDS:
                self._complained = monotonic()
                logger.error("Usage cannot be recorded and is lost: %s", error)

    def _rotate(self) -> Segment:
        fresh = self._begin()
        self.segments[-1].closed = True
        self.segments.append(fresh)
        return fresh

    def _begin(self) -> Segment:
        """A new locked segment: it gets its name only when the lock is held."""
        name = f"{time_ns():020d}-{os.getpid()}-{secrets.token_hex(4)}"
        draft = self.directory / f"{name}.draft"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND
        descriptor = os.open(draft, flags, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path = draft.with_suffix(SUFFIX)
        draft.rename(path)
        return Segment(path, descriptor, closed=False)

    def orphans(self) -> list[Segment]:
        """Takes over the segments of workers that are gone."""
        own = {segment.path for segment in self.segments}
        found = []
        for path in sorted(self.directory.glob(f"*{SUFFIX}")):
            if path not in own and (segment := _adopt(path)) is not None:
                found.append(segment)
        return found

    def close(self) -> None:
        for segment in self.segments:
            segment.release()
        self.segments = []


def _adopt(path: Path) -> Segment | None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    if os.fstat(descriptor).st_nlink == 0:
        # Another worker shipped and deleted it in between.
        os.close(descriptor)
        return None
    return Segment(path, descriptor, closed=True)
