"""The temporary file of a verification: private, nameless, bounded in memory, and without values."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from target_databox.verification import kept_rows
from target_databox.verification.errors import VerificationError
from target_databox.verification.kept_rows import KeptRows
from target_databox.verification.prints import Print

if TYPE_CHECKING:
    from collections.abc import Iterator

PRINT = Print(b"whole", b"marks", b"shape", b"variants")


def opened(folder: Path) -> list[Path]:
    """The open files of this process that are, or were, in a folder."""
    links = [each for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
    return [each for each in links if str(each.readlink()).startswith(str(folder))]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeptRows]:
    """Rows kept in a folder of their own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rows = KeptRows()
    yield rows
    rows.close()


def test_file_is_private_and_nameless(kept: KeptRows, tmp_path: Path) -> None:
    """The file is its owner's alone, and has no name as soon as it is open, so that no end leaves it."""
    (descriptor,) = opened(tmp_path)
    status = os.stat(descriptor)  # noqa: PTH116 # of an open file
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_nlink == 0
    assert list(tmp_path.iterdir()) == []
    kept.close()
    assert opened(tmp_path) == []


def test_newest_row_of_a_key_counts(kept: KeptRows) -> None:
    """A row takes the place of an older one of its key, in its own stream alone."""
    kept.add(0, [(b"a", PRINT, 1), (b"b", PRINT, 2), (b"a", PRINT._replace(whole=b"newer"), 3)])
    kept.add(1, [(b"a", PRINT, 4)])
    found = kept.find(0, [b"a", b"b", b"c"])
    assert {key: (row.whole, row.copies) for key, row in found.items()} == {
        b"a": (b"newer", 2),
        b"b": (b"whole", 1),
    }
    assert kept.counts(0, by_copies=False) == (2, 2)


def test_rows_that_came_back_are_not_missing(kept: KeptRows) -> None:
    """What came back is noted, until another look begins."""
    kept.add(0, [(b"%d" % number, PRINT, number) for number in range(2000)])
    assert len(kept.find(0, [b"%d" % number for number in range(2000)])) == 2000
    kept.note(0, [(b"%d" % number, 1) for number in range(0, 2000, 2)])
    assert kept.counts(0, by_copies=False) == (2000, 1000)
    assert kept.missing(0, by_copies=False) == [(b"%d" % number, number) for number in (1, 3, 5, 7, 9)]
    kept.forget_seen(0)
    assert kept.counts(0, by_copies=False).missing == 2000


def test_copies_are_counted(kept: KeptRows) -> None:
    """Of rows without keys each copy counts."""
    kept.add(0, [(b"a", PRINT, number) for number in range(3)])
    kept.note(0, [(b"a", 2)])
    assert kept.counts(0, by_copies=True) == (1, 1)
    kept.note(0, [(b"a", 4)])
    assert kept.counts(0, by_copies=True) == (1, 0)


def test_full_disk_ends_with_advice(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A temporary directory without room is an error that names TMPDIR."""
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    monkeypatch.setattr(kept_rows, "CACHE_KIBIBYTES", 8)
    rows = KeptRows()
    with pytest.raises(VerificationError, match="set TMPDIR to a directory with more room"):
        rows.add(0, [(b"%d" % number, PRINT, number) for number in range(2000)])
    rows.close()


def test_directory_that_is_missing_ends_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A temporary directory that can't be written is an error that names TMPDIR."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(VerificationError, match=r"No temporary file can be made: No such file .* Set TMPDIR"):
        KeptRows()
