"""Does a record fit its stream's schema? Messages name columns and keywords, never values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import jsonschema_rs

from target_databox.records.expansion import ENDLESS, REFERENCES, Expansion

if TYPE_CHECKING:
    from collections.abc import Mapping

# Enough to mend a record by; a record of a wrong kind altogether has hundreds.
MOST_PROBLEMS: Final = 3
_MASK: Final = "***"
_ADVICE: Final = "Mend the tap, or set validate_records to false."


class SchemaError(ValueError):
    """The schema can't be used."""


class RecordValidator:
    """Validates records of one stream by JSON Schema, the draft being the schema's own or 2020-12.

    Formats are not checked, as with the SDK, and nothing is fetched. The schema must come to an end.

    Args:
        schema: The stream's schema.

    Raises:
        SchemaError: It is no valid JSON Schema, refers to another document, or comes to no end.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        try:
            expansion = Expansion(schema)
            is_whole = not refers_elsewhere(schema)
        except RecursionError:
            raise SchemaError("it is nested too deeply.") from None
        if not is_whole:
            raise SchemaError(
                "it refers to another document, and nothing is fetched. Ask the tap to send it whole."
            )
        if expansion.is_endless:
            raise SchemaError(ENDLESS)
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
        self._schema = schema
        self._is_vast = expansion.is_vast
        self._parts: jsonschema_rs.ValidatorMap | None = None

    def problem(self, record: Mapping[str, Any]) -> str | None:
        """What is wrong with a record, as `column: keyword` clauses; None when nothing is."""
        if self._is_vast:
            return self._rough_problem(record)
        told = []
        for error in self._validator.iter_errors(record):
            place = ".".join(str(part) for part in error.instance_path) or "the record"
            told.append(f"{place}: {error.message.replace(_MASK, 'its value')}")
            if len(told) == MOST_PROBLEMS:
                break
        return "; ".join(told) or None

    def _rough_problem(self, record: Mapping[str, Any]) -> str | None:
        """The same in less detail, for a recursive schema: every error is made before the first is told.

        Their number grows with the depth of a record as a power does.
        """
        if self.is_valid(record):
            return None
        parts = self._parts
        if parts is None:
            parts = self._parts = jsonschema_rs.validator_map_for(
                dict(self._schema), validate_formats=False, retriever=_refuse
            )
        told = []
        for name, value in record.items():
            part = parts.get(f"#/properties/{name.replace('~', '~0').replace('/', '~1')}")
            if part is not None and not part.is_valid(value):
                told.append(f"{name}: its value does not fit its schema")
        return "; ".join(told[:MOST_PROBLEMS]) or "the record: it does not fit its schema"


def refers_elsewhere(schema: Any) -> bool:
    """Whether a schema refers to another document."""
    if isinstance(schema, dict):
        if any(isinstance(schema.get(name), str) and not schema[name].startswith("#") for name in REFERENCES):
            return True
        return any(map(refers_elsewhere, schema.values()))
    return isinstance(schema, list) and any(map(refers_elsewhere, schema))


def _refuse(_address: str) -> None:
    raise ValueError("nothing is fetched")
