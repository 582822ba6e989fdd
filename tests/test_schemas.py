"""Facts on what a JSON Schema is read to allow."""

from __future__ import annotations

from typing import Any

import pytest

from target_databox.records.modern import modern
from target_databox.records.schemas import SchemaReader


def read(root: dict[str, Any], schema: Any) -> tuple[SchemaReader, Any]:
    """A reader of a whole schema of which another one is a property, and that property."""
    whole = modern({**root, "properties": {"x": schema}})
    return SchemaReader(whole), whole["properties"]["x"]


@pytest.mark.parametrize(
    ("schema", "kinds"),
    [
        ({"type": "string"}, "string"),
        ({"type": "integer"}, "number"),
        ({"type": ["null", "integer", "number"]}, "number"),
        ({"type": "null"}, ""),
        ({"type": ["string", "null"], "format": "date-time"}, "datetime"),
        ({"type": "string", "format": "date"}, "datetime"),
        ({"type": "string", "format": "time"}, "string"),
        ({"type": "integer", "format": "date-time"}, "number"),
        ({"type": ["string", "integer"]}, "number string"),
        ({"type": "unheard-of"}, ""),
        ({}, "any"),
        (True, "any"),
        (False, ""),
        (None, "any"),
        ({"format": "date-time"}, "datetime"),
        ({"properties": {}}, "object"),
        ({"items": {}}, "array"),
        ({"enum": ["a", None]}, "string"),
        ({"enum": [1, 2.5]}, "number"),
        ({"enum": [True, False]}, "boolean"),
        ({"enum": ["a", 1, [], {}]}, "array number object string"),
        ({"const": 3}, "number"),
        ({"type": "string", "enum": ["1"]}, "string"),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, "number"),
        ({"oneOf": [{"type": "number"}, {"type": "string"}]}, "number string"),
        ({"anyOf": [{"type": "number"}, {}]}, "any"),
        ({"anyOf": []}, "any"),
        ({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string"}]}, "datetime string"),
        ({"type": "string", "anyOf": [{"format": "date-time"}, {"format": "date"}]}, "datetime"),
        ({"type": ["string", "number"], "anyOf": [{"type": "number"}]}, "number"),
        ({"allOf": [{"type": ["string", "integer"]}, {"type": "integer"}]}, "number"),
        ({"allOf": [{"type": "object"}, {"description": "x"}]}, "object"),
        ({"allOf": [{"type": "string"}, {"type": "number"}]}, "number string"),
        ({"$ref": "#/definitions/money"}, "number"),
        ({"$ref": "#/$defs/day"}, "datetime"),
        ({"anyOf": [{"$ref": "#/definitions/money"}, {"type": "null"}]}, "number"),
        ({"$ref": "#/definitions/a~1b~0c"}, "boolean"),
        ({"$ref": "#/$defs/list/1"}, "array"),
        ({"$ref": "#/definitions/self"}, "any"),
        ({"$ref": "#/definitions/missing"}, "any"),
        ({"$ref": "#/$defs/list/9"}, "any"),
        ({"$ref": "https://example.com/schema"}, "any"),
        ({"anyOf": "nonsense", "allOf": 3, "$ref": 4}, "any"),
    ],
)
def test_kinds_are_looked_through(schema: Any, kinds: str) -> None:
    """Unions, references, type lists and enumerations are looked through; null is no kind."""
    root = {
        "definitions": {
            "money": {"type": ["null", "number"]},
            "a/b~c": {"type": "boolean"},
            "self": {"$ref": "#/definitions/self"},
        },
        "$defs": {"day": {"type": "string", "format": "date"}, "list": [{}, {"type": "array"}]},
    }
    reader, node = read(root, schema)
    assert " ".join(sorted(reader.kinds(node))) == kinds


@pytest.mark.parametrize(
    ("schema", "kinds"),
    [
        ({"items": {"type": "string"}}, "string"),
        ({"items": [{"type": "string"}, {"type": "object"}]}, "object string"),
        ({"prefixItems": [{"type": "integer"}], "items": False}, "number"),
        ({"anyOf": [{"items": {"$ref": "#/definitions/line"}}, {"type": "null"}]}, "object"),
        ({"$ref": "#/definitions/lines"}, "object"),
        ({"$ref": "#/definitions/self"}, ""),
        ({"type": "array"}, ""),
        ({"items": {}}, "any"),
        (True, ""),
    ],
)
def test_items_are_looked_through(schema: Any, kinds: str) -> None:
    """What arrays hold is found through unions, tuples and references."""
    root = {
        "definitions": {
            "line": {"type": "object"},
            "lines": {"items": {"$ref": "#/definitions/line"}},
            "self": {"$ref": "#/definitions/self"},
        }
    }
    reader, node = read(root, schema)
    assert " ".join(sorted(reader.item_kinds(node))) == kinds


def test_properties_of_branches_are_joined() -> None:
    """An object has the members that any of its branches and references name."""
    root = {"definitions": {"base": {"properties": {"id": {"type": "integer"}}}}}
    node = {
        "properties": {"name": {"type": "string"}},
        "allOf": [{"$ref": "#/definitions/base"}],
        "anyOf": [{"properties": {"name": {"type": "null"}, "size": {}}}, {"type": "null"}],
    }
    reader, part = read(root, node)
    members, references = reader.properties(part)
    assert members == {
        "name": [{"type": "string"}, {"type": "null"}],
        "id": [{"type": "integer"}],
        "size": [{}],
    }
    assert references == {"#/$defs/~1definitions~1base"}
