"""DatasetSink: one stream, one dataset. Validates records, makes rows of them, hands them over."""

from __future__ import annotations

import logging
import re
import signal
import threading
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol, cast

from jsonschema.validators import extend  # type: ignore[import-untyped] # its types are a package of their own
from singer_sdk.exceptions import InvalidJSONSchema, InvalidRecord
from singer_sdk.sinks import Sink
from singer_sdk.sinks.core import BaseJSONSchemaValidator, JSONSchemaValidator

from target_databox.delivery.rejections import Reason
from target_databox.delivery.rows import Origin, Row
from target_databox.records.columns import (
    MOST_ADVISED_COLUMNS,
    ColumnError,
    counts_by_depth,
    depths_text,
)
from target_databox.records.columns import columns as columns_of
from target_databox.records.modern import textual
from target_databox.records.row_hash import ROW_HASH, with_row_hash
from target_databox.records.rows import BadRecordError, RowEncoder
from target_databox.records.schemas import SchemaReader
from target_databox.records.validation import InvalidSchemaError, RecordValidator
from target_databox.settings.table import DIALECT

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Collection, Iterator, Sequence

    from singer_sdk import Target

    from target_databox.delivery.batches import Lane
    from target_databox.delivery.engine import Engine
    from target_databox.records.columns import Column
    from target_databox.settings.reading import Settings


logger = logging.getLogger("target-databox")

# What validators raise, for values that no JSON text holds or that are nested too deeply, too.
_MISFITS = (InvalidRecord, ValueError, TypeError, ArithmeticError, RecursionError)


# Seconds of the processor's time for one record: some patterns would never have tried all ways to fit.
MOST_PATTERN_SECONDS = 2.0


class Stopped(Exception):  # noqa: N818 # no error: the run ends in order
    """Nothing more needs to be read."""


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
    """The SDK's own validator, which knows more regular expressions; what it says holds no value.

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


class Run(Protocol):
    """What a sink needs of the target that it belongs to.

    Attributes:
        settings: The run's settings.
        streams_with_texts: Streams of which it was said that numbers of theirs are loaded as text.
        at_hand: Sinks with rows that are to be handed over.
    """

    settings: Settings
    streams_with_texts: set[str]
    at_hand: deque[DatasetSink]

    @property
    def engine(self) -> Engine:
        """What delivers the rows."""

    def tap_keys(self, alias: str) -> list[str] | None:
        """The key properties that the tap sends for a stream, by the alias that the stream has here."""


class DatasetSink(Sink):
    """Loads one stream into one dataset.

    Attributes:
        lane: Where its rows go.
        encoder: Makes rows of its records.
        lacked_key: Whether the newest record that could not become a row lacked a key value.
    """

    MAX_SIZE_DEFAULT = DIALECT.most_rows

    def __init__(
        self,
        target: Target,
        stream_name: str,
        schema: dict[str, Any],
        key_properties: Sequence[str] | None,
    ) -> None:
        # What `add_record_metadata` adds: columns that the stream does not have itself.
        self._metadata: tuple[str, ...] = ()
        super().__init__(target, stream_name, schema, key_properties)
        self._target = cast("Run", target)
        # For records that fit but for numbers where their schema has text; made when one comes.
        self._lenient: BaseJSONSchemaValidator | None = None
        settings = self._target.settings
        keys = settings.keys_of(stream_name, self.key_properties)
        columns = columns_of(
            self.schema,
            key_properties=keys,
            tap_keys=self._target.tap_keys(stream_name),
            column_types=settings.column_types_for(stream_name),
            boolean_format=settings.boolean_format,
            flattening=settings.flattening,
        )
        is_hashed = settings.hashes_rows and not keys
        self.load_keys = (ROW_HASH,) if is_hashed else keys
        if not (columns or self.key_properties or self.load_keys or _named(self.schema)):
            raise ColumnError(
                "it names neither properties nor keys. Ask the tap for them, or name the stream's keys in "
                "primary_keys."
            )
        self.columns: tuple[Column, ...] = with_row_hash(columns) if is_hashed else columns
        self.encoder = RowEncoder(
            self.schema,
            self.columns,
            self.load_keys,
            column_types=settings.column_types_for(stream_name),
            boolean_format=settings.boolean_format,
            flattening=settings.flattening,
            is_hashed=is_hashed,
        )
        self._largest_row_bytes = settings.most_rows_bytes
        self._keeps_lines = settings.rejects_path is not None
        self._rows: list[Row] = []
        self._key_order: list[int] | None = None
        self.lane: Lane | None = None
        self.lacked_key = False

    def get_validator(self) -> BaseJSONSchemaValidator | None:
        """The validator of this stream's records; None when `validate_records` is off.

        Raises:
            SchemaError: No validator understands the schema.
        """
        # As the tap sent it: what we add to it is no reason to reject a record.
        return _validator(self.original_schema) if self.validate_schema else None

    def _add_sdc_metadata_to_schema(self) -> None:
        """Add the columns of `add_record_metadata` that the stream does not have itself."""
        own, named = self.schema, _named(self.schema)
        self.schema = {"properties": {}}
        super()._add_sdc_metadata_to_schema()
        added = {name: each for name, each in self.schema["properties"].items() if name not in named}
        self._metadata = tuple(added)
        self.schema = {**own, "properties": {**own["properties"], **added}}

    def _remove_sdc_metadata_from_schema(self) -> None:
        """Keep them: what a source calls `_sdc_…` are columns like any other."""

    def order_keys(self, keys: Sequence[str]) -> None:
        """Let the values of a row's key stand in the order in which another SCHEMA named the same columns."""
        order = [self.load_keys.index(key) for key in keys]
        self._key_order = None if order == sorted(order) else order

    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:
        """Take in a record that came by way of the SDK.

        Args:
            record: After stream maps, not yet validated.
            context: `line`, `number` and `origin` of its message, and the `message` itself.
        """
        self.take(
            record, context["line"], context["number"], context["origin"], message=context.get("message")
        )

    def take(
        self,
        record: dict[str, Any],
        line: bytes,
        number: int,
        origin: Origin,
        *,
        is_json: bool = False,
        message: dict[str, Any] | None = None,
    ) -> None:
        """Make a row of a record and keep it until the lines at hand are read.

        Args:
            record: Not yet validated.
            line: Its message.
            number: The message's place in the input.
            origin: Where it came from.
            is_json: Whether it is as it was decoded, and no stream map was at work.
            message: The whole message, for `add_record_metadata`.
        """
        validator, fits = self._validator, False
        if validator is not None:
            try:
                fits = validator.is_valid(record)  # type: ignore[attr-defined] # both of ours have it
                if not fits:
                    self._require_fit_as_text(record)
            except _MISFITS as error:
                self.reject(line, number, origin, Reason.SCHEMA, "schema", _misfit(error, is_json=is_json))
                return
        added: Collection[str] = ()
        if self._metadata and message is not None:
            own = record
            record = self._with_metadata(own, message)
            added = record.keys() - own.keys()
        try:
            # What is added is another in every run.
            row = self.encoder.encode(record, is_json=is_json, fits=fits, unhashed=added)
        except BadRecordError as error:
            reason = Reason.KEY if error.code.startswith("key_") else Reason.ENCODING
            self.lacked_key = reason is Reason.KEY
            self.reject(line, number, origin, reason, error.code, error.message)
            return
        if len(row.body) > self._largest_row_bytes:
            limit = self._target.settings.batch_size_bytes
            self.reject(
                line,
                number,
                origin,
                Reason.SIZE,
                "too_large",
                f"it is {len(row.body):,} bytes, more than one request of {limit:,} may hold",
            )
            return
        if not self._rows:
            self._target.at_hand.append(self)
        key = row.key
        if key is not None and self._key_order is not None:
            key = tuple([key[place] for place in self._key_order])
        self._rows.append(Row(key, row.body, number, line if self._keeps_lines else None, origin))

    def _require_fit_as_text(self, record: dict[str, Any]) -> None:
        """Make sure that a record fits its schema once numbers and booleans are text where it has text.

        Raises:
            InvalidRecord: It does not.
        """
        validator = self._lenient
        if validator is None:
            validator = self._lenient = _validator(textual(self.original_schema))
        if not validator.is_valid(record):  # type: ignore[attr-defined] # both of ours have it
            validator.validate(record)
        if self.stream_name not in self._target.streams_with_texts:
            self._target.streams_with_texts.add(self.stream_name)
            logger.warning(
                "Stream '%s' has numbers or booleans where its schema has text (%s). They are loaded as "
                "text; for columns to calculate with, set column_types.",
                self.stream_name,
                _problem(self._validator, record),
            )

    def _with_metadata(self, record: dict[str, Any], message: dict[str, Any]) -> dict[str, Any]:
        """A record with the columns of `add_record_metadata` that neither it nor its stream has itself."""
        added: dict[str, Any] = {}
        self._add_sdc_metadata_to_record(added, message, {})
        return {**record, **{name: added[name] for name in self._metadata if name not in record}}

    def reject(
        self, line: bytes, number: int, origin: Origin, reason: Reason, code: str, message: str
    ) -> None:
        """Take a record out of the stream that can't be sent.

        Raises:
            Stopped: The run ends here.
        """
        if self.lane is not None:
            engine = self._target.engine
            row = Row(None, b"", number=number, line=line if self._keeps_lines else None, origin=origin)
            engine.reject(self.lane, row, reason, code, message)
            if engine.is_stopping:
                raise Stopped

    def width_advice(self) -> str:
        """What to say where there are more columns than Databox may take; nothing where there are not."""
        if len(self.columns) <= MOST_ADVISED_COLUMNS:
            return ""
        settings = self._target.settings
        counts = counts_by_depth(
            self.schema, settings.flattening, settings.column_types_for(self.stream_name)
        )
        return (
            f"Stream '{self.stream_name}' has {len(self.columns):,} columns, and Databox may take no more "
            f"than {MOST_ADVISED_COLUMNS} of a dataset. "
            f"{depths_text(counts) if counts else 'Deselect properties in the tap.'}"
        )

    def hand_over(self) -> None:
        """Give the rows at hand to the delivery, and wait while it has no room for more."""
        if self._rows and self.lane is not None:
            rows, self._rows = self._rows, []
            self.record_counter_metric.increment(len(rows))
            self._target.engine.put(self.lane, rows)

    def process_batch(self, context: dict[str, Any]) -> None:
        """Nothing: batches are cut and confirmed by the delivery, which every row has gone to already."""


def _validator(schema: dict[str, Any]) -> BaseJSONSchemaValidator:
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


def _named(schema: dict[str, Any]) -> Collection[str]:
    """The properties that a schema names, at its top or by reference."""
    return SchemaReader(schema).properties(schema)[0]


def _problem(validator: BaseJSONSchemaValidator | None, record: dict[str, Any]) -> str:
    """Why a record does not fit, without its values."""
    try:
        if validator is not None:
            validator.validate(record)
    except InvalidRecord as error:
        return error.error_message
    return ""


def _misfit(error: Exception, *, is_json: bool) -> str:
    """Why a record does not fit its schema, without its values."""
    if isinstance(error, InvalidRecord):
        return error.error_message
    if isinstance(error, ArithmeticError):
        return "the record: its schema can't be applied to a number of this size"
    if is_json:
        return "the record: it does not fit, and is nested too deeply to tell where"
    return "the record: stream maps made of it what JSON does not know, or nests too deeply"
