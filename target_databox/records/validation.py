"""Validates records against their stream's schema. Messages name columns and keywords, never values. Pure."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import jsonschema_rs

from target_databox.records.expansion import ENDLESS, Expansion
from target_databox.records.modern import dangling
from target_databox.records.references import escaped
from target_databox.records.schemas import ANY, OBJECT, SchemaReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Enough to fix a record; one of an entirely wrong kind has hundreds.
MOST_PROBLEMS: Final = 3
# Of the schema's own text.
_LONGEST_QUOTE_CHARACTERS: Final = 100
_MASK: Final = "***"
#: What helps against a problem that only the validator has.
ADVICE: Final = "Fix the tap, or set validate_records to false."


class SchemaError(ValueError):
    """No validator can use the schema; `validate_records: false` needs none."""


class InvalidSchemaError(SchemaError):
    """It is not valid JSON Schema, or holds a regular expression that the validator can't use."""


class RecordValidator:
    """Validates records of one stream by JSON Schema.

    As in the SDK, formats are not checked. Nothing is fetched.

    Args:
        schema: The stream's schema, as `modern` returns it.

    Raises:
        InvalidSchemaError: It is not valid JSON Schema.
        SchemaError: It refers to what it does not have, has no end, or fits no object.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        try:
            missing = dangling(schema)
            expansion = Expansion(schema)
        except RecursionError:
            raise SchemaError("it is nested too deeply.") from None
        if missing is not None:
            raise SchemaError(_missing(*missing))
        if expansion.is_endless:
            raise SchemaError(ENDLESS)
        if not SchemaReader(schema).kinds(schema) & {OBJECT, ANY}:
            raise SchemaError(f"its type fits no object, and every record is one. {ADVICE}")
        try:
            self._validator = jsonschema_rs.validator_for(
                dict(schema), validate_formats=False, mask=_MASK, retriever=_refuse
            )
        except jsonschema_rs.ValidationError as error:
            raise InvalidSchemaError(invalid(schema, error.instance_path)) from error
        except ValueError as error:
            raise InvalidSchemaError(invalid(schema, ())) from error
        self.is_valid = self._validator.is_valid
        self._schema = schema
        self._is_vast = expansion.is_vast
        self._parts: jsonschema_rs.ValidatorMap | None = None

    def problem(self, record: Mapping[str, Any]) -> str | None:
        """What is wrong with a record, as `column: keyword` clauses; None if nothing is."""
        if self._is_vast:
            return self._rough_problem(record)
        problems: list[str] = []
        for error in self._validator.iter_errors(record):
            place = ".".join(str(part) for part in error.instance_path) or "the record"
            problems.append(f"{place}: {error.message.replace(_MASK, 'its value')}")
            if len(problems) == MOST_PROBLEMS:
                break
        return "; ".join(problems) or None

    def _rough_problem(self, record: Mapping[str, Any]) -> str | None:
        """The same in less detail, for a recursive schema.

        The validator makes all errors before it returns the first one, and their number grows exponentially
        with the depth of a record.
        """
        if self.is_valid(record):
            return None
        parts = self._parts
        if parts is None:
            parts = self._parts = jsonschema_rs.validator_map_for(
                dict(self._schema), validate_formats=False, retriever=_refuse
            )
        problems = []
        for name, value in record.items():
            part = parts.get(f"#/properties/{name.replace('~', '~0').replace('/', '~1')}")
            if part is not None and not part.is_valid(value):
                problems.append(f"{name}: its value does not fit its schema")
        return "; ".join(problems[:MOST_PROBLEMS]) or "the record: it does not fit its schema"


def in_short_digits(value: Any) -> Any:
    """A value in which no number has more digits than a double; the same object where none had.

    A tap that makes a Decimal of a double writes 99999.99 as 99999.990000000005238689482212066650390625,
    which is not a multiple of the 0.01 that its schema has for a column of two decimal places.

    Args:
        value: Decoded JSON, with fractions as Decimal.

    Raises:
        RecursionError: It is nested too deeply.
    """
    if isinstance(value, Decimal):
        double = float(value)
        short = Decimal(repr(double)) if math.isfinite(double) else value
        return value if short == value else short
    if isinstance(value, dict):
        members = {name: in_short_digits(each) for name, each in value.items()}
        return members if any(members[name] is not each for name, each in value.items()) else value
    if isinstance(value, list):
        items = [in_short_digits(each) for each in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value


def invalid(schema: Mapping[str, Any], path: Iterable[str | int]) -> str:
    """The message for a schema that is not valid.

    Args:
        schema: The schema, as `modern` returns it.
        path: The place in it that the validator refuses.
    """
    steps = list(path)
    found: Any = schema
    for step in steps:
        try:
            found = found[step]
        except (LookupError, TypeError):
            break
    # A definition's name is its place in the tap's own schema.
    begin = str(steps[1]) if steps[:1] == ["$defs"] and len(steps) > 1 else ""
    place = begin + "".join(f"/{escaped(str(step))}" for step in steps[2 if begin else 0 :])
    if not place:
        return f"it is not a valid JSON Schema. {ADVICE}"
    return f"it is not a valid JSON Schema at {place}, which is {_quoted(found)}. {ADVICE}"


def _missing(place: str, reference: str) -> str:
    quoted = _quoted(reference)
    if reference.startswith("#"):
        return f"{place} refers to {quoted}, which the schema does not have. {ADVICE}"
    return f"{place} refers to another document, {quoted}, and nothing is fetched. {ADVICE}"


def _quoted(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_QUOTE_CHARACTERS else f"{text[: _LONGEST_QUOTE_CHARACTERS - 1]}…"


def _refuse(_address: str) -> None:
    raise ValueError("nothing is fetched")
