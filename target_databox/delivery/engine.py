"""Runs a dispatcher with threads: workers make requests, a writer writes output, the caller reads input.

Theory of operation
===================

One lock guards the dispatcher. Nothing slow happens while it is held: notes are logged after it is released.

One idle worker at a time waits for the next due time of the dispatcher (it minds the clock); the other idle
workers sleep until that one has found a request, when it wakes one of them to take its place.

Only the writer writes STATEs and rejected rows, including the last ones. So even if a write blocks, the
caller can end the run in time.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING

from target_databox.delivery.batches import NEVER
from target_databox.delivery.masking import masked
from target_databox.delivery.requests import AskOutcome, PostRows, ReadIngestion, ReadList

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from target_databox.api.dialect import Dialect
    from target_databox.delivery.batches import Destination, Lane
    from target_databox.delivery.dispatcher import Dispatcher
    from target_databox.delivery.interfaces import Api
    from target_databox.delivery.notes import Note
    from target_databox.delivery.rejections import Reason, Rejection
    from target_databox.delivery.requests import Request
    from target_databox.delivery.rows import Row

logger = logging.getLogger(__name__)

# How long the end of a run waits for its worker threads.
JOIN_SECONDS = 1.0
# Time to write the last STATE, after the time for everything else is over.
LAST_WRITE_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 3600.0
# How long a signal may stay unnoticed while the caller waits.
INTERRUPTION_SECONDS = 0.1


class Engine:
    """Delivers rows while the caller reads more of them; all methods are for the caller's thread.

    Args:
        dispatcher: Decides what to do.
        api: The client of the API.
        dialect: The version of the API.
        workers: Number of concurrent requests.
        write_state: Writes one STATE value to where the orchestrator reads it.
        write_rejects: Writes rejected rows to disk, and returns once they are durable.
        interruptible: A context in which an exception may interrupt the caller's thread while it waits.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        api: Api,
        dialect: Dialect,
        *,
        workers: int,
        write_state: Callable[[bytes], None],
        write_rejects: Callable[[Sequence[Rejection]], None],
        interruptible: AbstractContextManager[None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dispatcher = dispatcher
        self._api = api
        self._dialect = dialect
        self._write_state = write_state
        self._write_rejects = write_rejects
        self._interruptible = interruptible or contextlib.nullcontext()
        self._clock = clock
        self._lock = threading.Lock()
        self._minding = threading.Condition(self._lock)
        self._idle = threading.Condition(self._lock)
        self._caller = threading.Condition(self._lock)
        self._due = threading.Condition(self._lock)
        self._is_minded = False
        self._minded_until = NEVER
        self._is_ending = False
        # Whether the caller has stopped waiting for the writer, and until when it waits.
        self._is_over = False
        self._written_until = NEVER
        # What the caller waits for, and until when the writer sleeps.
        self._awaited: Callable[[], bool] | None = None
        self._due_until = NEVER
        self._can_write = True
        self._server_date: float | None = None
        self._server_date_at = 0.0
        self._workers = [
            threading.Thread(target=self._work, name=f"databox-{number}", daemon=True)
            for number in range(1, workers + 1)
        ]
        self._writer = threading.Thread(target=self._write, name="databox-writer", daemon=True)
        self._is_started = False

    @property
    def is_stopping(self) -> bool:
        """Whether the run is ending, so that no more input needs to be read."""
        return self._dispatcher.error is not None or self._dispatcher.is_settling

    @property
    def error(self) -> BaseException | None:
        """Why the run ends early."""
        return self._dispatcher.error

    @property
    def lanes(self) -> list[Lane]:
        """The datasets, with their counts."""
        return self._dispatcher.lanes

    def open(self, destination: Destination) -> Lane:
        """Add a dataset."""
        with self._lock:
            return self._dispatcher.open_lane(destination)

    def put(self, lane: Lane, rows: Sequence[Row]) -> None:
        """Add rows in the order of the input, and return when there is room for more."""
        with self._deciding():
            self._start()
            now = self._clock()
            # The first row may come before any worker has looked at the time.
            self._dispatcher.server_time = self._server_time(now)
            self._dispatcher.put(lane, rows, now)
            self._minding.notify()
            self._await(lambda: self._dispatcher.has_room)

    def reject(self, lane: Lane, row: Row, reason: Reason, code: str, message: str) -> None:
        """Reject a record that can't be sent, and return when there is room for more."""
        with self._deciding():
            self._start()
            self._dispatcher.reject(lane, row, reason, code, message)
            self._due.notify()
            self._await(lambda: self._dispatcher.has_room)

    def state(self, value: bytes) -> None:
        """Add a STATE, which is written once every row before it has its outcome."""
        with self._lock:
            self._start()
            self._dispatcher.ended(value)
            self._wake_others()

    def stop(self, error: BaseException | None = None) -> None:
        """Send no new batches, and wait for those in flight for `shutdown_seconds`.

        Args:
            error: Why the run ends; None if it stops on request.
        """
        with self._lock:
            now = self._clock()
            self._written_until = min(self._written_until, now + self._dispatcher.settings.shutdown_seconds)
            if error is None:
                self._dispatcher.settle(self._written_until)
            else:
                self._dispatcher.fail(error, now)

    def finish(self) -> None:
        """Wait until every row has its outcome and the last STATE is written, or the run ends early.

        A run that ends early gives up on a write that is still blocked after `shutdown_seconds`.

        Raises:
            BaseException: Why the run ended early.
        """
        dispatcher = self._dispatcher
        if not self._is_started and dispatcher.error is None:
            return
        with self._deciding():
            dispatcher.drain()
            self._start()
            self._minding.notify()
            self._due.notify()
            self._await(lambda: dispatcher.is_over(self._clock(), can_write=self._can_write), to_the_end=True)
            self._is_ending = True
            for condition in (self._minding, self._idle, self._due):
                condition.notify_all()
        self._join_writer()
        with self._deciding():
            self._is_over = True
            dispatcher.close()
        self._join_workers()
        if dispatcher.error is not None:
            raise dispatcher.error

    @contextlib.contextmanager
    def _deciding(self) -> Iterator[None]:
        """Hold the lock, and log the notes after releasing it, since logging may block."""
        with self._lock:
            yield
            notes = self._dispatcher.notes.taken()
        _log(notes)

    # Under the lock

    def _start(self) -> None:
        if not self._is_started:
            self._is_started = True
            for thread in (*self._workers, self._writer):
                thread.start()

    def _await(self, is_so: Callable[[], bool], *, to_the_end: bool = False) -> None:
        while not is_so() and (to_the_end or not self.is_stopping):
            deadline = self._dispatcher.deadline
            self._awaited = is_so
            # An exception inside `wait` would leave the lock in an unknown state. So wait briefly, and allow
            # an interruption only between the waits.
            self._caller.wait(max(0.0, min(INTERRUPTION_SECONDS, deadline - self._clock())))
            self._awaited = None
            with self._interruptible:
                pass

    def _wake_others(self) -> None:
        """Wake the caller and the writer if they have something to do; each wake-up costs time."""
        awaited = self._awaited
        if awaited is not None and (self.is_stopping or awaited()):
            self._caller.notify()
        if self._dispatcher.output_at < self._due_until:
            self._due.notify()

    def _server_time(self, now: float) -> float | None:
        # A lower bound: the Date was true when the response was made, and time has passed since.
        date = self._api.server_time()
        if date is not None and date != self._server_date:
            self._server_date, self._server_date_at = date, now
        return None if self._server_date is None else self._server_date + now - self._server_date_at

    # The end

    def _join_writer(self) -> None:
        """Wait until everything is written, or the time for it is up."""
        began_at = self._clock()
        settings, writer = self._dispatcher.settings, self._writer
        while writer.is_alive():
            until = min(self._written_until, self._dispatcher.deadline)
            if self._dispatcher.error is not None:
                until = min(until, began_at + settings.shutdown_seconds)
            left = max(until, began_at) + LAST_WRITE_SECONDS - self._clock()
            if left <= 0:
                logger.warning(
                    "Writing STATE or rejected records is blocked; ending without them. The next run loads "
                    "again what no STATE has passed."
                )
                return
            writer.join(min(INTERRUPTION_SECONDS, left))
            with self._interruptible:
                pass

    def _join_workers(self) -> None:
        now = self._clock()
        until = min(now + JOIN_SECONDS, max(now, self._written_until))
        for worker in self._workers:
            worker.join(max(0.0, until - self._clock()))

    # Worker threads

    def _work(self) -> None:
        try:
            while (request := self._next()) is not None:
                answer = self._answer(request)
                with self._deciding():
                    self._dispatcher.done(request, answer, self._clock())
                    self._wake_others()
        except BaseException as error:  # noqa: BLE001 # otherwise the run would wait for this thread forever
            self._break_off(error)

    def _break_off(self, error: BaseException) -> None:
        """End the run after a bug in the dispatcher, whose state can no longer be trusted."""
        with self._lock:
            self._can_write = False
            self._dispatcher.fail(error, self._clock())
            self._dispatcher.close()
            self._caller.notify()

    def _next(self) -> Request | None:
        with self._deciding():
            return self._chosen()

    def _chosen(self) -> Request | None:
        """The next request, once one may start; None when the run ends."""
        while not self._is_ending:
            now = self._clock()
            self._dispatcher.server_time = self._server_time(now)
            request = self._dispatcher.next(now)
            if request is not None:
                # Another request may be due, so wake another worker.
                (self._minding if self._is_minded else self._idle).notify()
                return request
            wake_at = self._dispatcher.wake_at
            if self._is_minded:
                if wake_at < self._minded_until:
                    self._minding.notify()
                self._idle.wait()
                continue
            self._is_minded, self._minded_until = True, wake_at
            self._minding.wait(_until(wake_at, now))
            self._is_minded = False
        # Another worker must mind the clock now, or end as well.
        self._idle.notify_all()
        return None

    def _answer(self, request: Request) -> object:
        try:
            answer = self._asked(request)
        except BaseException as error:  # noqa: BLE001 # the dispatcher handles it like any result
            answer = error
        return masked(answer, request.batch.rows) if isinstance(request, (PostRows, AskOutcome)) else answer

    def _asked(self, request: Request) -> object:
        dataset_id = request.lane.destination.dataset_id
        if isinstance(request, PostRows):
            body = self._dialect.body([row.body for row in request.batch.rows])
            return self._api.post_rows(dataset_id, body, request.batch.idempotency_key)
        if isinstance(request, (AskOutcome, ReadIngestion)):
            return self._api.ingestion(dataset_id, request.ingestion_id)
        if isinstance(request, ReadList):
            return self._api.ingestions(dataset_id, request.page, self._dialect.page_size)
        self._api.purge(dataset_id, request.idempotency_key)
        return None

    # The writer's thread

    def _write(self) -> None:
        try:
            while True:
                with self._lock:
                    rejects, state = self._output()
                if rejects is None:
                    return
                if rejects:
                    self._write_rejects(rejects)
                if state is not None:
                    self._write_state(state)
                with self._lock:
                    self._dispatcher.written(rejects)
                    self._wake_others()
        except BaseException as error:  # noqa: BLE001 # raised again in the caller's thread
            with self._lock:
                self._can_write = False
                self._dispatcher.fail(error, self._clock())
                self._caller.notify()

    def _output(self) -> tuple[list[Rejection] | None, bytes | None]:
        """Wait for output: rejected rows first, then the STATE that may depend on them. None at the end."""
        dispatcher = self._dispatcher
        while True:
            now = self._clock()
            if self._is_over:
                return None, None
            rejects = dispatcher.rejects()
            state = None
            if not rejects and self._can_write:
                state = dispatcher.state(now, last=self._is_ending)
            if rejects or state is not None:
                return rejects, state
            if self._is_ending:
                return None, None
            self._due_until = dispatcher.output_at
            self._due.wait(_until(self._due_until, now))


def _log(notes: Iterable[Note]) -> None:
    for note in notes:
        log = logger.warning if note.level == "warning" else logger.info
        log(note.text, *note.arguments)


def _until(when: float, now: float) -> float | None:
    """Seconds to wait; at most an hour, since a lock can't wait forever and waking up early does no harm."""
    return None if when == NEVER else max(0.0, min(when - now, LONGEST_WAIT_SECONDS))
