"""Why the platform cannot start: each type is one situation, its message one clear sentence."""

from __future__ import annotations

import errno
from pathlib import Path


class Problem(Exception):
    """Something the person at the terminal can put right; the message says how."""

    code = "problem"


class AlreadyRunning(Problem):
    code = "already_running"


class PortInUse(Problem):
    code = "port_in_use"


class DiskFull(Problem):
    code = "disk_full"

    @classmethod
    def at(cls, place: Path) -> DiskFull:
        return cls(
            f"The disk that holds {place} is full: free some space, or set HUBPO_VAR to a "
            "directory on another disk."
        )


class Unusable(Problem):
    """A directory or a server's data that cannot be used."""

    code = "unusable"


class DidNotStart(Problem):
    """A process that ended, or did not answer in time."""

    code = "did_not_start"


def of_disk(error: OSError, place: Path) -> Problem:
    """The sentence for an error of the operating system while writing in ``place``."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull.at(place)
    where = error.filename or place
    return Unusable(
        f"{where} cannot be used ({error.strerror}): correct it, or set HUBPO_VAR to a directory "
        "that you may write."
    )
