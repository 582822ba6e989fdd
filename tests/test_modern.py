"""Facts on how schemas of every draft become one dialect, and where their references lead."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import jsonschema
import jsonschema_rs
import pytest

from target_databox.records.modern import dangling, modern, textual
from target_databox.records.references import definition_of, reference_to


def part(schema: Any, **beside: Any) -> Any:
    """What becomes of a property's schema."""
    return modern({"properties": {"x": schema}, **beside})["properties"]["x"]


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (True, {}),
        (False, {"not": {}}),
        (None, {}),
        ({"maximum": 9, "exclusiveMaximum": True}, {"exclusiveMaximum": 9}),
        ({"exclusiveMinimum": True, "minimum": Decimal("0.5")}, {"exclusiveMinimum": Decimal("0.5")}),
        ({"maximum": 9, "exclusiveMaximum": False}, {"maximum": 9}),
        ({"exclusiveMaximum": True}, {}),
        ({"exclusiveMaximum": 5, "maximum": 9}, {"exclusiveMaximum": 5, "maximum": 9}),
        ({"items": [{"type": "string"}, True]}, {"prefixItems": [{"type": "string"}, {}]}),
        ({"items": [{}], "additionalItems": False}, {"prefixItems": [{}], "items": {"not": {}}}),
        ({"items": {"type": "string"}, "additionalItems": False}, {"items": {"type": "string"}}),
        ({"items": []}, {}),
        ({"items": True, "prefixItems": [False]}, {"items": {}, "prefixItems": [{"not": {}}]}),
        (
            {"dependencies": {"a": ["b", "b"], "c": "d", "e": {"required": ["f"]}}},
            {
                "dependentRequired": {"a": ["b"], "c": ["d"]},
                "dependentSchemas": {"e": {"required": ["f"]}},
            },
        ),
        ({"required": True, "type": "string"}, {"type": "string"}),
        ({"required": ["a", "b", "a"]}, {"required": ["a", "b"]}),
        ({"required": "a"}, {"required": "a"}),
        ({"type": ["null", "null", "string"]}, {"type": ["null", "string"]}),
        ({"type": [None, "string"]}, {"type": ["null", "string"]}),
        ({"type": []}, {}),
        ({"type": "any"}, {}),
        ({"type": ["any", "null"]}, {}),
        ({"type": None, "format": None, "maxLength": None}, {}),
        ({"const": None, "default": None}, {"const": None, "default": None}),
        ({"properties": []}, {}),
        ({"properties": {"a": None, "b": True}}, {"properties": {"a": {}, "b": {}}}),
        ({"anyOf": []}, {}),
        ({"anyOf": [True, {"not": False}]}, {"anyOf": [{}, {"not": {"not": {}}}]}),
        ({"additionalProperties": False}, {"additionalProperties": {"not": {}}}),
        ({"additionalProperties": {"items": [True]}}, {"additionalProperties": {"prefixItems": [{}]}}),
        ({"patternProperties": {"^a": True}}, {"patternProperties": {"^a": {}}}),
        ({"$id": "#/properties/x", "title": "X"}, {"title": "X"}),
        ({"id": "http://jsonschema.net/x", "$comment": "x"}, {}),
        ({"enum": [{"$ref": "#/x"}, None]}, {"enum": [{"$ref": "#/x"}, None]}),
        ({"type": "strin", "minimum": "a"}, {"type": "strin", "minimum": "a"}),
        (7, 7),
    ],
)
def test_older_words_are_said_in_todays(given: Any, written: Any) -> None:
    """What a draft says in words of its own is said in those of 2020-12; what says nothing is left out."""
    assert part(given) == written


def test_nothing_is_changed_in_place() -> None:
    """The tap's own schema stays as it came."""
    given = {
        "properties": {"a": {"items": [{"type": [None]}]}, "b": {"$ref": "#/definitions/b"}},
        "definitions": {"b": {"exclusiveMaximum": True, "maximum": 3}},
    }
    before = repr(given)
    whole = modern(given)
    assert textual(whole) is not whole
    assert repr(given) == before


def test_rewriting_twice_changes_nothing() -> None:
    """A schema in the one dialect means the same when it is rewritten once more."""
    whole = modern(
        {
            "$ref": "#/definitions/a",
            "definitions": {
                "a": {"properties": {"b": {"$ref": "#/definitions/c"}}},
                "c": {"type": "integer"},
            },
        }
    )
    again = modern(whole)
    for each in (whole, again):
        checked = jsonschema_rs.validator_for(each)
        assert checked.is_valid({"b": 1})
        assert not checked.is_valid({"b": "x"})


MONEY = {"type": "number"}
REFERENCES = [
    ("#/definitions/money", {"definitions": {"money": MONEY}}),
    ("#/$defs/money", {"$defs": {"money": MONEY}}),
    ("#/components/schemas/Money", {"components": {"schemas": {"Money": MONEY}}}),
    ("#/definitions/a~1b~0c%20d%25", {"definitions": {"a/b~c d%": MONEY}}),
    ("#/definitions/%E5%AF%B8", {"definitions": {"寸": MONEY}}),
    ("#/definitions/寸", {"definitions": {"寸": MONEY}}),
    ("#/$defs/list/1", {"$defs": {"list": [{}, MONEY]}}),
    ("#money", {"$defs": {"m": {"$anchor": "money", **MONEY}}}),
    ("#money", {"$defs": {"m": {"$dynamicAnchor": "money", **MONEY}}}),
    ("#money", {"definitions": {"m": {"$id": "#money", **MONEY}}}),
    ("#money", {"definitions": {"m": {"id": "#money", **MONEY}}}),
    ("money.json", {"definitions": {"m": {"$id": "money.json", **MONEY}}}),
    ("money.json#", {"definitions": {"m": {"$id": "http://example.com/money.json", **MONEY}}}),
    ("http://example.com/money", {"definitions": {"m": {"id": "http://example.com/money#", **MONEY}}}),
    ("money.json#/definitions/x", {"d": {"m": {"$id": "money.json", "definitions": {"x": MONEY}}}}),
    ("http://a/root.json#/definitions/money", {"$id": "http://a/root.json", "definitions": {"money": MONEY}}),
    ("root.json#/definitions/money", {"id": "http://a/root.json", "definitions": {"money": MONEY}}),
    ("#/properties/other", {"$id": "http://a/root.json", "properties": {"other": MONEY}}),
    ("#/definitions/outer", {"definitions": {"outer": {"$ref": "#/definitions/in"}, "in": MONEY}}),
]


@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef", "$recursiveRef"])
@pytest.mark.parametrize(("reference", "beside"), REFERENCES, ids=[each for each, _ in REFERENCES])
def test_references_are_found(keyword: str, reference: str, beside: dict[str, Any]) -> None:
    """A reference by pointer, anchor or id is followed by the columns' reader and by both validators."""
    properties = {**beside.get("properties", {}), "price": {keyword: reference}}
    whole = modern({**beside, "properties": properties})
    assert dangling(whole) is None
    for checked in (jsonschema_rs.validator_for(whole), jsonschema.Draft202012Validator(whole)):
        assert checked.is_valid({"price": Decimal("9.5")})
        assert not checked.is_valid({"price": "x"})


def test_nearest_id_counts_first() -> None:
    """A pointer is looked for in the part with the nearest id, and then in the whole."""
    inner = {
        "$id": "inner.json",
        "definitions": {"a": {"type": "integer"}},
        "properties": {"a": {"$ref": "#/definitions/a"}, "b": {"$ref": "#/definitions/b"}},
    }
    whole = modern(
        {"properties": {"x": inner}, "definitions": {"a": {"type": "string"}, "b": {"type": "boolean"}}}
    )
    checked = jsonschema_rs.validator_for(whole)
    assert checked.is_valid({"x": {"a": 1, "b": True}})
    assert not checked.is_valid({"x": {"a": "1"}})
    assert not checked.is_valid({"x": {"b": "1"}})


@pytest.mark.parametrize(
    ("dialect", "fits"),
    [
        (None, False),
        ("https://json-schema.org/draft/2020-12/schema", False),
        ("http://json-schema.org/draft-07/schema#", True),
        ("http://json-schema.org/draft-04/schema", True),
        ("http://example.com/mine", False),
    ],
)
def test_references_of_old_drafts_stand_alone(dialect: str | None, fits: bool) -> None:
    """Up to draft 7 nothing counts beside a reference; in later drafts, and where none is named, it does."""
    whole = modern(
        {
            "$schema": dialect,
            "definitions": {"text": {"type": "string"}},
            "properties": {"a": {"$ref": "#/definitions/text", "maxLength": 1}},
        }
    )
    assert jsonschema_rs.validator_for(whole).is_valid({"a": "long"}) == fits


@pytest.mark.parametrize(
    ("schema", "properties"),
    [
        ({}, []),
        ({"properties": None}, []),
        ({"$ref": "#/definitions/order"}, ["id", "name"]),
        ({"$ref": "#/definitions/again"}, ["id", "name"]),
        ({"type": "object", "$ref": "#/definitions/order", "title": "Mine"}, ["id", "name"]),
        ({"type": ["null", "object"], "$ref": "#/definitions/order"}, []),
        ({"properties": {"a": {}}, "$ref": "#/definitions/order"}, ["a"]),
        ({"$ref": "#"}, []),
        ({"$ref": "#/nowhere"}, []),
        ({"$ref": "#/definitions/loop"}, []),
    ],
)
def test_reference_at_the_top_is_inlined(schema: dict[str, Any], properties: list[str]) -> None:
    """A whole that only refers to something becomes that, where both agree; `properties` are always there."""
    definitions = {
        "order": {"title": "Order", "type": "object", "properties": {"id": {}, "name": {}}},
        "again": {"$ref": "#/definitions/order"},
        "loop": {"$ref": "#/definitions/loop"},
    }
    whole = modern({**schema, "definitions": definitions})
    assert list(whole["properties"]) == properties
    assert not properties or whole.get("title") in ("Order", "Mine", None)


@pytest.mark.parametrize("name", ["/definitions/a", "a b", "%25", "~/~", "寸", '"#?^', "", "\ud800"])
def test_references_to_definitions_are_read_back(name: str) -> None:
    """A reference that is written to a definition leads to it, whatever its name is."""
    found = definition_of({"$defs": {name: {"type": "integer"}}}, reference_to(name))
    assert (found == {"type": "integer"}) == (name != "\ud800")


@pytest.mark.parametrize("reference", ["#/$defs/9", "#/$defs/" + "9" * 5000, "#nowhere", "##", "#/", "x#/a"])
def test_references_to_nothing_stay(reference: str) -> None:
    """A reference that leads nowhere stays as it came, with its place."""
    whole = modern({"properties": {"a": {"$ref": reference}}, "$defs": [{"type": "string"}]})
    assert dangling(whole) == ("/properties/a", reference)
    assert definition_of(whole, reference) is None
