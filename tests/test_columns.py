"""Facts on how schemas become columns."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from singer_sdk.helpers._flattening import flatten_key

from target_databox.records.columns import (
    MOST_COLUMNS,
    Column,
    ColumnClashError,
    ColumnError,
    Flattening,
    KeyColumnError,
    counts_by_depth,
    key_columns,
    open_objects,
)
from target_databox.records.columns import columns as columns_of
from target_databox.records.modern import modern


def columns(schema: dict[str, Any], **options: Any) -> tuple[Column, ...]:
    """The columns of a tap's schema."""
    return columns_of(modern(schema), **options)


def types(properties: dict[str, Any], **options: Any) -> dict[str, str | None]:
    """Type by column name."""
    return {column.name: column.data_type for column in columns({"properties": properties}, **options)}


@pytest.mark.parametrize(
    ("schema", "data_type", "is_mixed"),
    [
        ({"type": ["number", "null"]}, "number", False),
        ({"type": "integer"}, "number", False),
        ({"type": "string", "format": "date-time"}, "datetime", False),
        ({"type": "string"}, "string", False),
        ({"type": "boolean"}, "string", False),
        ({"type": "array", "items": {"type": "integer"}}, "string", False),
        ({"type": "null"}, "string", False),
        ({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string"}]}, "string", False),
        ({"type": ["string", "integer"]}, "string", True),
        ({"type": ["string", "object"], "properties": {"a": {}}}, "string", False),
        ({}, "string", True),
    ],
)
def test_types_follow_the_schema(schema: dict[str, Any], data_type: str, is_mixed: bool) -> None:
    """Numbers and dates have types of their own; everything else and every mix is a string."""
    (column,) = columns({"properties": {"x": schema}})
    assert column == Column("x", data_type, ("x",), is_mixed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("boolean_format", "data_type"), [("text", "string"), ("number", "number"), ("boolean", None)]
)
def test_boolean_columns_follow_their_setting(boolean_format: Any, data_type: str | None) -> None:
    """A boolean column has the type of what is sent, and none for JSON booleans."""
    assert types({"x": {"type": ["boolean", "null"]}}, boolean_format=boolean_format) == {"x": data_type}


def test_objects_become_columns() -> None:
    """Objects are spread in the schema's order, nullable ones and those in unions too."""
    properties = {
        "id": {"type": "integer"},
        "address": {
            "anyOf": [
                {"type": "object", "properties": {"city": {"type": "string"}, "since": {"format": "date"}}},
                {"type": "null"},
            ]
        },
        "geo": {
            "type": ["null", "object"],
            "properties": {"at": {"type": "object", "properties": {"lat": {}}}},
        },
        "open": {"type": "object"},
    }
    assert list(types(properties)) == ["id", "address__city", "address__since", "geo__at__lat"]
    assert types(properties)["address__since"] == "datetime"
    assert open_objects({"properties": properties}, Flattening()) == {("open",)}


@pytest.mark.parametrize(
    ("flattening", "names"),
    [
        (Flattening(enabled=False), ["a", "open"]),
        (Flattening(max_depth=0), ["a", "open"]),
        (Flattening(max_depth=1), ["a__b", "a__n"]),
        (Flattening(max_depth=2, separator="."), ["a.b.c", "a.n"]),
    ],
)
def test_depth_bounds_flattening(flattening: Flattening, names: list[str]) -> None:
    """Objects beyond the depth are one string column, all of them without flattening."""
    properties = {
        "a": {
            "type": "object",
            "properties": {"b": {"type": "object", "properties": {"c": {}}}, "n": {"type": "string"}},
        },
        "open": {"type": "object"},
    }
    assert list(types(properties, flattening=flattening)) == names


def test_overrides_win() -> None:
    """A type of the settings wins, and makes an object one column."""
    properties = {
        "a": {"type": "object", "properties": {"b": {}, "c": {"type": "string"}}},
        "day": {"type": "string"},
        "whole": {"type": "object", "properties": {"x": {}}},
    }
    overrides = {"a__c": "number", "day": "datetime:%d.%m.%Y", "whole": "string", "never": "number"}
    assert types(properties, column_types=overrides) == {
        "a__b": "string",
        "a__c": "number",
        "day": "datetime",
        "whole": "string",
    }


def test_recursive_schemas_end() -> None:
    """An object within itself is spread once; its inner copies are taken as they come."""
    schema = {
        "$defs": {
            "node": {
                "properties": {
                    "n": {"type": "integer"},
                    "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                }
            }
        },
        "properties": {
            "first": {"$ref": "#/$defs/node"},
            "self": {"$ref": "#"},
            "all": {"type": "object", "allOf": [{"$ref": "#"}]},
        },
    }
    assert [column.name for column in columns(schema)] == ["first__n"]
    assert open_objects(modern(schema), Flattening()) == {("first", "next"), ("self",), ("all",)}


@pytest.mark.parametrize(
    ("properties", "origins"),
    [
        ({"a": {"properties": {"b": {}}}, "a__b": {}}, ["'a' > 'b'", "'a__b'"]),
        ({"a": {}, "a ": {}}, ["'a'", "'a '"]),
        ({"x" * 300: {}, "x" * 299: {}}, ["x" * 300, "x" * 299]),
    ],
)
def test_clashes_name_both_origins(properties: dict[str, Any], origins: list[str]) -> None:
    """Two properties that would share a column are an error that names both, and says what helps."""
    with pytest.raises(ColumnClashError) as caught:
        columns({"properties": properties})
    assert all(origin in str(caught.value) for origin in origins)
    assert str(caught.value).endswith(
        ". Rename one with a stream map, or choose another flattening_separator or flattening_max_key_length."
    )


@pytest.mark.parametrize("key", ["id", "address__city"])
def test_keys_must_be_columns(key: str) -> None:
    """Key properties are columns, flattened ones too."""
    properties = {"id": {}, "address": {"properties": {"city": {}}}}
    found = columns({"properties": properties}, key_properties=[key])
    assert key_columns(found, [key]) == (key,)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "additionalProperties": True},
        {"properties": {"name": {"type": "string"}}},
        {"additionalProperties": {"type": "string"}},
        {"$ref": "#/definitions/a", "definitions": {"a": {"properties": {"name": {}}}}},
    ],
)
def test_keys_come_with_records(schema: dict[str, Any]) -> None:
    """A key that an open schema does not name is a column of no declared type, after those that it names."""
    found = columns(schema, key_properties=["_id"])
    assert found[-1] == Column("_id", None, ("_id",))
    assert key_columns(found, ["_id"]) == ("_id",)


@pytest.mark.parametrize("key", ["open__id", "open__a__b"])
def test_keys_of_open_objects_come_with_records(key: str) -> None:
    """A key may be a column that only an object without properties will bring."""
    schema = {"properties": {"open": {"type": "object"}}, "additionalProperties": False}
    assert columns(schema, key_properties=[key]) == (Column(key, None, (key,)),)


@pytest.mark.parametrize(
    ("key", "example"),
    [("address", "address__city"), ("open", "open__id"), ("address__at", "address__at__x")],
)
def test_objects_are_no_keys(key: str, example: str) -> None:
    """An object as a key is refused with a column of it that could be one, and how to have it as text."""
    part = {"properties": {"city": {}, "at": {"properties": {"x": {}}}}}
    schema = {"properties": {"id": {}, "address": part, "open": {"type": "object"}}}
    with pytest.raises(KeyColumnError) as caught:
        columns(schema, key_properties=["id", key])
    assert str(caught.value) == (
        f"The key property '{key}' is an object, which can't be a key. Name a column that it becomes, such "
        f"as '{example}', in primary_keys, or give '{key}' the type string in column_types."
    )
    assert columns(schema, key_properties=[example])
    assert columns(schema, key_properties=[key], column_types={key: "string"})


def test_closed_schemas_bring_no_keys() -> None:
    """A key that a closed schema does not name is refused before the first record."""
    with pytest.raises(KeyColumnError) as caught:
        columns({"properties": {"id": {}}, "additionalProperties": False}, key_properties=["nope", "id"])
    assert str(caught.value) == (
        "The key property 'nope' is not a column of the stream. Name columns of the stream in primary_keys, "
        "[] for none."
    )


@pytest.mark.parametrize(
    ("schema", "is_open"),
    [
        ({"properties": {"id": {}}}, False),
        ({"properties": {"id": {}}, "additionalProperties": False}, False),
        ({"properties": {"id": {}}, "additionalProperties": True}, True),
        ({"properties": {"id": {}}, "additionalProperties": {"type": "string"}}, True),
        ({"properties": {"id": {}}, "patternProperties": {"^i": {}}}, True),
        ({"type": "object"}, True),
        ({"type": "object", "additionalProperties": False}, False),
    ],
)
def test_keys_of_settings_may_be_misspelt(schema: dict[str, Any], is_open: bool) -> None:
    """A key that only the settings name is refused where the schema neither has it nor is open."""
    try:
        found = columns(schema, key_properties=["idd"], tap_keys=["id"])
    except KeyColumnError as error:
        assert "The key property 'idd' is not a column of the stream." in str(error)  # noqa: PT017 # either
        assert not is_open
    else:
        assert is_open
        assert found[-1].name == "idd"


@pytest.mark.parametrize("word", ["anyOf", "oneOf", "allOf"])
def test_properties_of_several_schemas_are_one_column(word: str) -> None:
    """A property that several parts of a schema name is a column that holds what each of them allows."""
    parts = [
        {"properties": {"a": {"type": "number"}, "b": {"type": "number"}}},
        {"properties": {"a": {"type": "string"}, "b": {"type": "integer"}}},
    ]
    assert columns({word: parts}) == (
        Column("a", "string", ("a",), is_mixed=True),
        Column("b", "number", ("b",)),
    )


def test_shortened_keys_are_found() -> None:
    """A key property whose name is too long is the column that it became."""
    flattening = Flattening(max_key_length=10)
    found = columns({"properties": {"customerAccountId": {}}}, flattening=flattening)
    assert key_columns(found, ["customerAccountId"]) == ("cai",)


@pytest.mark.parametrize("schema", [{}, {"properties": None}, {"type": "object"}, {"properties": []}])
def test_empty_schemas_have_no_columns(schema: dict[str, Any]) -> None:
    """A schema without properties has no columns."""
    assert columns(schema) == ()


def test_names_stay_without_flattening() -> None:
    """Names are shortened where objects are flattened, and left as they are where they are not."""
    assert Flattening(enabled=False, max_key_length=5).name(["accountNumber"]) == "accountNumber"
    assert Flattening(max_key_length=5).name(["accountNumber"]) == "an"


NAMES = st.text("abcXYZ_é9", min_size=1, max_size=12)


@given(st.lists(NAMES, min_size=1, max_size=5), st.sampled_from(["__", ".", "-"]), st.integers(1, 40))
def test_names_are_the_sdks(path: list[str], separator: str, length: int) -> None:
    """A flattened name is the SDK's, shortened in the same way."""
    expected = flatten_key(path[-1], path[:-1], separator, max_key_length=length)
    assert Flattening(separator=separator, max_key_length=length).name(path) == expected


def wide(*widths: int) -> dict[str, Any]:
    """Objects in objects, so many properties on each level."""
    part: dict[str, Any] = {"type": "integer"}
    for width in reversed(widths):
        part = {"type": "object", "properties": {str(number): part for number in range(width)}}
    return part


def test_columns_have_a_limit() -> None:
    """More columns than the limit are an error that says what helps."""
    with pytest.raises(ColumnError) as caught:
        columns(wide(MOST_COLUMNS + 1))
    assert str(caught.value) == "it would become more than 20,000 columns. Deselect properties in the tap."


def test_depths_are_reported_with_their_columns() -> None:
    """Where a smaller depth makes few enough columns, each depth is reported with its number."""
    with pytest.raises(ColumnError) as caught:
        columns(wide(10, 20, 10, 11))
    assert str(caught.value) == (
        "it would become more than 20,000 columns. A smaller flattening_max_depth makes fewer: 2,000 with 2, "
        "200 with 1, 10 with 0. Or deselect properties in the tap."
    )


@pytest.mark.parametrize(
    ("schema", "flattening", "counts"),
    [
        (wide(3), Flattening(), {}),
        (wide(3, 4, 5), Flattening(), {1: 12, 0: 3}),
        (wide(3, 4, 5), Flattening(max_depth=1), {0: 3}),
        (wide(3, 4, 5), Flattening(max_depth=100), {1: 12, 0: 3}),
        (wide(3, 4, 5), Flattening(enabled=False), {}),
        (wide(2, 1, 1, 5), Flattening(), {0: 2}),
        (wide(2, 100, 200), Flattening(), {1: 200, 0: 2}),
        ({"properties": {"a": {"type": "object"}, "b": wide(2)}}, Flattening(), {0: 2}),
    ],
)
def test_columns_are_counted_by_depth(
    schema: dict[str, Any], flattening: Flattening, counts: dict[int, int]
) -> None:
    """For every smaller depth that makes fewer columns their number is known, and is what there will be."""
    whole = modern(schema)
    assert counts_by_depth(whole, flattening) == counts
    for depth, count in counts.items():
        made = columns(whole, flattening=Flattening(max_depth=depth))
        assert len(made) + len(open_objects(whole, Flattening(max_depth=depth))) == count
