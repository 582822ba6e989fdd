"""The emulator's database: for its owner only, and harmless whoever made the file."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from target_databox.emulator.state.database import _TABLES
from target_databox.emulator.state.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

EMULATOR = Path(sys.executable).parent / "databox-emulator"
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    """Files are made readable and writable by everybody, unless their maker says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> set[str]:
    """Modes of the files in a directory."""
    return {oct(path.stat().st_mode & 0o777) for path in folder.iterdir()}


def filled(path: Path) -> Path:
    """A database of the emulator with a dataset in it."""
    store = Store(path)
    source = store.create_data_source("Shop")
    store.create_dataset("orders", source.id, ["id"])
    store.close()
    return path


def test_database_is_its_owners_alone(tmp_path: Path) -> None:
    """The file and those that SQLite puts beside it can be read by nobody else."""
    store = Store(tmp_path / "new.sqlite")
    store.create_data_source("Shop")
    assert len(list(tmp_path.iterdir())) == 3
    assert modes(tmp_path) == {"0o600"}
    store.close()


@pytest.mark.parametrize("mode", [0o666, 0o644, 0o640])
def test_older_database_becomes_private(tmp_path: Path, mode: int) -> None:
    """A database that others could read is its owner's alone once it is opened."""
    path = filled(tmp_path / "old.sqlite")
    path.chmod(mode)
    store = Store(path)
    store.create_data_source("Another")
    assert modes(tmp_path) == {"0o600"}
    assert len(store.data_sources()) == 2
    store.close()


HOSTILE = {
    "view in place of a table": f"DROP TABLE accounts; CREATE VIEW accounts(id, name, type) AS {ENDLESS}",
    "view beside the tables": f"CREATE VIEW more AS {ENDLESS}",
    "trigger": f"CREATE TRIGGER t BEFORE INSERT ON data_sources BEGIN {ENDLESS}; END",
    "trigger that deletes": "CREATE TRIGGER t AFTER INSERT ON rows BEGIN DELETE FROM rows; END",
    "index over an expression": "CREATE INDEX i ON rows (abs(length(body)))",
    "computed column": "ALTER TABLE accounts ADD COLUMN more AS (hex(name))",
    "check": "DROP TABLE ids; CREATE TABLE ids (id INTEGER PRIMARY KEY CHECK (id > 0))",
    "missing table": "DROP TABLE rejected_rows",
    "another table": "CREATE TABLE mine (a)",
    "virtual table": "CREATE VIRTUAL TABLE v USING fts5(a)",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_schema_is_refused(tmp_path: Path, kind: str) -> None:
    """A database whose schema is not the emulator's own, to the letter, is refused and left as it is."""
    path = filled(tmp_path / "hostile.sqlite")
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(HOSTILE[kind])
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="it has other tables, views or triggers"):
        Store(path)
    assert path.read_bytes() == before


def test_lying_schema_is_refused(tmp_path: Path) -> None:
    """A schema whose text was written by hand is refused as well."""
    path = filled(tmp_path / "lying.sqlite")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'TEXT NOT NULL', 'TEXT') WHERE name = 'accounts'"
        )
        connection.commit()
    with pytest.raises(ValueError, match="is not a database of the emulator"):
        Store(path)


def test_hostile_database_ends_the_command(tmp_path: Path) -> None:
    """`serve` with a view that never ends as its table of accounts says so at once, with exit code 2."""
    path = tmp_path / "hostile.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"{_TABLES}; {HOSTILE['view in place of a table']}; PRAGMA user_version = 2")
    done = subprocess.run(
        [EMULATOR, "serve", "--port", "0", "--database", path], capture_output=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert b"it has other tables, views or triggers" in done.stderr


def test_statistics_are_no_stranger(tmp_path: Path) -> None:
    """A database that somebody has analyzed or vacuumed is still used."""
    path = filled(tmp_path / "analyzed.sqlite")
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("ANALYZE; VACUUM")
    store = Store(path)
    assert [each.title for each in store.datasets()] == ["orders"]
    store.close()


def test_pipe_is_no_database(tmp_path: Path) -> None:
    """A pipe is refused, and nobody waits for its other end."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="is no file"):
        Store(tmp_path / "pipe")


@pytest.mark.parametrize("content", [b"id,name\n", bytes(5000), b"SQLite format 3\0" + b"\xff" * 5000])
def test_other_file_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    """A file that is no database is refused, with its bytes and its mode as they were."""
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"is not a database of the emulator|was not made by"):
        Store(path)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (content, 0o666)
