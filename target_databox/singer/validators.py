"""Validators of records, behind the SDK's interface: a fast one, and one that reads more patterns."""

from __future__ import annotations

import re
import signal
import threading
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from jsonschema.validators import extend  # type: ignore[import-untyped] # its types are a package of their own
from singer_sdk.exceptions import InvalidJSONSchema, InvalidRecord
from singer_sdk.sinks.core import BaseJSONSchemaValidator, JSONSchemaValidator

from target_databox.records.validation import InvalidSchemaError, RecordValidator

if TYPE_CHECKING:
    from collections.abc import Iterator

# What validators raise, for values that no JSON text holds or that are nested too deeply, too.
MISFITS: Final = (InvalidRecord, ValueError, TypeError, ArithmeticError, RecursionError)
# Seconds of the processor's time for one record: some patterns would never have tried all ways to fit.
MOST_PATTERN_SECONDS: Final = 2.0


def validator_of(schema: dict[str, Any]) -> BaseJSONSchemaValidator:
    """The fast validator, or one that knows more regular expressions.

    Raises:
        SchemaError: Neither understands the schema.
    """
    try:
        return _Validator(schema)
    except InvalidSchemaError as error:
        try:
            return _SlowValidator(schema)
        except (InvalidJSONSchema, re.error, RecursionError):
            raise error from None


def problem_text(validator: BaseJSONSchemaValidator | None, record: dict[str, Any]) -> str:
    """Why a record does not fit, without its values."""
    try:
        if validator is not None:
            validator.validate(record)
    except InvalidRecord as error:
        return error.error_message
    return ""


def misfit_text(error: Exception, *, is_json: bool) -> str:
    """Why a record does not fit its schema, without its values."""
    if isinstance(error, InvalidRecord):
        return error.error_message
    if isinstance(error, ArithmeticError):
        return "the record: its schema can't be applied to a number of this size"
    if is_json:
        return "the record: it does not fit, and is nested too deeply to tell where"
    return "the record: stream maps made of it what JSON does not know, or nests too deeply"


class _Validator(BaseJSONSchemaValidator):
    """The SDK's view of our validator."""

    def __init__(self, schema: dict[str, Any]) -> None:
        super().__init__(schema)
        self._validator = RecordValidator(schema)
        # Asked for every record, hence without a method between.
        self.is_valid = self._validator.is_valid

    def validate(self, record: dict[str, Any]) -> None:
        """Raise InvalidRecord when a record does not fit."""
        problem = self._validator.problem(record)
        if problem is not None:
            raise InvalidRecord(problem, {})


class _SlowValidator(JSONSchemaValidator):
    """The SDK's own validator, which reads more regular expressions; its messages hold no value.

    Python's expressions can take ages, and nothing else runs meanwhile.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        super().__init__(schema)
        checker = self.validator.TYPE_CHECKER.redefine("integer", _is_whole)
        known = type(self.validator)
        self.validator = extend(known, type_checker=checker)(
            schema, format_checker=self.validator.format_checker
        )

    def validate(self, record: dict[str, Any]) -> None:
        """Raise InvalidRecord when a record does not fit."""
        with _limited_time():
            error = next(self.validator.iter_errors(record), None)
        if error is not None:
            place = ".".join(str(part) for part in error.absolute_path) or "the record"
            raise InvalidRecord(f"{place}: its value does not fit '{error.validator}'", {})

    def is_valid(self, record: dict[str, Any]) -> bool:
        """Whether a record fits.

        Raises:
            InvalidRecord: That takes too long to be known.
        """
        with _limited_time():
            return bool(self.validator.is_valid(record))


@contextmanager
def _limited_time() -> Iterator[None]:
    """Raise InvalidRecord where this takes too long; only a signal comes through to a regular expression."""
    is_over = False

    def give_up(*_: object) -> None:
        if not is_over:
            raise InvalidRecord("the record: a pattern of its schema takes too long to be tried", {})

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, MOST_PATTERN_SECONDS)
    try:
        yield
    finally:
        is_over = True
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, former)


def _is_whole(_checker: object, value: object) -> bool:
    """Whether a value is an integer: `2.0` is one, and comes as a Decimal."""
    if isinstance(value, Decimal):
        return value.is_finite() and value == value.to_integral_value()
    return isinstance(value, int) and not isinstance(value, bool)
