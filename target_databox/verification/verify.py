"""`--verify`: reads the input the way a run does and the datasets back, and says what is not equal.

It sends nothing but questions, and always speaks API v2, the version that reads rows back.
"""

from __future__ import annotations

import logging
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, ClassVar, Final, Literal, cast

from target_databox.api.errors import AccountError, DataboxError, DataSourceError
from target_databox.interrupts import Interrupted
from target_databox.rehearsal.forgiving import ForgivingTarget
from target_databox.verification.databox import Databox
from target_databox.verification.errors import VerificationError
from target_databox.verification.kept_rows import KeptRows
from target_databox.verification.looking import Look
from target_databox.verification.progress import VerifyProgress
from target_databox.verification.report import StreamReport, print_json, print_table
from target_databox.verification.summing import report_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from target_databox.delivery.batches import Lane
    from target_databox.delivery.rejections import Reason
    from target_databox.delivery.rows import Row
    from target_databox.interrupts import Interrupts
    from target_databox.settings.reading import Settings
    from target_databox.sinks import DatasetSink
    from target_databox.verification.lane import VerifyLane

logger = logging.getLogger("target-databox")

# Shares of listing_lag_seconds after which rows that are not as they should be are looked at again; a large
# dataset, whose pages cost many requests, is read once more at the end of it.
SHARES: Final = (0.125, 0.125, 0.25, 0.5)
LARGE_ROWS: Final = 20_000
STREAMS_NAMED: Final = 10


class VerifyEngine:
    """Takes the place of the delivery: keeps what is needed of rows."""

    is_stopping = False

    def __init__(self) -> None:
        self.kept = KeptRows()
        self.progress = VerifyProgress()
        self.lanes: list[VerifyLane] = []
        self._rows = 0

    def put(self, lane: Lane, rows: Iterable[Row]) -> None:
        """Keep what is needed of rows."""
        verified = cast("VerifyLane", lane)
        taken = verified.take(rows)
        self.kept.add(verified.number, taken)
        self._rows += len(taken)
        self.progress.read(self._rows)

    def reject(self, lane: Lane, row: Row, reason: Reason, code: str, message: str) -> None:  # noqa: ARG002 -- as Engine
        """Count a record that a load would reject."""
        lane.counts.read += 1
        lane.counts.rejected += 1

    def state(self, value: bytes) -> None:
        """Do nothing: a verification writes no STATE."""


class VerifyLoader:
    """Takes the place of the loader; finds datasets and creates none.

    Args:
        settings: The run's settings.
        interrupts: Entered where a signal may interrupt a wait.
    """

    def __init__(self, settings: Settings, interrupts: Interrupts) -> None:
        self.databox = Databox(settings, interrupts)
        self.engine = VerifyEngine()

    def begin(self, source: IO[Any]) -> None:  # noqa: ARG002 -- as Loader
        """Make sure that rows can be read back, before the input is read."""
        self.databox.require()

    def open(self, sink: DatasetSink) -> VerifyLane:
        """The dataset that a run would load a stream into."""
        lane = self.databox.lane(sink, len(self.engine.lanes))
        self.engine.lanes.append(lane)
        return lane

    def close(self) -> None:
        """Give back everything that was taken."""
        self.engine.progress.stop()
        self.databox.close()
        self.engine.kept.close()


class VerifyTarget(ForgivingTarget):
    """The target with a comparison instead of a delivery; goes on after a stream that can't be compared.

    Attributes:
        exit_code: 0 when everything that was read is there and equal.
        output: How the result is printed.
    """

    needs_key: ClassVar[bool] = True
    # No other stream could be compared either.
    fatal = (DataboxError, AccountError, DataSourceError, VerificationError)

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.exit_code = 1
        self.output: Literal["table", "json"] = "table"

    @cached_property
    def loader(self) -> VerifyLoader:  # type: ignore[override] # what the loop needs of a Loader
        """What takes the place of the loader."""
        return VerifyLoader(self.settings, self.interrupts)

    @property
    def engine(self) -> VerifyEngine:  # type: ignore[override] # likewise
        """What takes the place of the delivery."""
        return self.loader.engine

    def declared(self, sink: DatasetSink) -> None:
        """Take note of the columns of a SCHEMA."""
        cast("VerifyLane", sink.lane).declare(sink.columns, sink.added_columns)

    def process_endofpipe(self) -> None:
        """Compare everything that was read, and print what was found."""
        failure = self.message_reader.failure
        try:
            if failure is not None:
                raise failure
            self.hand_over()
            reports = [*self._compared(), *self._failures()]
        except Interrupted:
            logger.warning("Stopped before everything was compared; nothing was sent.")
            self.exit_code = self.interrupts.exit_code or 1
            return
        finally:
            if "loader" in self.__dict__:  # else it could not be made
                self.loader.close()
        (print_json if self.output == "json" else print_table)(reports)
        self.exit_code = int(not all(report.is_good for report in reports))

    def _compared(self) -> list[StreamReport]:
        looks: dict[int, Look] = {}
        lag_seconds = self.settings.listing_lag_seconds
        waiting = list(self.engine.lanes)
        waits: Iterator[float] | None = None
        while True:
            for lane in waiting:
                looks[lane.number] = self._look(lane)
            if waits is None:
                waits = _waits(sum(look.comparison.rows for look in looks.values()), lag_seconds)
            waiting = [lane for lane in waiting if not _is_settled(looks[lane.number])]
            seconds = next(waits, None)
            if not waiting or seconds is None:
                break
            if lag_seconds:
                logger.info(
                    "Rows of %s are not as they should be; looking again for %g seconds, since rows come "
                    "back some time after they were loaded.",
                    ", ".join(f"'{lane.destination.stream}'" for lane in waiting[:STREAMS_NAMED]),
                    lag_seconds,
                )
                lag_seconds = 0.0
            self.loader.databox.rest(seconds)
        accepts = self.settings.rejects_path is not None and self.settings.rejects_policy == "accept"
        return [
            report_of(lane, looks[lane.number].comparison, self.engine.kept, accepts_rejects=accepts)
            for lane in self.engine.lanes
        ]

    def _look(self, lane: VerifyLane) -> Look:
        look, progress = Look(lane, self.engine.kept), self.engine.progress
        progress.begin()
        for page in self.loader.databox.pages(lane.destination.dataset_id):
            with self.interrupts:
                pass
            look.take(page)
            progress.compared(lane.destination.stream, look.comparison.rows, page.total_rows)
        return look

    def _failures(self) -> list[StreamReport]:
        return [
            StreamReport(stream, read=self.skipped.get(stream, 0), error=why)
            for stream, why in self.failed.items()
        ]


def _is_settled(look: Look) -> bool:
    """Whether another look could show nothing better."""
    return look.comparison.is_good and not look.missing()


def _waits(rows: int, lag_seconds: float) -> Iterator[float]:
    """Seconds to wait before each further look at datasets of so many rows."""
    return iter([lag_seconds * share for share in (SHARES if rows <= LARGE_ROWS else (1.0,))])
