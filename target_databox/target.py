"""TargetDatabox: the SDK's plugin class, which handles the Singer messages, the settings and signals.

A record passes through `reader` (a line), its `DatasetSink` (validated and encoded as a row) and `delivery`
(sent and confirmed); then the STATE after it may be written.

The module is long because the SDK asks for one class; code that does not need the SDK is elsewhere.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections import OrderedDict, deque
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

import msgspec
from singer_sdk import Target
from singer_sdk.exceptions import (
    MissingKeyPropertiesError,
    RecordsWithoutSchemaException,
    StreamMapConfigError,
)
from singer_sdk.helpers.capabilities import PluginCapabilities, TargetCapabilities
from singer_sdk.mapper import RemoveRecordTransform, SameRecordTransform

from target_databox.delivery.errors import RejectedError
from target_databox.delivery.rejections import Reason
from target_databox.delivery.rows import Origin
from target_databox.interrupts import Interrupts
from target_databox.outputs import standard_error
from target_databox.outputs.printable import keep_secret
from target_databox.records.columns import ColumnError
from target_databox.records.modern import modern
from target_databox.records.validation import SchemaError
from target_databox.settings.about import CONFIG_JSONSCHEMA
from target_databox.settings.errors import SettingsError
from target_databox.settings.reading import Settings, settings_of_run
from target_databox.singer.batch_files import BatchLine, opened, record_lines
from target_databox.singer.messages import (
    InputError,
    UnreadableRecordError,
    declaration,
    kept_line,
    message,
    record_line,
    record_message,
    record_of,
    require,
    state_value,
    stream_of,
)
from target_databox.singer.reader import LineReader
from target_databox.singer.stream_maps import UNFIT, UnmappedError, mapped, register
from target_databox.sinks import DatasetSink, Stopped

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from singer_sdk.helpers.capabilities import CapabilitiesEnum
    from singer_sdk.mapper import StreamMap
    from singer_sdk.sinks import Sink

    from target_databox.delivery.batches import Lane
    from target_databox.delivery.engine import Engine
    from target_databox.run import Loader

logger = logging.getLogger("target-databox")

# Rows of a BATCH file that are read before they are passed to the delivery.
BATCH_ROWS_AT_HAND = 200
# SCHEMAs of one stream that are kept, for taps that alternate between several.
MOST_READINGS = 64


class NoSchemaError(InputError, RecordsWithoutSchemaException):
    """A message names a stream before its SCHEMA; also the SDK's error for this."""


class KeyLackingError(RejectedError, MissingKeyPropertiesError):
    """The record that ended the run lacks a key value; also the SDK's error for this."""


class _Reading(NamedTuple):
    """How to read records under one SCHEMA of a stream."""

    declared: tuple[dict[str, Any], list[str]]
    maps: list[StreamMap]
    sinks: dict[str, Sink]
    origin: Origin
    short_cut: tuple[DatasetSink, Origin] | None


class TargetDatabox(Target):
    """Singer target for Databox. A STATE is written only once every row before it has its final outcome."""

    name = "target-databox"
    config_jsonschema: ClassVar[dict[str, Any]] = CONFIG_JSONSCHEMA
    default_sink_class = DatasetSink
    message_reader_class = LineReader
    needs_key: ClassVar[bool] = True
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
        TargetCapabilities.VALIDATE_RECORDS,
    ]

    def __init__(
        self,
        *,
        config: dict[str, Any] | None = None,
        parse_env_config: bool = False,
        validate_config: bool = True,
        setup_mapper: bool = True,
        message_reader: LineReader | None = None,
    ) -> None:
        self.settings: Settings = settings_of_run(
            config or {}, os.environ, parse_env=parse_env_config, require_key=self.needs_key
        )
        keep_secret(self.settings.api_key)
        self.interrupts = Interrupts()
        try:
            super().__init__(
                config=self.settings.sdk_config(),
                validate_config=validate_config,
                setup_mapper=setup_mapper,
                message_reader=message_reader,
            )
        except StreamMapConfigError as error:
            raise SettingsError([f"stream_maps: {error}"]) from error
        self.message_reader: LineReader
        self.message_reader.serve(self)
        self._lanes: dict[str, tuple[Lane, tuple[str, ...]]] = {}
        # The source stream of each alias.
        self._sources: dict[str, str] = {}
        self._declared: dict[str, tuple[dict[str, Any], list[str]]] = {}
        self._origins: dict[str, Origin] = {}
        # For each stream, by the text of its SCHEMA; the current one is last.
        self._readings: dict[str, OrderedDict[bytes, _Reading]] = {}
        # The columns of all SCHEMAs of each alias.
        self._columns: dict[str, set[str]] = {}
        # Streams whose records neither stream maps nor metadata change.
        self.short_cuts: dict[str, tuple[DatasetSink, Origin]] = {}
        # Streams that were warned about because their numbers are loaded as text.
        self.streams_with_texts: set[str] = set()
        # Sinks with rows that are not passed to the delivery yet.
        self.at_hand: deque[DatasetSink] = deque()
        self._is_warned_of_versions = False
        if self.settings.emulated:
            logger.warning(
                "Loading into the emulator at %s, whatever the configuration says, since "
                "TARGET_DATABOX_EMULATOR_URL is set.",
                self.settings.api_url,
            )

    @cached_property
    def loader(self) -> Loader:
        """Loads rows into Databox; created when the first line is read."""
        from target_databox.run import Loader

        return Loader(self.settings, self.interrupts)

    @property
    def engine(self) -> Engine:
        """Delivers the rows."""
        return self.loader.engine

    def begin(self, source: IO[bytes]) -> None:
        """Start the run, before the first line is read."""
        self.loader.begin(source)

    def is_over(self) -> bool:
        """Whether the run is ending, so that no more input needs to be read."""
        return self.engine.is_stopping

    def tap_keys(self, alias: str) -> list[str] | None:
        """The key properties that the tap sends for the stream with this alias."""
        declared = self._declared.get(self._sources.get(alias, ""))
        return declared[1] if declared else None

    # Messages

    def _process_schema_message(self, message_dict: dict[str, Any]) -> None:
        stream, schema, keys = declaration(message_dict)
        readings = self._readings.setdefault(stream, OrderedDict())
        try:
            # Compared as text: in Python 1, 1.0 and true are equal, but in a schema they differ.
            text = msgspec.json.encode((schema, keys))
            if readings and text == next(reversed(readings)):
                return
            # Rows go to the delivery in the order of the input, so those of the former SCHEMA come first.
            self.hand_over()
            if text in readings:
                readings.move_to_end(text)
                self._read_again(stream, readings[text])
                return
            self._declared[stream] = schema, keys
            self._declare(stream, schema, keys)
        except RecursionError:
            raise InputError(f"is a SCHEMA of stream '{stream}' that is nested too deeply.") from None
        maps = self.mapper.stream_maps[stream]
        sinks = {each.stream_alias: self._sinks_active[each.stream_alias] for each in self._maps(stream)}
        readings[text] = _Reading(
            (schema, keys), maps, sinks, self._origins[stream], self.short_cuts.get(stream)
        )
        if len(readings) > MOST_READINGS:
            readings.popitem(last=False)

    def _read_again(self, stream: str, reading: _Reading) -> None:
        """Go back to an earlier SCHEMA of a stream, as when a tap alternates between several."""
        self._declared[stream] = reading.declared
        self._origins[stream] = reading.origin
        self.mapper.stream_maps[stream] = reading.maps
        self._sinks_active.update(reading.sinks)
        self.short_cuts.pop(stream, None)
        if reading.short_cut is not None:
            self.short_cuts[stream] = reading.short_cut

    def _declare(self, stream: str, schema: dict[str, Any], keys: list[str]) -> None:
        self.short_cuts.pop(stream, None)
        # Only the rejects file needs the SCHEMA line; otherwise rows in flight would keep it in memory.
        line = self.message_reader.line if self.settings.rejects_path is not None else b""
        self._origins[stream] = Origin(stream, line)
        self.mapper.stream_maps.pop(stream, None)
        try:
            register(self.mapper, stream, modern(schema), keys)
        except UNFIT as error:
            raise InputError(
                f"is a SCHEMA of stream '{stream}' to which stream_maps do not fit: {error}"
            ) from error
        for stream_map in self._maps(stream):
            self._claim(stream_map.stream_alias, stream)
        for stream_map in self._maps(stream):
            self._open(stream, stream_map)
        if self._is_taken_as_it_is(stream):
            sink = self._sink(self._maps(stream)[0].stream_alias)
            self.short_cuts[stream] = sink, self._origins[stream]

    def _claim(self, alias: str, stream: str) -> None:
        aliases = [stream_map.stream_alias for stream_map in self._maps(stream)]
        source = self._sources.setdefault(alias, stream)
        if source != stream or aliases.count(alias) > 1:
            raise InputError(
                f"maps stream '{stream}' to '{alias}', as stream '{source}' is: two streams can't share one "
                "dataset. Change __alias__ in stream_maps."
            )

    def _open(self, stream: str, stream_map: StreamMap) -> None:
        # Without a former sink the SDK does not compare the schemas; it would take 1 and true for equal.
        former = self._sinks_active.pop(stream_map.stream_alias, None)
        try:
            sink = self.get_sink(
                stream_map.stream_alias,
                schema=stream_map.transformed_schema,
                key_properties=stream_map.transformed_key_properties,
            )
        except (ColumnError, SchemaError) as error:
            raise InputError(f"is a SCHEMA of stream '{stream}' that can't be loaded: {error}") from error
        # The SDK keeps former sinks to drain them later, but ours hold no rows.
        self._sinks_to_clear.clear()
        if former is not None:
            # One count per stream, however many SCHEMAs it has.
            sink._record_counter = former._record_counter
        opened = self._sink(sink.stream_name)
        opened.lane = self._lane_of(opened)
        self._columns.setdefault(sink.stream_name, set()).update(column.name for column in opened.columns)

    def _process_record_message(self, message_dict: dict[str, Any]) -> None:
        reader = self.message_reader
        if "rejected" in message_dict:
            kept = kept_line(message_dict)
            if kept is not None:
                reader.line = kept
                message_dict = message(kept)
        self._take(message_dict, record_of(message_dict), reader.line)

    def _take(self, message_dict: dict[str, Any], record: dict[str, Any], line: bytes) -> None:
        stream = message_dict.get("stream")
        if not isinstance(stream, str):
            raise InputError("is a RECORD that names no stream.")
        if stream in self.short_cuts:
            sink, origin = self.short_cuts[stream]
            sink.take(record, line, self.message_reader.number, origin, is_json=True)
            return
        maps, number = self._maps(stream), self.message_reader.number
        context = {"line": line, "number": number, "origin": self._origins[stream], "message": message_dict}
        for stream_map in maps:
            sink = self._sink(stream_map.stream_alias)
            try:
                mapped_record = mapped(stream_map, record)
            except UnmappedError as error:
                sink.reject(line, number, self._origins[stream], Reason.MAP, "expression", str(error))
                continue
            if mapped_record is None:
                continue
            sink.process_record(mapped_record, context)

    def _process_state_message(self, message_dict: dict[str, Any]) -> None:
        require(message_dict, "value")
        value = message_dict["value"]
        if self.settings.load_method == "overwrite" or value is None:
            # The next overwrite purges the dataset and needs all records, so it must not find a bookmark.
            return
        if not isinstance(value, dict):
            raise InputError("is a STATE whose value is not an object.")
        self.hand_over()
        self.engine.state(state_value(self.message_reader.line))

    def _process_activate_version_message(self, message_dict: dict[str, Any]) -> None:
        stream = stream_of(message_dict)
        self._maps(stream)
        if self.settings.load_method != "overwrite" and not self._is_warned_of_versions:
            self._is_warned_of_versions = True
            logger.warning(
                "ACTIVATE_VERSION of stream '%s' changes nothing: the Databox API can't delete single "
                "rows, so rows that are gone at the source stay in the dataset. Use load_method overwrite "
                "for a fresh copy every run.",
                stream,
            )

    def _process_batch_message(self, message_dict: dict[str, Any]) -> None:
        require(message_dict, "encoding", "manifest")
        stream = stream_of(message_dict)
        self._maps(stream)
        lines = record_lines(message_dict["encoding"], message_dict["manifest"], opened)
        for count in itertools.count(1):
            # Opening and reading may take long, and a small file may unpack to very many lines.
            with self.interrupts:
                batch_line = next(lines, None)
            if batch_line is None:
                break
            if batch_line.text:
                self._take_from_batch(stream, batch_line)
            if count % BATCH_ROWS_AT_HAND == 0:
                self.hand_over()
                with self.interrupts:
                    self._go_on()

    def _take_from_batch(self, stream: str, batch_line: BatchLine) -> None:
        # Make it a RECORD line as the tap would have sent it, with the record's text unchanged.
        line = record_line(stream, batch_line.text)
        try:
            decoded = record_message(stream, batch_line.text)
            self._take(decoded, record_of(decoded), line)
        except UnreadableRecordError as error:
            self.reject_unreadable(error, line)
        except InputError as error:
            where = f"file {batch_line.address} has a line {batch_line.number}"
            raise InputError(f"is a BATCH whose {where} that {error}") from error.__cause__

    def reject_unreadable(self, error: UnreadableRecordError, line: bytes) -> None:
        """Reject a record whose line can't be read."""
        for stream_map in self._maps(error.stream):
            if isinstance(stream_map, RemoveRecordTransform):
                continue
            sink = self._sink(stream_map.stream_alias)
            origin = self._origins[error.stream]
            sink.reject(line, self.message_reader.number, origin, Reason.ENCODING, error.code, error.message)

    # Sinks

    def _is_taken_as_it_is(self, stream: str) -> bool:
        """Whether neither stream maps nor metadata change a stream's records."""
        maps = self._maps(stream)
        return (
            len(maps) == 1
            and isinstance(maps[0], SameRecordTransform)
            and not self.settings.add_record_metadata
        )

    def _maps(self, stream: str) -> Sequence[StreamMap]:
        maps = self.mapper.stream_maps.get(stream)
        if not maps:
            raise NoSchemaError(f"belongs to stream '{stream}', which has had no SCHEMA. Check the tap.")
        return [each for each in maps if not isinstance(each, RemoveRecordTransform)]

    def _sink(self, alias: str) -> DatasetSink:
        return cast("DatasetSink", self.get_sink(alias))

    def _lane_of(self, sink: DatasetSink) -> Lane:
        """The lane of a sink's rows, opened at the stream's first SCHEMA."""
        known = self._lanes.get(sink.stream_name)
        if known is None or self.settings.dialect.most_columns is not None:
            self._warn_of_width(sink)
        if known is None:
            lane = self.loader.open(sink)
            self._lanes[sink.stream_name] = lane, sink.load_keys
            return lane
        lane, keys = known
        if set(keys) != set(sink.load_keys):
            raise InputError(
                f"changes the key properties of stream '{sink.stream_name}' from {', '.join(keys) or 'none'} "
                f"to {', '.join(sink.load_keys) or 'none'}: the keys of a Databox dataset can't be changed. "
                "Set primary_keys for the stream, or load it into another dataset with dataset_titles."
            )
        sink.order_keys(keys)
        return lane

    def _warn_of_width(self, sink: DatasetSink) -> None:
        advice = sink.width_advice(self._columns.get(sink.stream_name, ()))
        if not advice:
            return
        if self.settings.dialect.most_columns is not None:
            raise InputError(f"is a SCHEMA that can't be loaded. {advice}")
        logger.warning("%s", advice)

    def _go_on(self) -> None:
        if self.engine.is_stopping:
            raise Stopped

    def hand_over(self) -> None:
        """Pass all encoded rows to the delivery."""
        while self.at_hand:
            self.at_hand[0].hand_over()
            self.at_hand.popleft()

    # The end

    def process_endofpipe(self) -> None:
        """Deliver and confirm everything that was read, as far as time allows, then print the summary."""
        failure = self.message_reader.failure
        sinks = [sink for sink in self._sinks_active.values() if isinstance(sink, DatasetSink)]
        read = [
            cast("DatasetSink", sink)
            for readings in self._readings.values()
            for reading in readings.values()
            for sink in reading.sinks.values()
        ]
        if failure is None:
            columns = self._columns
            for sink in read:
                columns[sink.stream_name] |= sink.encoder.unlisted
            for entry in self.settings.unused(columns):
                logger.warning("Nothing in the input matched the setting %s; is it misspelt?", entry)
        for sink in sinks:
            # Logs the record count, which must come before the summary.
            sink.clean_up()
        try:
            self.loader.finish(failure)
        except RejectedError as error:
            if any(sink.lacked_key for sink in read):
                raise KeyLackingError(str(error)) from error
            raise

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002 # as in the SDK
        standard_error.hurry()
        self.interrupts.handle(signum)
