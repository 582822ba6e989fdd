"""Opens the emulator's SQLite database and knows its tables, so that the rules can speak in objects."""

from __future__ import annotations

import os
import secrets
import sqlite3
import stat
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timezone
from threading import RLock
from typing import TYPE_CHECKING, Any

from target_databox.emulator.state.directories import make_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_VERSION = 2
# Data sources and datasets share one sequence of ids (grade O for v2).
_ID_BEFORE_THE_FIRST = 4754488

_TABLES = """
CREATE TABLE IF NOT EXISTS accounts (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS data_sources (
    id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    title TEXT, timezone TEXT, key TEXT, created REAL NOT NULL,
    ingestion_supported INTEGER NOT NULL DEFAULT 1, creator INTEGER
);
CREATE TABLE IF NOT EXISTS ids (id INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS datasets (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, number INTEGER NOT NULL UNIQUE,
    data_source_id INTEGER NOT NULL REFERENCES data_sources ON DELETE CASCADE,
    title TEXT, keys TEXT, columns TEXT NOT NULL, created REAL NOT NULL,
    row_count INTEGER NOT NULL DEFAULT 0, size_bytes INTEGER NOT NULL DEFAULT 0,
    creator INTEGER, locked_until REAL NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS deleted (
    kind TEXT NOT NULL, id INTEGER NOT NULL, fields TEXT NOT NULL, until REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS kept_answers (
    scope TEXT PRIMARY KEY, input TEXT NOT NULL, answer BLOB NOT NULL, until REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS datasets_of_source ON datasets (data_source_id);
CREATE TABLE IF NOT EXISTS rows (
    seq INTEGER PRIMARY KEY, dataset INTEGER NOT NULL REFERENCES datasets ON DELETE CASCADE,
    key TEXT, body TEXT NOT NULL, changed_at REAL NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS earlier_rows (
    row INTEGER NOT NULL REFERENCES rows ON DELETE CASCADE, body TEXT NOT NULL,
    since REAL NOT NULL, until REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS earlier_of_row ON earlier_rows (row);
CREATE INDEX IF NOT EXISTS earlier_until ON earlier_rows (until);
CREATE INDEX IF NOT EXISTS rows_of_dataset ON rows (dataset);
CREATE UNIQUE INDEX IF NOT EXISTS rows_by_key ON rows (dataset, key) WHERE key IS NOT NULL;
CREATE TABLE IF NOT EXISTS ingestions (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    dataset INTEGER NOT NULL REFERENCES datasets ON DELETE CASCADE,
    accepted_at REAL NOT NULL, due_at REAL NOT NULL, listed_at REAL NOT NULL, shuffle REAL NOT NULL,
    processed_at REAL, status TEXT NOT NULL, received INTEGER NOT NULL,
    appended INTEGER NOT NULL DEFAULT 0, overwritten INTEGER NOT NULL DEFAULT 0,
    rejected INTEGER NOT NULL DEFAULT 0, fate TEXT NOT NULL, rows BLOB, creator INTEGER
);
CREATE INDEX IF NOT EXISTS ingestions_of_dataset ON ingestions (dataset, seq);
CREATE INDEX IF NOT EXISTS ingestions_listed ON ingestions (dataset, listed_at);
CREATE INDEX IF NOT EXISTS ingestions_pending ON ingestions (due_at) WHERE status = 'pending';
CREATE TABLE IF NOT EXISTS rejected_rows (
    seq INTEGER PRIMARY KEY, ingestion INTEGER NOT NULL REFERENCES ingestions ON DELETE CASCADE,
    place INTEGER NOT NULL, reason TEXT NOT NULL, field TEXT, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS rejected_of_ingestion ON rejected_rows (ingestion);
"""


class Database:
    """One SQLite connection that several threads may use, one at a time.

    `identity` is a number that stays the database's own, wherever its file is moved.

    Args:
        path: A file, made when it is missing, with its directory; `None` keeps everything in memory.

    Raises:
        ValueError: The file is not an emulator's database, or one of another version.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lock = RLock()
        if path is not None:
            _make(path)
        try:
            self._connection = sqlite3.connect(
                ":memory:" if path is None else path, check_same_thread=False, isolation_level=None
            )
        except sqlite3.OperationalError as exc:
            raise ValueError(f"{path} can't be opened: {exc}. Is its directory there?") from exc
        self._connection.row_factory = sqlite3.Row
        try:
            self._prepare(path)
        except sqlite3.DatabaseError as exc:
            self._connection.close()
            raise ValueError(f"{path} can't be used: {exc}. Name another file.") from exc
        except ValueError:
            self._connection.close()
            raise

    def _prepare(self, path: Path | None) -> None:
        try:
            # What somebody else wrote into a schema may call nothing but harmless functions.
            self.run("PRAGMA trusted_schema = OFF")
            self.run("PRAGMA cell_size_check = ON")
            version = self.one("PRAGMA user_version")[0]
            found = _schema(self._connection)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as exc:
            raise ValueError(f"{path} is not a database of the emulator: {exc}. Name another file.") from exc
        if found and version != _VERSION:
            raise ValueError(f"{path} was not made by this version of the emulator. Name another file.")
        if found and found != _own_schema():
            # A view in the place of a table, a trigger or a computed column could ask for anything, for ever.
            raise ValueError(
                f"{path} is not a database of the emulator: it has other tables, views or triggers. Name "
                "another file."
            )
        if path is not None:
            _make_private(path)
        # A trial's database may lose its last second in a crash of the machine; speed counts for more.
        for pragma in ("journal_mode = WAL", "synchronous = OFF", "foreign_keys = ON", "temp_store = MEMORY"):
            self._connection.execute(f"PRAGMA {pragma}").fetchall()
        self._connection.executescript(_TABLES)
        self.run("INSERT OR IGNORE INTO ids VALUES (?)", _ID_BEFORE_THE_FIRST)
        self._connection.execute(f"PRAGMA user_version = {_VERSION}")
        self.identity = self._kept_identity()

    def _kept_identity(self) -> int:
        """A number that no other database has, drawn when it is first opened."""
        # SQLite keeps this number for whoever makes a database; nothing else here needs it.
        self._connection.execute("BEGIN IMMEDIATE")
        identity = int(self.one("PRAGMA application_id")[0])
        if not identity:
            identity = secrets.randbelow(2**31 - 1) + 1
            self._connection.execute(f"PRAGMA application_id = {identity}")
        self._connection.execute("COMMIT")
        return identity

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction, also across calls: an inner one joins the outer one."""
        with self._lock:
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("BEGIN")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def run(self, sql: str, *values: Any) -> int:
        """Run one statement; the id of the row that it inserted, or 0."""
        with self._lock:
            return self._connection.execute(sql, values).lastrowid or 0

    def run_many(self, sql: str, values: Iterable[tuple[Any, ...]]) -> None:
        """Run one statement for each tuple of values."""
        with self._lock:
            self._connection.executemany(sql, values)

    def all(self, sql: str, *values: Any) -> list[Any]:
        """Every row of a query."""
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def first(self, sql: str, *values: Any) -> Any:
        """The first row of a query, or `None`."""
        with self._lock:
            return self._connection.execute(sql, values).fetchone()

    def one(self, sql: str, *values: Any) -> Any:
        """The only row of a query that always has one."""
        return self.first(sql, *values)

    def changes(self) -> int:
        """How many rows this connection has inserted, changed or deleted so far."""
        with self._lock:
            return self._connection.total_changes

    def close(self) -> None:
        """Close the connection; nothing can be asked afterwards."""
        with self._lock:
            self._connection.close()


def _make(path: Path) -> None:
    """Make a database's file, for its owner only; SQLite gives its other files the same mode.

    A directory that is missing is made too, and git offers nothing in it.

    A file that is there is not opened: closing it would end the locks of other connections in this process.

    Raises:
        ValueError: It can't be made, or is no file.
    """
    try:
        if not path.exists():
            make_directory(path.absolute().parent)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        elif not path.is_file():
            raise ValueError(f"{path} is no file. Name another one.")
    except OSError as exc:
        raise ValueError(f"{path} can't be opened: {exc.strerror}. Is its directory there?") from exc


def _make_private(path: Path) -> None:
    """Let nobody but its owner read a database that was made so that others could."""
    for suffix in ("", "-wal", "-shm"):
        file = path.with_name(path.name + suffix)
        with suppress(OSError):
            if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                file.chmod(0o600)


def _schema(connection: sqlite3.Connection) -> set[tuple[Any, ...]]:
    """Every table, index, view and trigger of a database, by the text that made it."""
    # Statistics are SQLite's own and say nothing of the rows.
    return {
        tuple(row)
        for row in connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")
        if not str(row[1]).startswith("sqlite_stat")
    }


def _own_schema() -> set[tuple[Any, ...]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(_TABLES)
        return _schema(connection)


def timestamp(seconds: float) -> str:
    """A time as the API writes it: `2025-10-01T12:00:00.000000Z` (grade D).

    Args:
        seconds: Seconds since 1970.
    """
    return datetime.fromtimestamp(seconds, tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
