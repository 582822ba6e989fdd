"""TargetDatabox: Singer messages in, STATE out; settings, signals and exit codes.

A record's way: a line → `messages` → its `DatasetSink` (validated, made a row) → `delivery` (sent, confirmed) → STATE.
"""

from __future__ import annotations

import logging
import os
import sys
from collections import Counter
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, ClassVar

import click
from singer_sdk import Target
from singer_sdk.helpers.capabilities import PluginCapabilities, TargetCapabilities
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.singerlib.encoding import GenericSingerReader

from target_databox.delivery.batches import Origin
from target_databox.interrupts import Interrupted, Interrupts
from target_databox.messages import (
    InputError,
    UnreadableRecordError,
    chunks,
    kept_line,
    message,
    record_message,
    state_value,
)
from target_databox.settings import (
    CONFIG_JSONSCHEMA,
    Settings,
    SettingsError,
    environment,
    environment_config,
    read_settings,
)
from target_databox.sinks import DatasetSink, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from singer_sdk.helpers.capabilities import CapabilitiesEnum
    from singer_sdk.plugin_base import _ConfigInput

    from target_databox.delivery.engine import Engine
    from target_databox.delivery.lane import Lane
    from target_databox.loader import Loader

logger = logging.getLogger("target-databox")

FAILED = 1
# Rows of a BATCH file that are read before they are handed over.
BATCH_ROWS_AT_HAND = 200


class LineReader(GenericSingerReader[bytes]):
    """Calls a target for every message, and once more whenever the input has to be waited for.

    Attributes:
        line: The line at hand.
        number: Its number, from 1.
        failure: What ended the reading early.
    """

    def __init__(self) -> None:
        super().__init__()
        self.target: TargetDatabox | None = None
        self.line = b""
        self.number = 0
        self.failure: BaseException | None = None

    @property
    def default_input(self) -> IO[bytes]:
        """Standard input as bytes: its text would be decoded with the locale."""
        return sys.stdin.buffer

    def deserialize_json(self, line: bytes) -> dict[str, Any]:
        """Decode one line."""
        return message(line)

    def process_lines(
        self, file_input: IO[bytes] | None, callbacks: dict[str, Callable[[dict[str, Any]], None]]
    ) -> Counter[str]:
        """Read to the end, or to what ends the run; never raises."""
        stats: Counter[str] = Counter()
        target = self.target
        assert target is not None
        source = file_input or self.default_input
        try:
            target.loader.refuse_own_rejects(source)
            for lines in chunks(source, interruptible=target.interrupts):
                for line in lines:
                    self.number += 1
                    self.line = line
                    if not line.strip():
                        continue
                    stats[self._process(line, callbacks)] += 1
                target.hand_over()
                if target.engine.is_stopping:
                    break
        except Stopped:
            pass
        except (Exception, Interrupted) as error:
            self.failure = error
        return stats

    def _process(self, line: bytes, callbacks: dict[str, Callable[[dict[str, Any]], None]]) -> str:
        try:
            decoded = message(line)
            kind: str = decoded["type"]
            callback = callbacks.get(kind)
            if callback is None:
                raise InputError("has a type that is not one of Singer's.")
            callback(decoded)
        except UnreadableRecordError as error:
            self.target.reject_unreadable(error, self.line)  # type: ignore[union-attr]
            return "RECORD"
        except InputError as error:
            raise InputError(f"Line {self.number} of the input {error}") from error.__cause__
        return kind


class TargetDatabox(Target):
    """Singer target for Databox: every row is confirmed before STATE moves on."""

    name = "target-databox"
    config_jsonschema: ClassVar[dict[str, Any]] = CONFIG_JSONSCHEMA
    default_sink_class = DatasetSink
    message_reader_class = LineReader
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
        given = dict(config or {})
        if parse_env_config:
            given.update(environment_config(environment(os.environ)))
        self.settings: Settings = read_settings(given, os.environ)
        self.interrupts = Interrupts()
        super().__init__(
            config=self.settings.sdk_config(),
            validate_config=validate_config,
            setup_mapper=setup_mapper,
            message_reader=message_reader,
        )
        self.message_reader: LineReader
        self.message_reader.target = self
        self._lanes: dict[str, tuple[Lane, tuple[str, ...]]] = {}
        self._origins: dict[str, str] = {}
        self._schemas: dict[object, Origin] = {}
        self._fast_sinks: dict[object, DatasetSink] = {}
        self._warned: set[str] = set()
        if self.settings.emulated:
            logger.warning(
                "Loading into the emulator at %s, whatever the configuration says, since TARGET_DATABOX_EMULATOR_URL "
                "is set.",
                self.settings.api_url,
            )

    @cached_property
    def loader(self) -> Loader:
        """The way to Databox, made when the first line is read."""
        from target_databox.loader import Loader

        return Loader(self.settings, self.interrupts)

    @property
    def engine(self) -> Engine:
        """What delivers the rows."""
        return self.loader.engine

    # Messages

    def _process_schema_message(self, message_dict: dict[str, Any]) -> None:
        self._require(message_dict, "stream", "schema")
        schema = message_dict["schema"]
        if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict):
            raise InputError("is a SCHEMA without properties.")
        stream = message_dict["stream"]
        keys = message_dict.get("key_properties")
        message_dict["key_properties"] = [] if keys is None else keys
        known = self.mapper.stream_maps.get(stream)
        if known and (known[0].raw_schema, known[0].raw_key_properties or []) != (
            schema,
            message_dict["key_properties"],
        ):
            # Rows under the old schema are delivered before rows of the new one.
            self._flush(*(stream_map.stream_alias for stream_map in known))
            if self.engine.is_stopping:
                return
        self.hand_over()
        super()._process_schema_message(message_dict)
        for stream_map in self.mapper.stream_maps[stream]:
            origin = self._origins.setdefault(stream_map.stream_alias, stream)
            if origin != stream:
                raise InputError(
                    f"maps stream '{stream}' to '{stream_map.stream_alias}', as stream '{origin}' is: two streams can't "
                    "share one dataset. Change __alias__ in stream_maps."
                )
        self._fast_sinks.pop(stream, None)
        self._schemas[stream] = Origin(stream, self.message_reader.line)

    def _process_record_message(self, message_dict: dict[str, Any]) -> None:
        reader = self.message_reader
        if "rejected" in message_dict:
            kept = kept_line(message_dict)
            if kept is not None:
                reader.line = kept
                message_dict = message(kept)
        record = message_dict.get("record")
        if not isinstance(record, dict):
            raise InputError("is a RECORD without a record.")
        self._take(message_dict, record, reader.line)

    def _take(self, message_dict: dict[str, Any], record: dict[str, Any], line: bytes) -> None:
        stream = message_dict.get("stream")
        sink = self._fast_sink(stream)
        context = {"line": line, "number": self.message_reader.number, "origin": self._schemas.get(stream)}
        if sink is not None:
            sink.process_record(record, context)
            return
        for stream_map in self._maps(stream):
            mapped = stream_map.transform(dict(record))
            if mapped is None:
                continue
            sink = self._sink(stream_map.stream_alias)
            if sink.include_sdc_metadata_properties:
                sink._add_sdc_metadata_to_record(mapped, message_dict, context)
            else:
                sink._remove_sdc_metadata_from_record(mapped)
            sink.process_record(mapped, context)

    def _process_state_message(self, message_dict: dict[str, Any]) -> None:
        self._require(message_dict, "value")
        if self.settings.load_method == "overwrite":
            # A bookmark would make the next run load a part into an emptied dataset.
            return
        self.hand_over()
        self.engine.state(state_value(self.message_reader.line))

    def _process_activate_version_message(self, message_dict: dict[str, Any]) -> None:
        self._require(message_dict, "stream")
        stream = message_dict["stream"]
        aliases = [stream_map.stream_alias for stream_map in self._maps(stream)]
        self._flush(*aliases)
        if self.settings.load_method != "overwrite" and "ACTIVATE_VERSION" not in self._warned:
            self._warned.add("ACTIVATE_VERSION")
            logger.warning(
                "ACTIVATE_VERSION of stream '%s' changes nothing: the Databox API v1 can't delete single rows, so rows that "
                "are gone at the source stay in the dataset. Use load_method overwrite for a fresh copy every run.",
                stream,
            )

    def _process_batch_message(self, message_dict: dict[str, Any]) -> None:
        from target_databox.batch_files import record_lines

        self._require(message_dict, "stream", "encoding", "manifest")
        stream = message_dict["stream"]
        self._maps(stream)
        for count, record_line in enumerate(
            record_lines(message_dict["encoding"], message_dict["manifest"]), start=1
        ):
            # As if the tap had sent it: the record keeps its text.
            line = record_message(stream, record_line)
            try:
                decoded = message(line)
                if not isinstance(decoded["record"], dict):
                    raise InputError("is a BATCH of which a line is no record.")
                self._take(decoded, decoded["record"], line)
            except UnreadableRecordError as error:
                self.reject_unreadable(error, line)
            if count % BATCH_ROWS_AT_HAND == 0:
                self.hand_over()
                if self.engine.is_stopping:
                    raise Stopped

    def reject_unreadable(self, error: UnreadableRecordError, line: bytes) -> None:
        """Take out a record whose line can't be read."""
        for stream_map in self._maps(error.stream):
            sink = self._sink(stream_map.stream_alias)
            origin = self._schemas[error.stream]
            sink.reject(line, self.message_reader.number, origin, "encoding", error.code, error.message)

    # Sinks

    def _fast_sink(self, stream: object) -> DatasetSink | None:
        """The sink of a stream whose records need nothing but to be taken as they are."""
        sink = self._fast_sinks.get(stream)
        if sink is None:
            (first, *others) = self._maps(stream)
            if (
                not others
                and isinstance(first, SameRecordTransform)
                and not self.settings.add_record_metadata
            ):
                sink = self._sink(first.stream_alias)
                removed = {
                    name for name in first.raw_schema.get("properties", {}) if name.startswith("_sdc_")
                }
                if removed:
                    return None
                self._fast_sinks[stream] = sink
        return sink

    def _maps(self, stream: object) -> Sequence[Any]:
        maps = self.mapper.stream_maps.get(stream) if isinstance(stream, str) else None
        if not maps:
            raise InputError(f"belongs to stream {stream!r}, which has had no SCHEMA.")
        return maps

    def _sink(self, alias: str) -> DatasetSink:
        sink = self.get_sink(alias)
        assert isinstance(sink, DatasetSink)
        return sink

    def lane_of(self, sink: DatasetSink) -> Lane:
        """Where a sink's rows go: found or created at the stream's first SCHEMA, and kept."""
        known = self._lanes.get(sink.stream_name)
        if known is None:
            lane = self.loader.open(sink)
            self._lanes[sink.stream_name] = lane, sink.load_keys
            return lane
        lane, keys = known
        if set(keys) != set(sink.load_keys):
            raise InputError(
                f"changes the key properties of stream '{sink.stream_name}' from {', '.join(keys) or 'none'} to "
                f"{', '.join(sink.load_keys) or 'none'}: the keys of a Databox dataset can't be changed. Load it into another "
                "dataset with dataset_titles, or append only with load_method."
            )
        return lane

    def hand_over(self) -> None:
        """Give all rows at hand to the delivery."""
        for sink in self._sinks_active.values():
            sink.hand_over()  # type: ignore[attr-defined] # the only class of this target

    def _flush(self, *aliases: str) -> None:
        self.hand_over()
        for alias in aliases:
            if alias in self._lanes:
                self.engine.flush(self._lanes[alias][0])

    def _require(self, message_dict: dict[str, Any], *names: str) -> None:
        missing = [name for name in names if name not in message_dict]
        if missing:
            raise InputError(f"is a {message_dict['type']} without {' and '.join(missing)}.")

    # The end

    def process_endofpipe(self) -> None:
        """Deliver and confirm everything that was read, or what there is time for; then tell."""
        self.loader.finish(self.message_reader.failure)
        for entry in self.settings.unused(
            {
                sink.stream_name: {column.name for column in sink.columns}
                for sink in self._sinks_active.values()
            }
        ):
            logger.warning("Nothing in the input matched the setting %s; is it misspelt?", entry)

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        self.interrupts.handle(signum)

    # The command

    @classmethod
    def invoke(  # type: ignore[override] # as in the SDK, one signature a command
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: _ConfigInput | None = None,
        file_input: IO[bytes] | None = None,
    ) -> None:
        """Run the command.

        Args:
            about: Show the settings.
            about_format: How to show them.
            config: Files and whether to read the environment.
            file_input: Read this instead of standard input.
        """
        if about:
            cls.print_about(about_format)
            return
        target = cls(
            config=config.config if config else {}, parse_env_config=bool(config and config.parse_env)
        )
        target.listen(file_input)  # type: ignore[arg-type] # bytes, see LineReader

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """The command line: the SDK's, with bytes as input."""
        command = super().get_singer_command()
        for parameter in command.params:
            if parameter.name == "file_input":
                parameter.type = click.File("rb")
        return command


def main() -> None:
    """Run `target-databox`; every error that is somebody's to mend becomes one message and exit code 1."""
    try:
        TargetDatabox.cli()
    except Exception as error:
        if not is_explained(error):
            raise
        logger.error("%s", error)
        logger.debug("Where it happened:", exc_info=error)
        sys.exit(FAILED)


def is_explained(error: Exception) -> bool:
    """Whether an error's own words say what to do, so that a traceback would only hide them."""
    from target_databox.api.errors import DataboxError, SetupError
    from target_databox.columns import ColumnError
    from target_databox.delivery.errors import DeliveryError
    from target_databox.loader import OutputClosedError
    from target_databox.rejects import RejectsFileError, RejectsLeftError

    kinds = (SettingsError, InputError, ColumnError, DataboxError, SetupError, DeliveryError, OutputClosedError,
             RejectsFileError, RejectsLeftError)  # fmt: skip
    return isinstance(error, kinds)
