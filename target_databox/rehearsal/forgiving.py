"""A target that goes on after a stream that can't be loaded, so that all that is wrong is said at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from target_databox.failures import EXPLAINED
from target_databox.singer.messages import InputError
from target_databox.target import TargetDatabox

if TYPE_CHECKING:
    from target_databox.singer.messages import UnreadableRecordError
    from target_databox.sinks import DatasetSink


class ForgivingTarget(TargetDatabox):
    """Skips the records of streams that can't be loaded.

    Attributes:
        failed: Why streams can't be loaded.
        skipped: Records of those streams.
    """

    # What ends everything, although a stream brought it to light.
    fatal: tuple[type[Exception], ...] = ()

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.failed: dict[str, str] = {}
        self.skipped: dict[str, int] = {}

    def declared(self, sink: DatasetSink) -> None:
        """Take note of a sink that a SCHEMA opened."""

    def _process_schema_message(self, message_dict: dict[str, Any]) -> None:
        stream = message_dict.get("stream")
        if not isinstance(stream, str):
            super()._process_schema_message(message_dict)
            return
        if stream in self.failed:
            return
        try:
            super()._process_schema_message(message_dict)
        except self.fatal:
            raise
        except EXPLAINED as error:
            where = (
                f"Line {self.message_reader.number} of the input " if isinstance(error, InputError) else ""
            )
            self.failed[stream] = f"{where}{error}"
            return
        for stream_map in self._maps(stream):
            self.declared(self._sink(stream_map.stream_alias))

    def _take(self, message_dict: dict[str, Any], record: dict[str, Any], line: bytes) -> None:
        stream = message_dict.get("stream")
        if stream in self.failed:
            self.skipped[stream] = self.skipped.get(stream, 0) + 1
            return
        super()._take(message_dict, record, line)

    def _process_batch_message(self, message_dict: dict[str, Any]) -> None:
        if message_dict.get("stream") not in self.failed:
            super()._process_batch_message(message_dict)

    def _process_activate_version_message(self, message_dict: dict[str, Any]) -> None:
        if message_dict.get("stream") not in self.failed:
            super()._process_activate_version_message(message_dict)

    def reject_unreadable(self, error: UnreadableRecordError, line: bytes) -> None:
        """Reject a record whose line can't be read."""
        if error.stream not in self.failed:
            super().reject_unreadable(error, line)
