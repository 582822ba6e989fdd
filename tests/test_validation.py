"""Records are checked by their schema; what is said of them holds no value."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_databox.records.modern import modern, textual
from target_databox.records.validation import (
    InvalidSchemaError,
    RecordValidator,
    SchemaError,
    in_short_digits,
)

CANARY = "canary-value"
CANARY_NUMBER = 987654321


def validator(**properties: Any) -> RecordValidator:
    """A validator for these properties."""
    return RecordValidator(modern({"type": "object", "properties": properties}))


def test_fitting_record_has_no_problem() -> None:
    """Decimals are numbers, whole Decimals are integers, and unknown columns are welcome."""
    checked = validator(a={"type": "number", "multipleOf": 0.01}, b={"type": "integer"})
    record = {"a": Decimal("1.07"), "b": Decimal("2.0"), "c": "new"}
    assert checked.is_valid(record)
    assert checked.problem(record) is None


def test_formats_are_not_checked() -> None:
    """A date-time that is none passes, as with the SDK."""
    assert validator(a={"type": "string", "format": "date-time"}).is_valid({"a": "soon"})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer"},
        {"enum": ["a", "b"]},
        {"const": "a"},
        {"type": "string", "maxLength": 3},
        {"type": "string", "pattern": "^[0-9]$"},
        {"type": "object", "required": ["x"]},
        {"anyOf": [{"type": "integer"}, {"type": "boolean"}]},
        {"oneOf": [{"type": "integer"}, {"type": "boolean"}]},
        {"allOf": [{"type": "integer"}]},
        {"not": {}},
        {"type": "array", "items": {"type": "integer"}},
        {"type": "number", "maximum": 5},
        {"type": "number", "multipleOf": 10},
        {"type": "array", "uniqueItems": True},
        {"type": "object", "additionalProperties": False},
        {"type": "object", "propertyNames": {"maxLength": 1}},
        {"type": "object", "dependentRequired": {"k": ["x"]}},
        False,
    ],
)
def test_no_keyword_reveals_a_value(schema: Any) -> None:
    """Whatever keyword fails, the problem names the column and not its value."""
    checked = validator(a=schema)
    for value in (CANARY, CANARY_NUMBER, [CANARY, CANARY], {"k": CANARY, "key": CANARY_NUMBER}):
        problem = checked.problem({"a": value})
        if problem is not None:
            assert problem.startswith("a")
            assert CANARY not in problem
            assert str(CANARY_NUMBER) not in problem


@given(st.dictionaries(st.sampled_from("abc"), st.text() | st.integers() | st.floats() | st.none()))
def test_any_record_is_judged(record: dict[str, Any]) -> None:
    """No record makes the validator fail, and there is a problem exactly where a record does not fit."""
    checked = validator(a={"type": "integer"}, b={"type": ["string", "null"], "maxLength": 2})
    assert (checked.problem(record) is None) == checked.is_valid(record)


def test_only_some_problems_are_reported() -> None:
    """A record of a wrong kind altogether is reported by its first problems."""
    checked = validator(**{f"c{number}": {"type": "integer"} for number in range(50)})
    problem = checked.problem({f"c{number}": "x" for number in range(50)})
    assert problem is not None
    assert problem.count(";") == 2


@pytest.mark.parametrize("reference", ["http://127.0.0.1:9/a.json", "other.json#/a", "file:///etc/passwd"])
def test_nothing_is_fetched(reference: str) -> None:
    """A schema that refers to another document is refused before anything is asked for."""
    with pytest.raises(SchemaError) as caught:
        validator(a={"items": [{"$ref": reference}]})
    assert str(caught.value) == (
        f'/properties/a/prefixItems/0 refers to another document, "{reference}", and nothing is fetched. '
        "Fix the tap, or set validate_records to false."
    )


def test_inner_references_are_followed() -> None:
    """A reference within the schema is followed."""
    schema = {"properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "integer"}}}
    assert RecordValidator(modern(schema)).problem({"a": "x"}) == 'a: its value is not of type "integer"'


@pytest.mark.parametrize(
    ("schema", "place", "reference"),
    [
        ({"properties": {"a": {"$ref": "#/nowhere"}}}, "/properties/a", "#/nowhere"),
        ({"$ref": "#/definitions/Order"}, "its top", "#/definitions/Order"),
        ({"properties": {"a": {"items": {"$ref": "#money"}}}}, "/properties/a/items", "#money"),
        ({"anyOf": [{}, {"properties": {"a/b": {"$ref": "#/x"}}}]}, "/anyOf/1/properties/a~1b", "#/x"),
        (
            {
                "properties": {"a": {"$ref": "#/definitions/tag"}},
                "definitions": {"tag": {"properties": {"by": {"$ref": "#/definitions/user"}}}},
            },
            "/definitions/tag/properties/by",
            "#/definitions/user",
        ),
        ({"properties": {"a": {"not": {"$ref": "#/title"}}}, "title": "x"}, "/properties/a/not", "#/title"),
        ({"properties": {"a": {"$dynamicRef": "#item"}}}, "/properties/a", "#item"),
    ],
)
def test_references_to_nothing_are_reported(schema: dict[str, Any], place: str, reference: str) -> None:
    """A reference to nothing is reported by its place and its words before the first record."""
    with pytest.raises(SchemaError) as caught:
        RecordValidator(modern(schema))
    assert str(caught.value) == (
        f'{place} refers to "{reference}", which the schema does not have. Fix the tap, or set '
        "validate_records to false."
    )


def test_unreached_references_do_not_matter() -> None:
    """A reference to nothing in a definition that nothing refers to, or in a default, is never followed."""
    unused = {
        "definitions": {"old": {"$ref": "#/gone"}},
        "properties": {"a": {"default": {"$ref": "x.json"}}},
    }
    assert RecordValidator(modern(unused)).is_valid({"a": 1})


@pytest.mark.parametrize(
    ("schema", "place", "value"),
    [
        ({"properties": {"a": {"type": "strin"}}}, "/properties/a/type", '"strin"'),
        ({"properties": {"a b/c": {"maxLength": "9"}}}, "/properties/a b~1c/maxLength", '"9"'),
        ({"properties": ["a"]}, "/properties", '["a"]'),
        ({"properties": {"a": {"anyOf": [{"minimum": "0"}]}}}, "/properties/a/anyOf/0/minimum", '"0"'),
        (
            {"properties": {"a": {"$ref": "#/definitions/n"}}, "definitions": {"n": {"multipleOf": 0}}},
            "/definitions/n/multipleOf",
            "0",
        ),
        ({"properties": {"a": "string"}}, "/properties/a", '"string"'),
    ],
)
def test_broken_schema_is_reported(schema: dict[str, Any], place: str, value: str) -> None:
    """An invalid schema is reported by the wrong place, as a JSON pointer, and what stands there."""
    with pytest.raises(InvalidSchemaError) as caught:
        RecordValidator(modern(schema))
    assert str(caught.value) == (
        f"it is not a valid JSON Schema at {place}, which is {value}. Fix the tap, or set validate_records "
        "to false."
    )


def test_long_words_of_a_schema_are_cut() -> None:
    """What is quoted of a schema is no longer than a line."""
    with pytest.raises(SchemaError) as caught:
        validator(a={"type": "x" * 5000})
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("types", ["array", "string", ["null", "integer"], "null"])
def test_schemas_without_records_are_reported(types: Any) -> None:
    """A schema that fits no object at all is refused, and not each of its records."""
    with pytest.raises(SchemaError, match=r"^its type fits no object, and every record is one\. Fix the tap"):
        RecordValidator(modern({"type": types, "properties": {"a": {}}}))


@pytest.mark.parametrize("dialect", ["http://json-schema.org/draft-04/schema#", None])
def test_older_drafts_are_known(dialect: str | None) -> None:
    """Draft 4 is understood, whether a schema says that it is written in it or not."""
    checked = RecordValidator(
        modern({"$schema": dialect, "properties": {"a": {"minimum": 1, "exclusiveMinimum": True}}})
    )
    assert not checked.is_valid({"a": 1})
    assert checked.is_valid({"a": Decimal("1.1")})


@pytest.mark.parametrize("keyword", ["$id", "id"])
@pytest.mark.parametrize("name", ["http://example.com/root.json", "#/properties/a", "/properties/a", "#", ""])
def test_ids_change_nothing(keyword: str, name: str) -> None:
    """An id of the whole or of a part, as generators write them, is no reason to refuse a schema."""
    schema = {
        keyword: name,
        "properties": {"a": {keyword: name, "$ref": "#/definitions/n"}},
        "definitions": {"n": {"type": "integer"}},
    }
    assert RecordValidator(modern(schema)).problem({"a": "x"}) == 'a: its value is not of type "integer"'


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, 1),
        ({"type": ["null", "string"], "maxLength": 1}, Decimal("12.50")),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, True),
        ({"type": "object", "properties": {"b": {"type": "string"}}}, {"b": 1}),
        ({"type": "array", "items": {"type": "string"}}, [1, "a"]),
        ({"$ref": "#/definitions/text"}, 7),
        ({"type": "string", "format": "uuid"}, 7),
        ({"type": ["string", "null"]}, {"b": {"c": 1}}),
        ({"type": "string"}, [{"b": 1}, 2]),
    ],
)
def test_everything_fits_where_text_does(schema: dict[str, Any], value: Any) -> None:
    """With `textual` any value but null fits wherever a schema has text, and nothing else changes."""
    whole = modern(
        {
            "properties": {"a": schema, "n": {"type": "object", "properties": {"i": {"type": "integer"}}}},
            "definitions": {"text": {"type": "string"}},
        }
    )
    assert not RecordValidator(whole).is_valid({"a": value})
    lenient = RecordValidator(textual(whole))
    assert lenient.is_valid({"a": value})
    assert not lenient.is_valid({"a": value, "n": {"i": "x"}})
    assert not lenient.is_valid({"a": value, "n": [1]})
    assert RecordValidator(whole).is_valid({"a": None}) == lenient.is_valid({"a": None})


@pytest.mark.parametrize(
    "schema", [{"type": "integer"}, {"type": "string", "format": "date-time"}, {"enum": ["1"]}]
)
def test_numbers_fit_nothing_else(schema: dict[str, Any]) -> None:
    """Text is still no number, and a number no date and none of the texts of a list."""
    lenient = RecordValidator(textual(modern({"properties": {"a": schema}})))
    assert not lenient.is_valid({"a": "x" if schema == {"type": "integer"} else 1})


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Decimal("99999.990000000005238689482212066650390625"), Decimal("99999.99")),
        (
            {"a": [Decimal("0.1000000000000000055511151231257827021181583404541015625"), "x"]},
            {"a": [Decimal("0.1"), "x"]},
        ),
        (Decimal("123456789012345678.9"), Decimal("123456789012345680.0")),
        (Decimal("0.10000000000000001"), Decimal("0.1")),
    ],
)
def test_digits_of_doubles_are_shortened(value: Any, written: Any) -> None:
    """A number with more digits than a double has becomes the shortest one with the same double."""
    assert in_short_digits(value) == written


@pytest.mark.parametrize(
    "value", [1, "1", None, True, Decimal("0.1"), Decimal("9E+999"), {"a": [Decimal("1.5")]}, []]
)
def test_short_numbers_stay(value: Any) -> None:
    """What has no more digits than a double, or no double at all, is the same object as before."""
    assert in_short_digits(value) is value
