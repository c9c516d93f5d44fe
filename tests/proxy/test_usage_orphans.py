"""What a worker leaves behind that died while it made its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.usage.journal import Journal
from proxy.usage.segment import SUFFIX


def abandoned(directory: Path) -> Path:
    """The files of a worker with one call upstream that is gone. The path of its slots."""
    journal = Journal(directory, 1 << 16)
    journal.begin(("id-1", 1, "t", "GET", "/", 0, "", "a", "r", "app", "key", "plan"))
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
