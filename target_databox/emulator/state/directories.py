"""Makes directories that only their owner can read and that git never offers to commit."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def make_directory(path: Path) -> None:
    """Make a directory for files of a trial. One that is there stays as it is.

    Args:
        path: The directory; its parent must be there.

    Raises:
        OSError: It can't be made.
    """
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    # Without it the directory serves as well.
    with suppress(OSError):
        (path / ".gitignore").write_text("*\n", encoding="utf-8")
