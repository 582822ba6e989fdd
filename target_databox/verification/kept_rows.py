"""Keeps what is needed of the input's rows in a temporary SQLite file, so that memory stays flat.

The file is made in `TMPDIR`, for its owner only, and has no name any more once it is open: whatever ends the
process, a kill too, removes it. It holds keys, digests and marks of values, and no value but those of keys.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from target_databox.verification.comparison import KEYS_NAMED, Kept
from target_databox.verification.errors import VerificationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from target_databox.verification.prints import Print

# Older SQLite takes no more parameters in a statement.
MOST_PARAMETERS: Final = 900
CACHE_KIBIBYTES: Final = 32_768
_TABLE: Final = (
    "CREATE TABLE kept (stream INTEGER NOT NULL, key BLOB NOT NULL, whole BLOB NOT NULL, marks BLOB NOT NULL,"
    " shape BLOB NOT NULL, variants BLOB NOT NULL, line INTEGER NOT NULL, copies INTEGER NOT NULL DEFAULT 1,"
    " seen INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (stream, key)) WITHOUT ROWID"
)
_NEWEST: Final = (
    "INSERT INTO kept (stream, key, whole, marks, shape, variants, line) VALUES (?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (stream, key) DO UPDATE SET whole = excluded.whole, marks = excluded.marks,"
    " shape = excluded.shape, variants = excluded.variants, line = excluded.line, copies = copies + 1"
)


class Found(NamedTuple):
    """A row of the input whose key came back.

    Attributes:
        whole: Its digest.
        kept: What is kept of its columns.
        copies: How often the input has the key.
        seen: How often it came back before.
    """

    whole: bytes
    kept: Kept
    copies: int
    seen: int


class Counts(NamedTuple):
    """What the file knows of a stream.

    Attributes:
        keys: How many keys it has.
        missing: Rows that did not come back; of rows without keys every copy counts.
    """

    keys: int
    missing: int


class KeptRows:
    """The rows of the input, by stream and key, the newest of each key."""

    def __init__(self) -> None:
        try:
            descriptor, name = tempfile.mkstemp(prefix="target-databox-verify-")
        except OSError as exc:
            raise VerificationError(
                f"No temporary file can be made: {exc.strerror}. Set TMPDIR to another directory."
            ) from exc
        os.close(descriptor)
        try:
            with _explained():
                self._connection = sqlite3.connect(name, isolation_level=None)
                for statement in (
                    "PRAGMA journal_mode = OFF",
                    "PRAGMA synchronous = OFF",
                    "PRAGMA locking_mode = EXCLUSIVE",
                    f"PRAGMA cache_size = -{CACHE_KIBIBYTES}",
                    _TABLE,
                    "BEGIN",
                ):
                    self._connection.execute(statement)
        finally:
            Path(name).unlink()

    def close(self) -> None:
        """Give back the file's room."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.rollback()
        self._connection.close()

    def add(self, stream: int, rows: Iterable[tuple[bytes, Print, int]]) -> None:
        """Keep rows, each in the place of an older one of its key.

        Args:
            stream: The stream's number.
            rows: Key, what is kept, and the place in the input.
        """
        with _explained():
            self._connection.executemany(_NEWEST, [(stream, key, *kept, line) for key, kept, line in rows])

    def find(self, stream: int, keys: Sequence[bytes]) -> dict[bytes, Found]:
        """The rows of some keys."""
        found: dict[bytes, Found] = {}
        with _explained():
            for start in range(0, len(keys), MOST_PARAMETERS):
                some = keys[start : start + MOST_PARAMETERS]
                for key, whole, marks, shape, variants, copies, seen in self._connection.execute(
                    "SELECT key, whole, marks, shape, variants, copies, seen FROM kept"  # noqa: S608 # question marks only
                    f" WHERE stream = ? AND key IN ({','.join('?' * len(some))})",
                    (stream, *some),
                ):
                    found[key] = Found(whole, Kept(marks, shape, variants), copies, seen)
        return found

    def note(self, stream: int, seen: Iterable[tuple[bytes, int]]) -> None:
        """Note how often keys came back."""
        with _explained():
            self._connection.executemany(
                "UPDATE kept SET seen = ? WHERE stream = ? AND key = ?",
                [(times, stream, key) for key, times in seen],
            )

    def forget_seen(self, stream: int) -> None:
        """Begin another look at a stream's dataset."""
        with _explained():
            self._connection.execute("UPDATE kept SET seen = 0 WHERE stream = ?", (stream,))

    def counts(self, stream: int, *, by_copies: bool) -> Counts:
        """How many keys a stream has, and how many rows of them did not come back."""
        missing = "max(copies - seen, 0)" if by_copies else "seen = 0"
        with _explained():
            keys, lost = self._connection.execute(
                f"SELECT count(*), total({missing}) FROM kept WHERE stream = ?",  # noqa: S608 # one of two texts
                (stream,),
            ).fetchone()
        return Counts(keys, int(lost))

    def missing(self, stream: int, *, by_copies: bool) -> list[tuple[bytes, int]]:
        """Keys and lines of the first rows that did not come back, in the order of the input."""
        lost = "copies > seen" if by_copies else "seen = 0"
        with _explained():
            return self._connection.execute(
                f"SELECT key, line FROM kept WHERE stream = ? AND {lost} ORDER BY line LIMIT {KEYS_NAMED}",  # noqa: S608 # likewise
                (stream,),
            ).fetchall()


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as exc:
        raise VerificationError(
            f"The temporary file of the verification can't be written: {exc}. It takes some 200 bytes a row: "
            "set TMPDIR to a directory with more room."
        ) from exc
