"""Does a record fit its stream's schema? Messages name columns and keywords, never values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import jsonschema_rs

if TYPE_CHECKING:
    from collections.abc import Mapping

# Enough to mend a record by; a record of a wrong kind altogether has hundreds.
MOST_PROBLEMS: Final = 3
_MASK: Final = "***"
_ADVICE: Final = "Mend the tap, or set validate_records to false."
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")


class SchemaError(ValueError):
    """The schema can't be used."""


class RecordValidator:
    """Validates records of one stream by JSON Schema, the draft being the schema's own or 2020-12.

    Formats are not checked, as with the SDK, and nothing is fetched.

    Args:
        schema: The stream's schema.

    Raises:
        SchemaError: It is no valid JSON Schema.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        if refers_elsewhere(schema):
            raise SchemaError(
                "it refers to another document, and nothing is fetched. Ask the tap to send it whole."
            )
        try:
            self._validator = jsonschema_rs.validator_for(
                dict(schema), validate_formats=False, mask=_MASK, retriever=_refuse
            )
        except jsonschema_rs.ValidationError as error:
            place = ".".join(str(part) for part in error.instance_path) or "its top"
            raise SchemaError(f"it is no valid JSON Schema at {place}. {_ADVICE}") from error
        except ValueError as error:
            raise SchemaError(f"it is no valid JSON Schema. {_ADVICE}") from error
        self.is_valid = self._validator.is_valid

    def problem(self, record: Mapping[str, Any]) -> str | None:
        """What is wrong with a record, as `column: keyword` clauses; None when nothing is."""
        told = []
        for error in self._validator.iter_errors(record):
            place = ".".join(str(part) for part in error.instance_path) or "the record"
            told.append(f"{place}: {error.message.replace(_MASK, 'its value')}")
            if len(told) == MOST_PROBLEMS:
                break
        return "; ".join(told) or None


def refers_elsewhere(schema: Any) -> bool:
    """Whether a schema refers to another document."""
    if isinstance(schema, dict):
        if any(
            isinstance(schema.get(name), str) and not schema[name].startswith("#") for name in _REFERENCES
        ):
            return True
        return any(map(refers_elsewhere, schema.values()))
    return isinstance(schema, list) and any(map(refers_elsewhere, schema))


def _refuse(_address: str) -> None:
    raise ValueError("nothing is fetched")
