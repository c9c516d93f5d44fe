"""The last good snapshots on disk, from which a gateway starts when nothing else answers.

All workers of a machine share the directory. Writing waits for the disk, so it follows
behind what is in effect: a copy that a killed worker did not come to is written by the next.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from pathlib import Path

logger = logging.getLogger(__name__)


class Copies:
    """``close`` it at the end: it waits until all is written."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._due: dict[str, bytes | None] = {}
        """By tenant id what is to be written; None for a copy that is to go."""
        self._task: asyncio.Task[None] | None = None

    def read(self) -> Iterator[tuple[str, bytes]]:
        """Tenant ids and blobs. Raises OSError where the directory cannot be made."""
        self._directory.mkdir(parents=True, exist_ok=True)
        for path in sorted(self._directory.glob("*.snapshot")):
            try:
                yield path.stem, path.read_bytes()
            except OSError as error:
                logger.error("The copy %s cannot be read: %s", path, error)

    def keep(self, tenant_id: str, blob: bytes) -> None:
        """``tenant_id`` must be fit for a file name."""
        self._schedule(tenant_id, blob)

    def forget(self, tenant_id: str) -> None:
        self._schedule(tenant_id, None)

    async def close(self) -> None:
        if self._task is not None:
            await self._task

    def _schedule(self, tenant_id: str, blob: bytes | None) -> None:
        self._due[tenant_id] = blob
        if self._task is None:
            self._task = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while self._due:
            due, self._due = self._due, {}
            await asyncio.to_thread(self._write_all, due)
        self._task = None

    def _write_all(self, due: dict[str, bytes | None]) -> None:
        for tenant_id, blob in due.items():
            try:
                self._write(self._directory / f"{tenant_id}.snapshot", blob)
            except OSError as error:
                logger.error("The copy of tenant %s could not be changed: %s", tenant_id, error)

    def _write(self, path: Path, blob: bytes | None) -> None:
        """Atomic: a reader finds the old copy or the new one, whole."""
        if blob is None:
            path.unlink(missing_ok=True)
            return
        if path.exists() and path.read_bytes() == blob:
            return
        draft = path.with_suffix(f".{os.getpid()}.draft")
        with draft.open("wb") as file:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
