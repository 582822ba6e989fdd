"""`--dry-run`: reads the input the way a run does, sends nothing, and says what a run would do."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, ClassVar, cast

from target_databox.api.errors import DatasetError
from target_databox.delivery.batches import Destination, Lane
from target_databox.destination.titles import title_problem
from target_databox.interrupts import Interrupted
from target_databox.outputs.rejects import RejectsFile
from target_databox.rehearsal.forgiving import ForgivingTarget
from target_databox.rehearsal.preview_lane import PreviewLane
from target_databox.rehearsal.preview_report import conclusion, is_too_wide, print_report
from target_databox.rehearsal.tables import echo

if TYPE_CHECKING:
    from collections.abc import Iterable

    from target_databox.delivery.rejections import Reason
    from target_databox.delivery.rows import Row
    from target_databox.settings.reading import Settings
    from target_databox.sinks import DatasetSink

logger = logging.getLogger("target-databox")


class PreviewEngine:
    """Takes the place of the delivery."""

    is_stopping = False

    def __init__(self) -> None:
        self.lanes: list[PreviewLane] = []

    def put(self, lane: Lane, rows: Iterable[Row]) -> None:
        """Count rows."""
        for row in rows:
            cast("PreviewLane", lane).take(row)

    def reject(self, lane: Lane, row: Row, reason: Reason, code: str, message: str) -> None:  # noqa: ARG002 -- as Engine
        """Count a record that can't be sent."""
        cast("PreviewLane", lane).refuse(row.number, reason.value, message)

    def state(self, value: bytes) -> None:
        """Do nothing: a preview writes no STATE."""


class PreviewLoader:
    """Takes the place of the loader; finds and creates nothing.

    Args:
        settings: The run's settings.
    """

    def __init__(self, settings: Settings) -> None:
        self.engine = PreviewEngine()
        self._settings = settings
        self._owners: dict[str, str] = {}

    def begin(self, source: IO[Any]) -> None:
        """Refuse a rejects file that a run would refuse before it reads.

        Raises:
            RejectsFileError: The rejects file can't be used, or is the input.
        """
        if self._settings.rejects_path is not None:
            RejectsFile(self._settings.rejects_path).refuse_as_input(source)

    def open(self, sink: DatasetSink) -> PreviewLane:
        """The dataset that a stream would have.

        Raises:
            DatasetError: It can't have one.
        """
        settings, stream = self._settings, sink.stream_name
        dataset_id = settings.dataset_ids.get(stream)
        title = settings.dataset_titles.get(stream, stream).strip()
        problem = title_problem(title) if dataset_id is None else None
        if problem:
            raise DatasetError(f"The dataset title of the stream {stream!r} {problem}. Set dataset_titles.")
        named = f"dataset {dataset_id.lower()}" if dataset_id else f"dataset '{title}'"
        owner = self._owners.setdefault(named, stream)
        if owner != stream:
            raise DatasetError(
                f"The streams {owner!r} and {stream!r} would both load into the {named}. Give one of them a "
                "dataset of its own with dataset_titles or dataset_ids."
            )
        keys = sink.encoder.key_columns
        destination = Destination(
            stream,
            dataset_id or "",
            title,
            is_keyed=bool(keys),
            purge=settings.load_method == "overwrite",
        )
        lane = PreviewLane(destination, keys, settings)
        self.engine.lanes.append(lane)
        return lane


class PreviewTarget(ForgivingTarget):
    """The target with a preview instead of a delivery; goes on after a stream that can't be loaded.

    Attributes:
        exit_code: 0 when a run would load everything.
    """

    needs_key: ClassVar[bool] = False

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.exit_code = 1

    @cached_property
    def loader(self) -> PreviewLoader:  # type: ignore[override] # what the loop needs of a Loader
        """What takes the place of the loader."""
        return PreviewLoader(self.settings)

    @property
    def engine(self) -> PreviewEngine:  # type: ignore[override] # likewise
        """What takes the place of the delivery."""
        return self.loader.engine

    def declared(self, sink: DatasetSink) -> None:
        """Show the columns of a SCHEMA."""
        lane = cast("PreviewLane", sink.lane)
        lane.declare(sink.columns)
        lane.width = sink.width_advice()

    def _warn_of_width(self, sink: DatasetSink) -> None:
        """Do nothing, since a hint says it, unless the version of the API refuses the stream."""
        if self.settings.dialect.most_columns is not None:
            super()._warn_of_width(sink)

    def process_endofpipe(self) -> None:
        """Print what a run would do."""
        failure = self.message_reader.failure
        if isinstance(failure, Interrupted):
            logger.warning("Stopped before the input was read; nothing was sent.")
            self.exit_code = self.interrupts.exit_code or 1
            return
        self.hand_over()
        for lane in self.engine.lanes:
            lane.close_batch()
        # A setting is known to be unused only if all of the input was read and understood.
        is_certain = failure is None and not self.failed
        columns = {lane.destination.stream: lane.filled for lane in self.engine.lanes}
        unused = self.settings.unused(columns) if is_certain else []
        if failure is None or self.engine.lanes or self.failed:
            print_report(self.settings, self.engine.lanes, self.failed, self.skipped, unused)
        if failure is not None:
            raise failure
        echo(conclusion(self.settings, self.engine.lanes, len(self.failed)))
        self.exit_code = int(
            bool(self.failed)
            or any(lane.counts.rejected or is_too_wide(self.settings, lane) for lane in self.engine.lanes)
        )
