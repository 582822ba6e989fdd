"""Facts on a stream with every type of property that a Notion data source can have."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from target_databox.records.columns import Flattening, columns, open_objects
from target_databox.records.modern import modern
from target_databox.records.rows import RowEncoder

DECODER = msgspec.json.Decoder(float_hook=Decimal)
MESSAGES = [
    DECODER.decode(line) for line in (Path(__file__).parent / "data/notion.singer").read_bytes().splitlines()
]
SCHEMA: dict[str, Any] = modern(MESSAGES[0]["schema"])
RECORDS: list[dict[str, Any]] = [message["record"] for message in MESSAGES if message["type"] == "RECORD"]
PROPERTIES = "properties__"


@pytest.fixture(name="rows")
def encoded_rows() -> list[dict[str, Any]]:
    """The rows as Databox sees them."""
    encoder = RowEncoder(SCHEMA, columns(SCHEMA), ["id"])
    return [DECODER.decode(encoder.encode(record).body) for record in RECORDS]


@pytest.mark.parametrize(
    ("column", "data_type"),
    [
        ("Name__title", "string"),
        ("Description__rich_text", "string"),
        ("Price__number", "number"),
        ("In stock__checkbox", "string"),
        ("Food group__select__name", "string"),
        ("Store availability__multi_select", "string"),
        ("Stage__status__name", "string"),
        ("Last ordered__date__start", "datetime"),
        ("Last ordered__date__end", "datetime"),
        ("+1__people", "string"),
        ("Photo__files", "string"),
        ("Meals__relation", "string"),
        ("Number of meals__rollup__number", "number"),
        ("Meal names__rollup__array", "string"),
        ("Margin__formula__number", "number"),
        ("Margin__formula__date__start", "datetime"),
        ("Supplier__url", "string"),
        ("Contact__email", "string"),
        ("Hotline__phone_number", "string"),
        ("Ticket__unique_id__number", "number"),
        ("Created__created_time", "datetime"),
        ("Author__created_by__person__email", "string"),
        ("Edited__last_edited_time", "datetime"),
        ("Editor__last_edited_by__name", "string"),
    ],
)
def test_every_property_type_has_columns(column: str, data_type: str) -> None:
    """Numbers and dates of any depth are columns that metrics can be made of."""
    found = {item.name: item.data_type for item in columns(SCHEMA, key_properties=["id"])}
    assert found[PROPERTIES + column] == data_type


def test_records_fit_their_schema() -> None:
    """The stream is a valid one, so that a run can load it."""
    for record in RECORDS:
        jsonschema.Draft7Validator(SCHEMA).validate(record)


def test_values_arrive(rows: list[dict[str, Any]]) -> None:
    """Values arrive in their columns with their digits, offsets and characters."""
    first, second, third = ({name.removeprefix(PROPERTIES): row[name] for name in row} for row in rows)
    assert str(first["Price__number"]) == "2.50"
    assert first["In stock__checkbox"] == "true"
    assert first["Food group__select__name"] == "🥦 Vegetable"
    assert first["Last ordered__date__start"] == "2024-01-31"
    assert second["Last ordered__date__start"] == "2024-02-01T08:30:00.000+01:00"
    assert first["icon__emoji"] == "🥬"
    assert first["Number of meals__rollup__number"] == 2
    assert first["Author__created_by__person__email"] == "ada@example.com"
    assert DECODER.decode(first["Meals__relation"]) == [{"id": "m-1"}, {"id": "m-2"}]
    assert (second["Food group__select__name"], third["Last ordered__date__start"]) == (None, None)
    assert third["Price__number"] is None


def test_columns_have_one_type(rows: list[dict[str, Any]]) -> None:
    """A column holds one type of value in all rows, and only columns that are declared or of open objects."""
    declared = {item.name: item.data_type for item in columns(SCHEMA)}
    assert open_objects(SCHEMA, Flattening()) == {("icon",)}
    for row in rows:
        for name, value in row.items():
            assert name in declared or name.startswith("icon__")
            types = (int, Decimal) if declared.get(name) == "number" else str
            assert value is None or isinstance(value, types), name
