"""What a worker leaves behind that died while it made its files."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.usage import slots
from proxy.usage.files import create
from proxy.usage.journal import Journal
from proxy.usage.segment import SUFFIX
from proxy.usage.slots import BLOCK, DRAFT, Slots

OUTLINE = ("id-1", 1, "t", "GET", "/", 0, "", "a", "r", "app", "key", "plan")


def abandoned(directory: Path) -> Path:
    """The files of a worker with one call upstream that is gone. The path of its slots."""
    journal = Journal(directory, 1 << 16)
    journal.begin(OUTLINE)
    assert journal._slots is not None
    path = journal._slots.path
    journal.close()
    return path


@pytest.mark.parametrize("size", [0, 4, 4096])
def test_a_segment_that_was_never_whole_hides_nothing_of_the_others(
    tmp_path: Path, size: int
) -> None:
    path = abandoned(tmp_path)
    (tmp_path / f"{path.stem}-99{SUFFIX}").write_bytes(bytes(size))
    journal = Journal(tmp_path, 1 << 16)
    (orphan,) = journal.orphans()
    assert len(orphan.lost) == 1
    orphan.delete()
    journal.close()
    assert list(tmp_path.iterdir()) == []


DIES = """
import os, signal, sys
from pathlib import Path
from proxy.usage import slots
from proxy.usage.journal import Journal

def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(*eval(sys.argv[2]), die)
Journal(Path(sys.argv[1]), 1 << 16)
"""


def drafts(directory: Path) -> list[int]:
    """Their sizes."""
    return [path.stat().st_size for path in directory.glob(f"*{DRAFT}")]


@pytest.mark.parametrize(
    ("when", "size"),
    [
        ("slots.fcntl, 'flock'", 0),
        ("slots, 'allocate'", 0),
        ("slots, 'Mapping'", BLOCK),
        ("Path, 'rename'", BLOCK),
    ],
)
def test_what_a_worker_left_that_was_killed_while_it_started_is_removed(
    tmp_path: Path, when: str, size: int
) -> None:
    command = [sys.executable, "-c", DIES, str(tmp_path), when]
    path = os.pathsep.join(sys.path)
    assert subprocess.run(command, env={"PYTHONPATH": path}, check=False).returncode == -9
    assert drafts(tmp_path) == [size]
    journal = Journal(tmp_path, 1 << 16)
    assert journal.orphans() == []
    assert drafts(tmp_path) == []
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_being_made_is_left_alone(tmp_path: Path) -> None:
    draft = tmp_path / f"living{DRAFT}"
    descriptor = create(draft)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    journal = Journal(tmp_path, 1 << 16)
    assert journal.orphans() == []
    assert draft.exists()
    os.close(descriptor)
    assert journal.orphans() == []
    assert not draft.exists()
    journal.close()


@pytest.mark.parametrize("gone", [False, True], ids=["taken", "taken and removed"])
def test_a_worker_that_starts_while_another_clears_up_need_not_start_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    """For a moment its file is there and not locked."""
    taken: list[Slots] = []

    def meets_the_other(path: Path) -> int:
        descriptor = create(path)
        if not taken:
            other = Slots.adopt(path)
            assert other is not None
            taken.append(other)
            if gone:
                path.unlink()
                other.close()
        return descriptor

    monkeypatch.setattr(slots, "create", meets_the_other)
    journal = Journal(tmp_path, 1 << 16)
    assert taken
    journal.begin(OUTLINE)
    assert Journal(tmp_path, 1 << 16).orphans() == []


def test_files_that_cannot_be_read_keep_no_other_orphan_waiting_and_are_tried_again(
    tmp_path: Path,
) -> None:
    broken, whole = abandoned(tmp_path), abandoned(tmp_path)
    segment = tmp_path / f"{broken.stem}-99{SUFFIX}"
    segment.mkdir()
    journal = Journal(tmp_path, 1 << 16)
    (orphan,) = journal.orphans()
    assert orphan.segments[0].path.name.startswith(whole.stem)
    orphan.delete()
    segment.rmdir()
    (orphan,) = journal.orphans()
    assert len(orphan.lost) == 1
    orphan.delete()
    journal.close()
