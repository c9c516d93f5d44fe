"""One file of usage records.

A word each for how far it is shipped (the cursor) and for its place among the segments of
its worker, then the records: a word with the length, and an encoded ``UsageEvent``, filled
up to the next word. A length of 0 is the end; what is behind it is of an earlier use.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from proxy.usage.files import WORD, Mapping, allocate, create

logger = logging.getLogger(__name__)

SUFFIX = ".usage"
HEADER = 2 * WORD


class Segment:
    """``end`` is where the next record goes; of a segment that another worker wrote it is
    not known. It holds no descriptor while it is only waiting."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.end = HEADER
        self._mapping: Mapping | None = None

    def __repr__(self) -> str:
        return f"<Segment {self.path.name}>"

    @classmethod
    def create(cls, path: Path, size: int) -> Segment:
        """An empty one of ``size`` bytes, in memory. Raises OSError, and leaves nothing then."""
        segment = cls(path)
        descriptor = create(path)
        try:
            allocate(descriptor, size)
            segment._mapping = Mapping(descriptor, size)
        except OSError:
            path.unlink()
            raise
        finally:
            os.close(descriptor)
        return segment

    @property
    def mapping(self) -> Mapping:
        """Raises OSError where it has to be opened and cannot."""
        if self._mapping is None:
            descriptor = os.open(self.path, os.O_RDWR)
            try:
                self._mapping = Mapping(descriptor, os.fstat(descriptor).st_size)
            finally:
                os.close(descriptor)
        return self._mapping

    @property
    def cursor(self) -> int:
        return self.mapping.words[0] or HEADER

    @property
    def number(self) -> int:
        """Later segments of a worker have higher ones; 0 where it was never used."""
        return self.mapping.words[1]

    def begin(self, number: int) -> None:
        """It is the next to be written. It is empty."""
        self.mapping.words[1] = number

    def clear(self) -> None:
        """Empties it, to be used again. All of it has been shipped, so whoever dies in the middle
        leaves nothing to read."""
        words = self.mapping.words
        words[HEADER // WORD] = 0
        words[0] = HEADER
        words[1] = 0
        self.end = HEADER

    def append(self, record: bytes) -> bool:
        """Whether there was room for it."""
        mapping, start = self._mapping or self.mapping, self.end
        end = start + WORD + len(record)
        if end > mapping.size:
            return False
        mapping.bytes[start + WORD : end] = record
        self.end = following = (end + WORD - 1) & -WORD
        if following < mapping.size:
            mapping.words[following // WORD] = 0
        mapping.words[start // WORD] = len(record)
        return True

    def read(self, most: int) -> tuple[list[bytes], int]:
        """Records from the cursor on, about ``most`` bytes, and the offset after them."""
        return self._records(self.cursor, most)

    def _records(self, at: int, most: int) -> tuple[list[bytes], int]:
        data, words = self.mapping.bytes, self.mapping.words
        records, stop = [], at + most
        while at < stop and at + WORD <= len(data) and (length := words[at // WORD]):
            end = at + WORD + length
            if end > len(data):
                logger.error("%r is damaged; its rest is dropped.", self)
                break
            records.append(bytes(data[at + WORD : end]))
            at = (end + WORD - 1) & -WORD
        return records, at

    def advance(self, cursor: int) -> None:
        """Everything before ``cursor`` is in the stream."""
        self.mapping.words[0] = cursor

    def written(self) -> bytes:
        """All records, shipped or not."""
        _, end = self._records(HEADER, self.mapping.size)
        return bytes(self.mapping.bytes[HEADER:end])

    def rest(self) -> None:
        """Lets go of the memory until it is needed again."""
        if self._mapping is not None:
            self._mapping.close()
            self._mapping = None

    def delete(self) -> None:
        self.rest()
        self.path.unlink(missing_ok=True)
