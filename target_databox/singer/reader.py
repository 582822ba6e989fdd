"""LineReader: Singer's message loop. Plain records take a short cut past the SDK, all else goes its way."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from typing import IO, TYPE_CHECKING, Any, Final, Protocol

from singer_sdk.singerlib.encoding import GenericSingerReader

from target_databox.api.errors import SetupError
from target_databox.interrupts import Interrupted
from target_databox.singer.lines import LineTooLongError, chunks
from target_databox.singer.messages import (
    BYTE_ORDER_MARK,
    UNREADABLE,
    InputError,
    UnreadableRecordError,
    decode,
    message,
)
from target_databox.sinks import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_databox.delivery.rows import Origin
    from target_databox.interrupts import Interrupts
    from target_databox.sinks import DatasetSink

logger = logging.getLogger("target-databox")

# What a line raises that is not a JSON object, has no record, or names no stream with a short cut.
_NO_PLAIN_RECORD: Final = (*UNREADABLE, LookupError, TypeError)


class Handler(Protocol):
    """What takes the messages.

    Attributes:
        interrupts: Where waiting for input may be interrupted by a signal.
        short_cuts: Streams whose records need nothing but to be taken as they are.
    """

    interrupts: Interrupts
    short_cuts: dict[str, tuple[DatasetSink, Origin]]

    def begin(self, source: IO[bytes]) -> None:
        """The input is about to be read."""

    def is_over(self) -> bool:
        """Whether nothing more needs to be read."""

    def hand_over(self) -> None:
        """Hand all rows that are ready to the delivery."""

    def reject_unreadable(self, error: UnreadableRecordError, line: bytes) -> None:
        """Reject a record whose line can't be read."""


class LineReader(GenericSingerReader[bytes]):
    """Calls a target for every message, and once more whenever the input has to be waited for.

    Attributes:
        line: The line at hand.
        number: Its number, from 1.
        failure: What ended the reading early.
    """

    def __init__(self) -> None:
        super().__init__()
        self._target: Handler
        self.line = b""
        self.number = 0
        self.failure: BaseException | None = None

    def serve(self, target: Handler) -> None:
        """Set the target that takes the messages."""
        self._target = target

    @property
    def default_input(self) -> IO[bytes]:
        """Standard input as bytes: its text would be decoded with the locale.

        Raises:
            InputError: There is none.
        """
        if sys.stdin is None:
            raise InputError("There is no standard input to read messages from.")
        return sys.stdin.buffer

    def deserialize_json(self, line: bytes) -> dict[str, Any]:
        """Decode one line."""
        return message(line)

    def process_lines(
        self, file_input: IO[bytes] | None, callbacks: dict[str, Callable[[dict[str, Any]], None]]
    ) -> Counter[str]:
        """Read to the end, or to what ends the run; never raises."""
        stats: Counter[str] = Counter()
        self.failure = _failure_of(lambda: self._read_all(file_input, callbacks, stats))
        if self.failure is None or isinstance(self.failure, (InputError, SetupError)):
            # Rows before the line that ends the run are still at hand, and are delivered.
            self.failure = _failure_of(self._target.hand_over) or self.failure
        return stats

    def _read_all(
        self,
        file_input: IO[bytes] | None,
        callbacks: dict[str, Callable[[dict[str, Any]], None]],
        stats: Counter[str],
    ) -> None:
        target = self._target
        source = file_input or self.default_input
        if source.isatty():
            logger.info("Waiting for Singer messages from this terminal; a pipe or --input gives them, too.")
        target.begin(source)
        try:
            for lines in chunks(source, interruptible=target.interrupts, is_over=target.is_over):
                if not self.number:
                    lines[0] = lines[0].removeprefix(BYTE_ORDER_MARK)
                self._read(lines, callbacks, stats)
                target.hand_over()
        except LineTooLongError as error:
            raise InputError(f"Line {self.number + 1} of the input {error}") from error

    def _read(
        self,
        lines: list[bytes],
        callbacks: dict[str, Callable[[dict[str, Any]], None]],
        stats: Counter[str],
    ) -> None:
        """Process lines: records that nothing changes by a short cut, all others through the SDK."""
        short_cuts = self._target.short_cuts
        for line in lines:
            self.number += 1
            try:
                decoded = decode(line)
                record = decoded["record"]
                short_cut = short_cuts[decoded["stream"]]
                is_plain = decoded["type"] == "RECORD" and type(record) is dict and "rejected" not in decoded
            except _NO_PLAIN_RECORD:
                is_plain = False
            if is_plain:
                sink, origin = short_cut
                sink.take(record, line, self.number, origin, is_json=True)
                stats["RECORD"] += 1
            elif line.strip():
                self.line = line
                stats[self._process(line, callbacks)] += 1

    def _process(self, line: bytes, callbacks: dict[str, Callable[[dict[str, Any]], None]]) -> str:
        try:
            try:
                decoded = message(line)
                kind: str = decoded["type"]
                callbacks.get(kind, _unknown)(decoded)
            except UnreadableRecordError as error:
                self._target.reject_unreadable(error, self.line)
                return "RECORD"
        except InputError as error:
            raise type(error)(f"Line {self.number} of the input {error}") from error.__cause__
        return kind


def _failure_of(work: Callable[[], None]) -> BaseException | None:
    """The failure that ended some work early, if any."""
    try:
        work()
    except Stopped:
        return None
    except (Exception, Interrupted) as error:  # noqa: BLE001 # what was read is delivered first
        return error
    return None


def _unknown(message_dict: dict[str, Any]) -> None:  # noqa: ARG001 # takes the place of a callback
    raise InputError("has a type that is not one of Singer's.")
