"""References that multiply are found before a validator, which can't be interrupted, meets a record."""

from __future__ import annotations

from typing import Any

import pytest

from target_databox.records.columns import MOST_COLUMNS, Column, ColumnError
from target_databox.records.columns import columns as columns_of
from target_databox.records.expansion import Expansion
from target_databox.records.modern import modern
from target_databox.records.validation import RecordValidator, SchemaError


def expansion(schema: dict[str, Any]) -> Expansion:
    """What a tap's schema expands to."""
    return Expansion(modern(schema))


def validator(schema: dict[str, Any]) -> RecordValidator:
    """A validator for a tap's schema."""
    return RecordValidator(modern(schema))


def columns(schema: dict[str, Any]) -> tuple[Column, ...]:
    """The columns of a tap's schema."""
    return columns_of(modern(schema))


def ladder(steps: int, keyword: str = "allOf") -> dict[str, Any]:
    """A schema of which every step refers to the next one twice."""
    return {
        "$defs": {
            **{str(step): {keyword: [{"$ref": f"#/$defs/{step + 1}"}] * 2} for step in range(steps)},
            str(steps): {"type": "integer"},
        },
        "properties": {"a": {"$ref": "#/$defs/0"}},
    }


def chain(steps: int) -> dict[str, Any]:
    """A schema of which every step refers to the next one once."""
    return {
        "$defs": {
            **{str(step): {"$ref": f"#/$defs/{step + 1}"} for step in range(steps)},
            str(steps): {"type": "integer"},
        },
        "properties": {"a": {"$ref": "#/$defs/0"}},
    }


def ring(size: int) -> dict[str, Any]:
    """A schema of which every part refers to all others."""
    parts = {
        str(part): {"allOf": [{"$ref": f"#/$defs/{other}"} for other in range(size) if other != part]}
        for part in range(size)
    }
    return {"$defs": parts, "properties": {"a": {"$ref": "#/$defs/0"}}}


def tree(*kinds: str) -> dict[str, Any]:
    """A recursive schema: a filter of several kinds, each with filters in it."""
    branches = [
        {
            "properties": {
                "type": {"const": kind},
                "parts": {"items": {"$ref": "#/$defs/filter"}},
                "value": {"type": "number"},
            },
            "required": ["type"],
        }
        for kind in kinds
    ]
    return {"$defs": {"filter": {"anyOf": branches}}, "properties": {"a": {"$ref": "#/$defs/filter"}}}


def nested(levels: int, leaf: Any) -> dict[str, Any]:
    """A record of a `tree` with something at its end."""
    value = {"type": "leaf", "value": leaf}
    for _ in range(levels):
        value = {"type": "and", "parts": [value]}
    return {"id": 1, "a": value}


ENDLESS = [
    ladder(14),
    ladder(40),
    ladder(40, "anyOf"),
    ring(10),
    ring(2),
    {"properties": {"a": {"$ref": "#/properties/a"}}},
    {"properties": {"a": {"not": {"$ref": "#/properties/a"}}}},
    {"properties": {}, "if": {"then": {"$ref": "#"}}},
    {"properties": {}, "dependencies": {"a": {"$ref": "#"}, "b": ["a"]}},
    {"properties": {}, "anyOf": [{"$recursiveRef": "#"}]},
    {"properties": {"a": {"$ref": "#here"}}, "definitions": {"b": {"id": "#here", "$ref": "#here"}}},
    {
        "properties": {"a": {"$ref": "#here"}},
        "$defs": {"b": {"$anchor": "here", "oneOf": [{"$ref": "#here"}]}},
    },
    {"properties": {"a": {"$ref": "#here"}}, "definitions": {"b": {"$id": "#here", "$ref": "#here"}}},
    {
        "properties": {"a": {"$dynamicRef": "#b"}},
        "$defs": {"b": {"$dynamicAnchor": "b", "$dynamicRef": "#b"}},
    },
    {"properties": {"a": {"$id": "urn:a", "$ref": "#/$defs/b", "$defs": {"b": {"$ref": "#/$defs/b"}}}}},
    {
        "properties": {"a": {"items": [{"$ref": "#/$defs/a~1%62~0"}]}},
        "$defs": {"a/b~": {"$ref": "#/$defs/a~1b~0"}},
    },
    {"properties": {"a": {"items": {"$ref": "#/$defs/b/1"}}}, "$defs": {"b": [{}, {"$ref": "#/$defs/b/1"}]}},
]


@pytest.mark.parametrize("schema", ENDLESS)
def test_endless_schemas_are_refused(schema: dict[str, Any]) -> None:
    """A schema whose references multiply, or lead back to where they began, is refused in its own words."""
    assert expansion(schema).is_endless
    with pytest.raises(SchemaError, match=r"^its references multiply"):
        validator(schema)
    with pytest.raises(ColumnError, match=r"^its references multiply"):
        columns(schema)


@pytest.mark.parametrize(
    ("schema", "is_vast"),
    [
        ({"properties": {"a": {"type": "integer"}}}, False),
        (ladder(5), False),
        (chain(100), False),
        ({"properties": {f"c{number}": {"type": "integer"} for number in range(15_000)}}, False),
        (
            {
                "properties": {
                    "a": {"const": {"$ref": "#"}},
                    "b": {"type": "integer"},
                }
            },
            False,
        ),
        ({"properties": {"a": {"$ref": "#"}}}, True),
        ({"properties": {"a": {"items": {"$ref": "#"}}, "b": True}}, True),
        (tree("and", "or"), True),
    ],
)
def test_other_schemas_are_taken(schema: dict[str, Any], is_vast: bool) -> None:
    """A schema that goes on to the parts of a value is taken, also where it is recursive or very wide."""
    found = expansion(schema)
    assert (found.is_endless, found.is_vast) == (False, is_vast)
    validator(schema)
    columns(schema)


@pytest.mark.parametrize(
    "reference",
    ["x/properties/a", "#/$defs/9", "#/$defs/x", "#/$defs/-1", "#/properties/b", "#nowhere", "##", "#/"],
)
def test_references_to_nothing_are_left(reference: str) -> None:
    """A reference to another document, or to nothing, leads nowhere; what to say of it is the validator's."""
    found = expansion({"properties": {"a": {"$ref": reference}}, "$defs": [{"$ref": "#/properties/a"}]})
    assert (found.is_endless, found.is_vast) == (False, False)


BACK = {"$ref": "#/properties/a"}
SAME = ["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies"]
PARTS = [
    "properties", "patternProperties", "additionalProperties", "unevaluatedProperties", "propertyNames",
    "items", "prefixItems", "additionalItems", "unevaluatedItems", "contains",
]  # fmt: skip


@pytest.mark.parametrize("keyword", [*SAME, *PARTS])
@pytest.mark.parametrize(
    ("shape", "form"), [("one", BACK), ("several", [{}, BACK]), ("named", {"x": BACK})], ids=str
)
def test_every_keyword_is_followed(keyword: str, shape: str, form: Any) -> None:
    """What looks at the same value once more never ends; what goes on to its parts is recursive."""
    named = ("properties", "patternProperties", "dependentSchemas", "dependencies")
    several = ("allOf", "anyOf", "oneOf", "items", "prefixItems")
    beside = {"items": [{}]} if keyword == "additionalItems" else {}
    found = expansion({"properties": {"a": {**beside, keyword: form}}})
    is_followed = {
        "one": keyword == "items" or keyword not in (*named, *several),
        "several": keyword in several,
        "named": keyword in named,
    }[shape]
    assert found.is_endless == (is_followed and keyword in SAME)
    assert found.is_vast == is_followed


@pytest.mark.parametrize("levels", [1, 30])
def test_recursive_record_is_reported_by_column(levels: int) -> None:
    """A record of a recursive schema is reported by its columns, however deep it is."""
    checked = validator(tree("leaf", "and", "or", "not"))
    assert checked.problem(nested(levels, 1)) is None
    assert checked.problem(nested(levels, "canary")) == "a: its value does not fit its schema"


def test_recursive_record_is_reported_whole() -> None:
    """Where no column of a recursive schema is to blame, the record is."""
    schema = {**tree("and"), "required": ["b"]}
    assert validator(schema).problem({}) == "the record: it does not fit its schema"


def test_recursive_column_is_found_by_any_name() -> None:
    """A column of a recursive schema is found whatever its name is, and at most three are reported."""
    names = ["a/b", "~", "%20", "", "x y"]
    checked = validator({"properties": {**{name: {"type": "integer"} for name in names}, "r": {"$ref": "#"}}})
    reported = checked.problem(dict.fromkeys(names, "canary"))
    assert reported == "; ".join(f"{name}: its value does not fit its schema" for name in names[:3])


def test_too_many_columns_are_refused() -> None:
    """A recursive schema that would flatten to ever more columns is an error that names the setting."""
    parts = {
        str(part): {
            "type": "object",
            "properties": {str(other): {"$ref": f"#/$defs/{other}"} for other in range(20)},
        }
        for part in range(20)
    }
    leaves = {"id": {"type": "integer"}}
    for part in parts.values():
        part["properties"].update(leaves)
    with pytest.raises(ColumnError, match=f"more than {MOST_COLUMNS:,} columns.*flattening_max_depth"):
        columns({"$defs": parts, "properties": {"a": {"$ref": "#/$defs/0"}}})


@pytest.mark.parametrize("levels", [480, 5000])
def test_deep_schemas_are_refused(levels: int) -> None:
    """A schema that is nested too deeply is refused by each of its readers, or read."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"anyOf": [schema]}
    whole = {"properties": {"a": schema}}
    try:
        assert columns_of(whole)
    except ColumnError as error:
        assert str(error) == "it is nested too deeply."  # noqa: PT017 # either is well
    with pytest.raises(SchemaError):
        RecordValidator(whole)
    with pytest.raises(RecursionError):
        modern(whole)
