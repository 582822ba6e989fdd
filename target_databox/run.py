"""Assembles a run (client, request budget, delivery, rejects file) from its settings, and ends it."""

from __future__ import annotations

import logging
import math
import sys
import time
import uuid
from typing import IO, TYPE_CHECKING, Any, TypeVar

from target_databox import __version__
from target_databox.api.budget import BlockingBudget, Budget
from target_databox.api.errors import SetupError
from target_databox.api.retries import call_with_retries, wait_seconds
from target_databox.delivery.batches import Destination
from target_databox.delivery.dispatcher import Dispatcher
from target_databox.delivery.engine import Engine
from target_databox.destination.resources import Resources
from target_databox.destination.sources import Sources
from target_databox.destination.type_differences import differences_text, fitting_types, type_differences
from target_databox.failures import log_failure
from target_databox.interrupts import Interrupted
from target_databox.outputs.rejects import RejectsFile, RejectsLeftError
from target_databox.outputs.state import write_state
from target_databox.reports.metrics import Requests, log_streams
from target_databox.reports.position import Position
from target_databox.reports.progress import InputShare, Progress, display
from target_databox.reports.summary import Rejections, summarise
from target_databox.singer.messages import InputError
from target_databox.versions import client_class

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from target_databox.delivery.batches import Lane
    from target_databox.delivery.rejections import Rejection
    from target_databox.interrupts import Interrupts
    from target_databox.settings.reading import Settings
    from target_databox.sinks import DatasetSink

logger = logging.getLogger("target-databox")

T = TypeVar("T")


class Loader:
    """Loads one run's rows into Databox.

    Args:
        settings: The run's settings.
        interrupts: A context in which a signal may interrupt a wait.
    """

    def __init__(self, settings: Settings, interrupts: Interrupts) -> None:
        self._settings = settings
        self._interrupts = interrupts
        self._requests = Requests()
        self._rejections = Rejections(settings.rejects_path)
        self._client = client_class(settings.api_version)(
            settings.api_url,
            settings.api_key,
            account_id=settings.account_id,
            request_timeout_seconds=settings.request_timeout_seconds,
            on_exchange=self._requests.add,
            user_agent=f"target-databox/{__version__}",
        )
        self.budget = Budget(settings.requests_per_second, settings.requests_per_hour)
        self._blocking_budget = BlockingBudget(self.budget, rest=self._rest)
        sources = Sources(
            self._client,
            self._with_retries,
            account_id=settings.account_id,
            data_source_id=settings.data_source_id,
            data_source_title=settings.data_source_title,
            timezone=settings.timezone,
            dialect=settings.dialect,
            new_key=_new_key,
        )
        self.resources = Resources(
            self._client, self._with_retries, sources, dialect=settings.dialect, new_key=_new_key
        )
        self.rejects = RejectsFile(settings.rejects_path) if settings.rejects_path else None
        self._dispatcher = Dispatcher(
            settings,
            self.budget,
            wait=wait_seconds,
            new_key=_new_key,
        )
        self._display = display()
        self._progress = Progress(self._position, self._display)
        self._input_share: InputShare | None = None
        self.engine = Engine(
            self._dispatcher,
            self._client,
            settings.dialect,
            workers=settings.concurrent_requests,
            write_state=self._write_state,
            write_rejects=self._write_rejects,
            interruptible=interrupts,
        )

    def begin(self, source: IO[Any]) -> None:
        """Check that the input is not this run's own rejects file, and start to show progress."""
        if self.rejects is not None:
            self.rejects.refuse_as_input(source)
            self.rejects.make_private()
        self._input_share = InputShare(source)
        self._progress.start()

    def open(self, sink: DatasetSink) -> Lane:
        """Find or create the dataset of a stream."""
        settings = self._settings
        stream = sink.stream_name
        dataset = self.resources.resolve_dataset(
            stream,
            settings.dataset_titles.get(stream, stream),
            dataset_id=settings.dataset_ids.get(stream),
            primary_keys=sink.encoder.key_columns,
            columns=sink.columns,
            declare=settings.schema_declaration,
        )
        differences = type_differences(sink.columns, dataset.column_types)
        destination = Destination(
            stream,
            dataset.id,
            dataset.title or dataset.id,
            is_keyed=bool(sink.load_keys),
            keys_are_known=dataset.keys_known,
            is_new=dataset.created,
            purge=settings.load_method == "overwrite" and not dataset.created,
            resends_are_recognised=settings.dialect.resends_are_recognised,
            type_differences=differences_text(differences),
        )
        logger.info("Loading %s%s.", destination, _circumstances(destination))
        if differences:
            logger.warning(
                "Column types of %s differ: %s. Databox may reject rows because of this. To convert the "
                "values, set column_types: %s.",
                destination,
                destination.type_differences,
                fitting_types(stream, differences),
            )
        if not sink.load_keys and settings.load_method == "upsert" and not dataset.created:
            logger.warning(
                "Appending to %s, which already existed, since the stream has no keys: rows that the dataset "
                "already holds are stored twice. To load each row once, name the stream's keys in "
                "primary_keys or set keyless_streams to hash, and choose another dataset with "
                "dataset_titles: the keys of a dataset can't be changed.",
                destination,
            )
        return self.engine.open(destination)

    def finish(self, failure: BaseException | None) -> None:
        """End the run: deliver everything that was read, as far as time allows, then print the summary.

        Args:
            failure: Why reading ended early; None if it reached the end of the input.

        Raises:
            BaseException: Why the run failed.
        """
        if isinstance(failure, Interrupted):
            self._stop()
        elif isinstance(failure, (InputError, SetupError)):
            logger.warning("Stopping early (the reason follows); delivering the records already read.")
        elif failure is not None:
            self.engine.stop(failure)
        if self._input_share is not None:
            self._input_share.is_over = True
        error = self._wait()
        self._progress.stop()
        self._requests.log()
        log_streams(self.engine.lanes)
        is_complete = failure is None and error is None and self._interrupts.signal is None
        summarise(
            self.engine.lanes,
            is_complete=is_complete,
            rejections=self._rejections,
            show=self._display.table,
        )
        self._client.close()
        failures = [each for each in (failure, error) if each and not isinstance(each, Interrupted)]
        if self._interrupts.exit_code is not None:
            for each in failures[-1:]:
                log_failure(logger, each)
            sys.exit(self._interrupts.exit_code)
        if failures:
            if failures[0] is not failures[-1]:
                log_failure(logger, failures[-1])
            raise failures[0]
        rejected = sum(lane.counts.rejected for lane in self.engine.lanes)
        if rejected and self._settings.rejects_policy == "fail":
            raise RejectsLeftError(rejected, self._settings.rejects_path)

    def _wait(self) -> BaseException | None:
        while True:
            try:
                self.engine.finish()
            except Interrupted:
                self._stop()
            except Exception as error:  # noqa: BLE001 # raised again once the run is summed up
                return error
            else:
                return None

    def _stop(self) -> None:
        logger.warning(
            "Stopping on request; finishing what is in flight, for at most %g seconds.",
            self._settings.shutdown_seconds,
        )
        self.engine.stop()

    def _with_retries(self, call: Callable[[], T]) -> T:
        def interruptible_call() -> T:
            with self._interrupts:
                return call()

        return call_with_retries(
            interruptible_call,
            budget=self._blocking_budget,
            retry_seconds=self._settings.retry_seconds,
            rest=self._rest,
        )

    def _rest(self, seconds: float) -> None:
        with self._interrupts:
            time.sleep(seconds)

    def _write_rejects(self, rejects: Sequence[Rejection]) -> None:
        if self.rejects is not None:
            self.rejects.append(rejects)
        self._rejections.add(rejects)

    def _write_state(self, value: bytes) -> None:
        with self._display.aside():
            write_state(value)

    def _position(self) -> Position:
        counts = [lane.counts for lane in self.engine.lanes]
        read = sum(each.read for each in counts)
        an_hour = max(1, math.floor(self._settings.requests_per_hour))
        return Position(
            read_rows=read,
            done_rows=read - sum(each.open for each in counts),
            unconfirmed_batches=self._dispatcher.unconfirmed_batches,
            budget_share=1 - self.budget.hour_left(time.monotonic()) / an_hour,
            input_share=self._input_share() if self._input_share else None,
            requests=sum(each.requests for each in counts),
            hour_requests=an_hour,
        )


def _circumstances(destination: Destination) -> str:
    """What to add about a dataset to the log line at the start of its stream."""
    made = ", which was created" if destination.is_new else ""
    return made + ("" if destination.is_keyed else "; without keys, so that every run appends its rows")


def _new_key() -> str:
    return str(uuid.uuid4())
