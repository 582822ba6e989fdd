"""Stream maps beside what they do not know of: flattened keys, keys of records, references, odd schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from target_databox.singer.messages import InputError
from tests.command import record, schema
from tests.loading import load, stored

if TYPE_CHECKING:
    from target_databox.emulator import Emulator

pytestmark = pytest.mark.usefixtures("signals")

CAMPAIGN = {"type": "object", "properties": {"id": {"type": "integer"}, "name": {"type": "string"}}}
NESTED = schema("ads", ["campaign"], campaign=CAMPAIGN, clicks={"type": "integer"})
ROWS = (
    record("ads", campaign={"id": 1, "name": "x"}, clicks=3),
    record("ads", campaign={"id": 1, "name": "x"}, clicks=4),
)


@pytest.mark.parametrize(
    ("settings", "title", "row"),
    [
        (
            {"stream_maps": {"ads": {"__key_properties__": ["campaign__id"]}}},
            "ads",
            {"campaign__id": 1, "campaign__name": "x", "clicks": 4},
        ),
        (
            {"stream_maps": {"a*": {"__key_properties__": ["campaign__id"], "clicks": None}}},
            "ads",
            {"campaign__id": 1, "campaign__name": "x"},
        ),
        (
            {"stream_maps": {"ads": {"__alias__": "Ads", "__key_properties__": ["campaign__name"]}}},
            "Ads",
            {"campaign__id": 1, "campaign__name": "x", "clicks": 4},
        ),
        (
            {
                "stream_maps": {
                    "ads": {"cid": "campaign['id']", "campaign": None, "__key_properties__": ["cid"]}
                }
            },
            "ads",
            {"cid": "1", "clicks": 4},
        ),
        (
            {"column_types": {"ads": {"campaign": "string"}}},
            "ads",
            {"campaign": '{"id":1,"name":"x"}', "clicks": 4},
        ),
        (
            {
                "stream_maps": {"ads": {"__key_properties__": ["campaign-id"]}},
                "flattening_separator": "-",
            },
            "ads",
            {"campaign-id": 1, "campaign-name": "x", "clicks": 4},
        ),
    ],
)
def test_nested_keys_can_be_named(
    emulator: Emulator, settings: dict[str, Any], title: str, row: dict[str, Any]
) -> None:
    """Every way out of a key that is an object works: the second row replaces the first one."""
    load(emulator, NESTED, *ROWS, **settings)
    assert stored(emulator, title) == [row]


def test_nested_key_is_refused_with_advice(emulator: Emulator) -> None:
    """A key that is an object ends the run at its SCHEMA with what to set instead."""
    with pytest.raises(InputError) as caught:
        load(emulator, NESTED, *ROWS)
    assert str(caught.value) == (
        "Line 1 of the input is a SCHEMA of stream 'ads' that can't be loaded: The key property 'campaign' "
        "is an object, which can't be a key. Name a column that it becomes, such as 'campaign__id', in "
        "primary_keys, or give 'campaign' the type string in column_types."
    )


MAPS = {"users": {"name": "name.upper()", "n": None}}


@pytest.mark.parametrize(
    ("tap", "values", "row"),
    [
        ({"type": "object"}, {"_id": "a", "name": "x", "n": 1}, {"_id": "a", "name": "X"}),
        ({"properties": {}}, {"_id": "a", "name": "x"}, {"_id": "a", "name": "X"}),
        (
            {"$ref": "#/d/user", "d": {"user": {"properties": {"_id": {}, "name": {"type": "string"}}}}},
            {"_id": "a", "name": "x"},
            {"_id": "a", "name": "X"},
        ),
        (
            {
                "properties": {"n": {"type": "integer"}, "m": {"$ref": "#/properties/n"}},
                "required": ["n"],
            },
            {"_id": "a", "name": "x", "n": 1, "m": 2},
            {"_id": "a", "name": "X", "m": 2},
        ),
        (
            {"properties": {"name": True, "n": False, "_id": True}, "required": False},
            {"_id": "a", "name": "x"},
            {"_id": "a", "name": "X"},
        ),
        (
            {"allOf": [{"properties": {"_id": {"type": "string"}}}], "properties": {"name": None}},
            {"_id": "a", "name": "x"},
            {"_id": "a", "name": "X"},
        ),
    ],
)
def test_maps_suit_any_schema(
    emulator: Emulator, tap: dict[str, Any], values: dict[str, Any], row: dict[str, Any]
) -> None:
    """Stream maps change columns of open schemas, of references, and of those that others refer to."""
    message = {"type": "SCHEMA", "stream": "users", "schema": tap, "key_properties": ["_id"]}
    load(emulator, message, record("users", **values), stream_maps=MAPS)
    assert stored(emulator, "users") == [row]


def test_definitions_outlive_maps(emulator: Emulator) -> None:
    """What a map keeps of a stream may refer to definitions of the whole."""
    message = {
        "type": "SCHEMA",
        "stream": "users",
        "schema": {
            "properties": {
                "id": {"$ref": "#/definitions/id"},
                "tags": {"items": {"$ref": "#/definitions/id"}},
            },
            "definitions": {"id": {"type": "integer"}},
        },
        "key_properties": ["id"],
    }
    maps = {"users": {"id": "id", "tags": "tags", "__else__": None}}
    load(emulator, message, record("users", id=1, tags=[1], more=2), stream_maps=maps)
    assert stored(emulator, "users") == [{"id": 1, "tags": [1]}]


def test_numbers_of_expressions_are_text(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    """A number that an expression makes, which the SDK takes for text, is text, and one warning says so."""
    load(
        emulator,
        schema("a", id={"type": "integer"}),
        record("a", id=2),
        record("a", id=3),
        stream_maps={"a": {"twice": "id * 2"}},
    )
    assert stored(emulator, "a") == [{"id": 2, "twice": "4"}, {"id": 3, "twice": "6"}]
    warnings = [entry.getMessage() for entry in caplog.records if entry.levelname == "WARNING"]
    assert warnings == [
        "Stream 'a' has other values than text where its schema has text (twice: its value is not of types "
        '"null", "string"). They are loaded as text, objects as JSON; for columns to calculate with, set '
        "column_types."
    ]


def test_numbers_of_expressions_can_be_numbers(emulator: Emulator) -> None:
    """With `column_types` such a column is one of numbers."""
    load(
        emulator,
        schema("a", id={"type": "integer"}),
        record("a", id=2),
        stream_maps={"a": {"twice": "id * 2"}},
        column_types={"a": {"twice": "number"}},
    )
    assert stored(emulator, "a") == [{"id": 2, "twice": 4}]


def test_maps_refuse_what_is_no_schema(emulator: Emulator) -> None:
    """Where a schema's properties are none, stream maps are refused in a sentence."""
    message = {"type": "SCHEMA", "stream": "users", "schema": {"properties": ["a"]}, "key_properties": ["a"]}
    with pytest.raises(
        InputError, match=r"do not fit: its properties are not an object from name to schema\.$"
    ):
        load(emulator, message, stream_maps=MAPS, validate_records=False)
