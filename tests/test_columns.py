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
    columns,
    key_columns,
    open_objects,
)


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
    assert open_objects(schema, Flattening()) == {("first", "next"), ("self",), ("all",)}


@pytest.mark.parametrize(
    ("properties", "origins"),
    [
        ({"a": {"properties": {"b": {}}}, "a__b": {}}, ["'a' > 'b'", "'a__b'"]),
        ({"a": {}, "a ": {}}, ["'a'", "'a '"]),
        ({"x" * 300: {}, "x" * 299: {}}, ["x" * 300, "x" * 299]),
    ],
)
def test_clashes_name_both_origins(properties: dict[str, Any], origins: list[str]) -> None:
    """Two properties that would share a column are an error that names both, and says what mends it."""
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
    ("keys", "words"),
    [
        (
            ["nope", "id", "nor"],
            "The key properties 'nope', 'nor' are no columns of the stream. Name columns of the stream "
            "in primary_keys, [] for none.",
        ),
        (
            ["id", "address"],
            "The key properties 'address' are no columns of the stream. An object can't be a key: name one "
            "of its columns in primary_keys, or give it the type string in column_types.",
        ),
    ],
)
def test_other_keys_are_refused(keys: list[str], words: str) -> None:
    """A key property that is missing, or is an object, is an error that says what to do."""
    with pytest.raises(KeyColumnError) as caught:
        columns({"properties": {"id": {}, "address": {"properties": {"city": {}}}}}, key_properties=keys)
    assert str(caught.value) == words


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


def test_columns_have_a_limit() -> None:
    """More columns than the limit are an error that says what mends it."""
    with pytest.raises(ColumnError) as caught:
        columns({"properties": {str(number): {"type": "number"} for number in range(MOST_COLUMNS + 1)}})
    assert str(caught.value) == (
        "it would become more than 20,000 columns. Set flattening_max_depth lower, or deselect properties in "
        "the tap."
    )
