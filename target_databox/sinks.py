"""DatasetSink: validates the records of one stream, encodes them as rows and passes them to the delivery."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, Protocol, cast

from singer_sdk import metrics
from singer_sdk.sinks import Sink

from target_databox.delivery.rejections import Reason
from target_databox.delivery.rows import Origin, Row
from target_databox.records.columns import (
    MOST_ADVISED_COLUMNS,
    ColumnError,
    counts_by_depth,
    depths_text,
)
from target_databox.records.columns import columns as columns_of
from target_databox.records.expansion import ENDLESS, Expansion
from target_databox.records.modern import textual
from target_databox.records.row_hash import ROW_HASH, with_row_hash
from target_databox.records.rows import BadRecordError, RowEncoder
from target_databox.records.schemas import SchemaReader
from target_databox.records.validation import in_short_digits
from target_databox.singer.validators import MISFITS, misfit_text, problem_text, validator_of

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Collection, Sequence

    from singer_sdk import Target
    from singer_sdk.sinks.core import BaseJSONSchemaValidator

    from target_databox.delivery.batches import Lane
    from target_databox.delivery.engine import Engine
    from target_databox.records.columns import Column
    from target_databox.settings.reading import Settings


logger = logging.getLogger("target-databox")


class Stopped(Exception):  # noqa: N818 # not an error: the run ends in an orderly way
    """The run is ending, so no more input is read."""


class Run(Protocol):
    """What a sink needs of its target.

    Attributes:
        settings: The run's settings.
        streams_with_texts: Streams that were warned about because their numbers are loaded as text.
        at_hand: Sinks with rows that are not passed to the delivery yet.
    """

    settings: Settings
    streams_with_texts: set[str]
    at_hand: deque[DatasetSink]

    @property
    def engine(self) -> Engine:
        """Delivers the rows."""

    def tap_keys(self, alias: str) -> list[str] | None:
        """The key properties that the tap sends for the stream with this alias."""


class DatasetSink(Sink):
    """Loads one stream into one dataset.

    Attributes:
        lane: The delivery of its rows; None until the dataset is open.
        encoder: Encodes its records as rows.
        lacked_key: Whether the latest record that could not be encoded lacked a key value.
    """

    def __init__(
        self,
        target: Target,
        stream_name: str,
        schema: dict[str, Any],
        key_properties: Sequence[str] | None,
    ) -> None:
        if Expansion(schema).is_endless:  # checked first, since other code would never finish with it
            raise ColumnError(ENDLESS)
        # The columns of `add_record_metadata` that the stream does not have itself.
        self._metadata: tuple[str, ...] = ()
        super().__init__(target, stream_name, schema, key_properties)
        self._target = cast("Run", target)
        # Validates records with other values where the schema has text; created when needed.
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

    @property
    def added_columns(self) -> tuple[str, ...]:
        """Columns of `add_record_metadata` that the stream does not have itself; they differ in every run."""
        return self._metadata

    def get_sink_record_counter(self) -> metrics.Counter:
        """The SDK's count of this stream's records, logged only at the stream's end."""
        return metrics.record_counter(self.stream_name, log_interval=math.inf)

    def get_validator(self) -> BaseJSONSchemaValidator | None:
        """The validator of this stream's records; None if `validate_records` is off.

        Raises:
            SchemaError: No validator understands the schema.
        """
        # The schema as the tap sent it: a record must not be rejected because of columns that we add.
        return validator_of(self.original_schema) if self.validate_schema else None

    def _add_sdc_metadata_to_schema(self) -> None:
        """Add the columns of `add_record_metadata` that the stream does not have itself."""
        own, named = self.schema, _named(self.schema)
        self.schema = {"properties": {}}
        super()._add_sdc_metadata_to_schema()
        added = {name: each for name, each in self.schema["properties"].items() if name not in named}
        self._metadata = tuple(added)
        self.schema = {**own, "properties": {**own["properties"], **added}}

    def _remove_sdc_metadata_from_schema(self) -> None:
        """Do nothing: `_sdc_…` columns of the source itself are ordinary columns."""

    def order_keys(self, keys: Sequence[str]) -> None:
        """Order the values of a row's key as in an earlier SCHEMA, which named the same columns."""
        order = [self.load_keys.index(key) for key in keys]
        self._key_order = None if order == sorted(order) else order

    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:
        """Take a record from the SDK.

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
        """Validate a record, encode it as a row and keep it until `hand_over`; reject it if it doesn't fit.

        Args:
            record: The record, not yet validated.
            line: Its message.
            number: The message's line number in the input.
            origin: Where it came from.
            is_json: Whether it is exactly the decoded JSON, unchanged by stream maps.
            message: The whole message, for `add_record_metadata`.

        Raises:
            Stopped: The run ends at this record.
        """
        validator, fits = self._validator, False
        if validator is not None:
            try:
                fits = validator.is_valid(record)  # type: ignore[attr-defined] # both of ours have it
                if not fits:
                    self._require_fit_as_text(record)
            except MISFITS as error:
                self.reject(
                    line, number, origin, Reason.SCHEMA, "schema", misfit_text(error, is_json=is_json)
                )
                return
        added: Collection[str] = ()
        if self._metadata and message is not None:
            own = record
            record = self._with_metadata(own, message)
            added = record.keys() - own.keys()
        try:
            # Metadata differs from run to run, so it is not part of the row's hash.
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
        """Check that a record fits its schema if any value is allowed in place of text.

        It also fits if it does with the digits that its numbers have as doubles.

        Raises:
            InvalidRecord: It does not.
        """
        validator = self._lenient
        if validator is None:
            validator = self._lenient = validator_of(textual(self.original_schema))
        if not validator.is_valid(record):  # type: ignore[attr-defined] # both of ours have it
            short = in_short_digits(record)
            if short is record or not validator.is_valid(short):  # type: ignore[attr-defined] # likewise
                validator.validate(record)
            record = short
        if self.stream_name in self._target.streams_with_texts:
            return
        problem = problem_text(self._validator, record)
        if problem:
            self._target.streams_with_texts.add(self.stream_name)
            logger.warning(
                "Stream '%s' has other values than text where its schema has text (%s). They are loaded as "
                "text, objects as JSON; for columns to calculate with, set column_types.",
                self.stream_name,
                problem,
            )

    def _with_metadata(self, record: dict[str, Any], message: dict[str, Any]) -> dict[str, Any]:
        """A record with the columns of `add_record_metadata` that neither it nor its stream has."""
        added: dict[str, Any] = {}
        self._add_sdc_metadata_to_record(added, message, {})
        return {**record, **{name: added[name] for name in self._metadata if name not in record}}

    def reject(
        self, line: bytes, number: int, origin: Origin, reason: Reason, code: str, message: str
    ) -> None:
        """Reject a record.

        Raises:
            Stopped: The run ends at this record.
        """
        if self.lane is not None:
            engine = self._target.engine
            row = Row(None, b"", number=number, line=line if self._keeps_lines else None, origin=origin)
            engine.reject(self.lane, row, reason, code, message)
            if engine.is_stopping:
                raise Stopped

    def width_advice(self, others: Collection[str] = ()) -> str:
        """A warning if the stream has more columns than Databox may accept; else empty.

        Args:
            others: Columns that other SCHEMAs gave it.
        """
        count = len({column.name for column in self.columns}.union(others))
        if count <= MOST_ADVISED_COLUMNS:
            return ""
        settings = self._target.settings
        counts = counts_by_depth(
            self.schema, settings.flattening, settings.column_types_for(self.stream_name)
        )
        return (
            f"Stream '{self.stream_name}' has {count:,} columns, and Databox may take no more "
            f"than {MOST_ADVISED_COLUMNS} of a dataset. "
            f"{depths_text(counts) if counts else 'Deselect properties in the tap.'}"
        )

    def hand_over(self) -> None:
        """Pass the encoded rows to the delivery, and wait until it has room for more."""
        if self._rows and self.lane is not None:
            rows, self._rows = self._rows, []
            self.record_counter_metric.increment(len(rows))
            self._target.engine.put(self.lane, rows)

    def process_batch(self, context: dict[str, Any]) -> None:
        """Do nothing: the delivery already has every row, and cuts and confirms its own batches."""


def _named(schema: dict[str, Any]) -> Collection[str]:
    """The properties that a schema names, at its top level or by reference."""
    return SchemaReader(schema).properties(schema)[0]
