"""Does a record fit its stream's schema? Messages name columns and keywords, never values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema_rs

if TYPE_CHECKING:
    from collections.abc import Mapping


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
        try:
            self._validator = jsonschema_rs.validator_for(
                dict(schema), validate_formats=False, mask="***", retriever=_refuse
            )
        except (jsonschema_rs.ValidationError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise SchemaError(reason) from error
        self.is_valid = self._validator.is_valid

    def problem(self, record: Mapping[str, Any]) -> str | None:
        """What is wrong with a record, as `column: keyword` clauses; None when nothing is."""
        told = []
        for error in self._validator.iter_errors(record):
            place = ".".join(str(part) for part in error.instance_path) or "the record"
            told.append(f"{place}: {error.message.replace('***', 'its value')}")
            if len(told) == 3:
                break
        return "; ".join(told) or None


def _refuse(address: str) -> None:
    raise SchemaError(f"it refers to {address}, and nothing is fetched")
