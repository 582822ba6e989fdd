"""Records are checked by their schema; what is said of them holds no value."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_databox.records.validation import RecordValidator, SchemaError, refers_elsewhere

CANARY = "canary-value"
CANARY_NUMBER = 987654321


def validator(**properties: Any) -> RecordValidator:
    """A validator for these properties."""
    return RecordValidator({"type": "object", "properties": properties})


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
def test_no_keyword_tells_a_value(schema: Any) -> None:
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


def test_only_some_problems_are_told() -> None:
    """A record of a wrong kind altogether is told by its first problems."""
    checked = validator(**{f"c{number}": {"type": "integer"} for number in range(50)})
    problem = checked.problem({f"c{number}": "x" for number in range(50)})
    assert problem is not None
    assert problem.count(";") == 2


@pytest.mark.parametrize("reference", ["http://127.0.0.1:9/a.json", "other.json#/a", "file:///etc/passwd"])
def test_nothing_is_fetched(reference: str) -> None:
    """A schema that refers to another document is refused before anything is asked for."""
    with pytest.raises(SchemaError, match=r"^it refers to another document, and nothing is fetched"):
        validator(a={"items": [{"$ref": reference}]})


def test_inner_references_are_followed() -> None:
    """A reference within the schema is followed."""
    schema = {"properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "integer"}}}
    assert not refers_elsewhere(schema)
    assert RecordValidator(schema).problem({"a": "x"}) == 'a: its value is not of type "integer"'


def test_broken_schema_is_told() -> None:
    """A schema that is none is told by the place that is wrong."""
    with pytest.raises(
        SchemaError, match=r"^it is no valid JSON Schema at properties\.a\.type\. Mend the tap"
    ):
        validator(a={"type": "strin"})


def test_older_drafts_are_known() -> None:
    """The draft is the schema's own where it names one."""
    schema = {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "properties": {"a": {"minimum": 1, "exclusiveMinimum": True}},
    }
    assert not RecordValidator(schema).is_valid({"a": 1})
