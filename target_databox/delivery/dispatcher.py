"""Decides which request starts next and what follows from its response; uses no thread, clock or socket.

Theory of operation
===================

A row passes through these methods: `put` adds it to its lane's queue; `next` cuts a batch and returns its
POST; `done` notes that the batch was accepted; `next` returns the request for its outcome once that is
probably known; `done` closes its rows; `state` returns the STATE that is now due.

The modules below propose the request that is due, and convert a response to outcomes, which are values of
`outcomes`. Only the dispatcher changes a batch's state, updates the ledger and passes an outcome on to the
other modules:

    posting                 chooses the batch to send
    confirmation            reads each ingestion by itself
    confirmation_by_list    reads many outcomes from the list
    tasks                   runs the background tasks of `opening` and `lost_answers`
    opening                 waits for leftovers of earlier runs and purges, before the first row
    lost_answers            holds keys or searches, after an answer was lost
    halving                 decides what happens to a batch that is not stored whole
    rejections              collects rejected rows, and decides whether they end the run
    lifecycle, ledger       how far the run is; which rows, places, keys and STATEs are open
    requests                paces all requests and plans their next tries

Every method takes the current time as seconds of one monotonic clock, so that tests can play thousands of
interleavings per second. The module is long because it connects all the others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from target_databox.api.errors import DataboxError, KeyRefusedError, RefusedError, ThrottledError
from target_databox.api.retries import RetryRule
from target_databox.api.values import Accepted, Ingestion, IngestionsPage
from target_databox.delivery import halving
from target_databox.delivery.awaiting import PollDelay
from target_databox.delivery.batches import NEVER, Event, Lane
from target_databox.delivery.confirmation import Confirmation
from target_databox.delivery.confirmation_by_list import ConfirmationByList
from target_databox.delivery.errors import RejectedError, UnconfirmedError
from target_databox.delivery.ledger import Ledger
from target_databox.delivery.lifecycle import Lifecycle, Mode
from target_databox.delivery.lost_answers import LostAnswers, unresolved
from target_databox.delivery.notes import Notes
from target_databox.delivery.opening import Opening
from target_databox.delivery.outcomes import (
    BatchAccepted,
    BatchLost,
    BatchNotFound,
    BatchNotSent,
    BatchNotStored,
    BatchPartlyStored,
    BatchStored,
    HoldsOver,
    ListIsBlind,
)
from target_databox.delivery.posting import Posting
from target_databox.delivery.rejections import Cause, Reason, Rejection, Rejections
from target_databox.delivery.requests import (
    AskOutcome,
    Blocked,
    PostRows,
    ReadList,
    Scheduler,
)
from target_databox.delivery.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from target_databox.delivery.batches import Batch, Destination
    from target_databox.delivery.interfaces import Budget, DeliverySettings
    from target_databox.delivery.outcomes import Outcome
    from target_databox.delivery.requests import Request
    from target_databox.delivery.rows import Row


class Dispatcher:
    """Delivers the rows of all datasets of a run. Not thread-safe; `engine` holds a lock around it.

    Args:
        settings: How to deliver.
        budget: Requests that the API key may still make.
        wait: Seconds to wait before another try, from the number of failed ones and what the API asked for.
        new_key: Returns a new idempotency key at every call.

    Attributes:
        lanes: The datasets.
        notes: Lines for the log, to be logged without holding the lock.
        server_time: The server's time, in epoch seconds; None before its first response.
    """

    def __init__(
        self,
        settings: DeliverySettings,
        budget: Budget,
        *,
        wait: Callable[[int, float | None], float],
        new_key: Callable[[], str],
    ) -> None:
        self.settings = settings
        self.lanes: list[Lane] = []
        self.notes = Notes()
        self.server_time: float | None = None
        self._new_key = new_key
        self._away = 0
        self._lifecycle = Lifecycle(settings.shutdown_seconds)
        self._ledger = Ledger(settings.state_interval_seconds)
        self._rejections = Rejections(settings)
        self._scheduler = Scheduler(budget, RetryRule(settings.retry_seconds, wait), self.notes)
        delay = PollDelay()
        self._confirmation = Confirmation(settings, self._scheduler, delay, self.notes)
        self._by_list = ConfirmationByList(settings, self._scheduler, delay)
        self._opening = Opening(settings, self.notes)
        self._lost_answers = LostAnswers(settings, self.notes)
        self._posting = Posting(settings, self.lanes, self._scheduler)
        self._tasks = Tasks(
            settings, self.lanes, self._scheduler, opening=self._opening, lost_answers=self._lost_answers
        )

    # Rows and STATEs come in

    @property
    def held_bytes(self) -> int:
        """Memory kept for rows without an outcome, held keys and STATEs that are not due yet."""
        return self._ledger.held_bytes

    @property
    def open_rows(self) -> int:
        """Rows without an outcome."""
        return self._ledger.open_rows

    @property
    def unconfirmed_batches(self) -> int:
        """Batches without an outcome, accepted or not; `unconfirmed_batches` limits them."""
        return self._ledger.places

    @property
    def has_room(self) -> bool:
        """Whether more rows may be read: memory is left, and places too unless no lane has a full batch."""
        settings = self.settings
        if self.held_bytes >= settings.unconfirmed_bytes:
            return False
        if self._ledger.places < settings.unconfirmed_batches:
            return True
        return not any(
            lane.queue.is_full(settings.batch_size_rows, settings.most_rows_bytes) for lane in self.lanes
        )

    def open_lane(self, destination: Destination) -> Lane:
        """Add a dataset."""
        lane = Lane(destination, self._new_key)
        self._by_list.begin(lane)
        self.lanes.append(lane)
        return lane

    def put(self, lane: Lane, rows: Sequence[Row], now: float) -> None:
        """Add rows, in the order of the input."""
        cutoff = self._rejections.cutoff
        if cutoff is not None:
            # The run ends at a record, so later rows are not sent; rows of a BATCH share one line number.
            rows = [row for row in rows if row.number <= cutoff]
        self._ledger.enter(lane, rows)
        lane.queue.put_all(rows, now)
        if len(lane.queue):
            self._opening.begin(lane, now, self.server_time)

    def reject(self, lane: Lane, row: Row, reason: Reason, code: str, message: str) -> None:
        """Reject a record that can't be sent."""
        self._ledger.enter(lane, [row])
        self._reject(lane, row, Cause(reason, code, message))

    def ended(self, state: bytes) -> None:
        """Add a STATE after the rows so far."""
        self._ledger.checkpoints.ended(state)

    # The run ends

    @property
    def error(self) -> BaseException | None:
        """Why the run ends early; None while it doesn't."""
        return self._lifecycle.error

    @property
    def cutoff(self) -> int | None:
        """The line number of the record that ends the run; None while none does."""
        return self._rejections.cutoff

    @property
    def deadline(self) -> float:
        """When a run that is ending stops waiting."""
        return self._lifecycle.deadline

    @property
    def mode(self) -> Mode:
        """What the run still does."""
        return self._lifecycle.mode

    @property
    def is_settling(self) -> bool:
        """Whether no new batches are sent any more."""
        return self._lifecycle.is_settling

    def drain(self) -> None:
        """Send everything, since the input has ended."""
        self._lifecycle.drain()

    def settle(self, deadline: float = NEVER) -> None:
        """Send no new batches; wait for the outcomes of those in flight until a deadline."""
        self._lifecycle.settle(deadline)

    def fail(self, error: BaseException, now: float) -> None:
        """End the run early; the first reason counts."""
        self._lifecycle.fail(error, now)

    def close(self) -> None:
        """Stop everything; later responses are ignored."""
        self._lifecycle.close()

    def is_over(self, now: float, *, can_write: bool = True) -> bool:
        """Whether there is nothing left to wait for.

        Args:
            now: The current time.
            can_write: Whether rejected rows can still be written to their file.
        """
        mode = self._lifecycle.mode
        if mode is Mode.CLOSED or now >= self._lifecycle.deadline:
            return True
        # While keys are held, a first copy may still be stored, and could replace a newer row of the next
        # run.
        if mode is Mode.RUNNING or self._away or any(lane.holds for lane in self.lanes):
            return False
        if can_write and self._rejections.outbox:
            return False
        if mode is Mode.SETTLING:
            return not self._ledger.unconfirmed
        return self._is_drained

    @property
    def _is_drained(self) -> bool:
        """Whether the input has ended and every row that is to be sent has its outcome."""
        if self._lifecycle.mode is not Mode.DRAINING:
            return False
        is_at_cutoff = self._rejections.cutoff is not None and all(lane.is_idle for lane in self.lanes)
        return is_at_cutoff or not self._ledger.open_rows

    # STATE and rejected rows go out

    @property
    def output_at(self) -> float:
        """When output is due: rejected rows or a STATE; infinite if none is."""
        due_at = self._ledger.checkpoints.due_at()
        if self._rejections.outbox or (due_at is not None and self._is_last_state):
            return 0.0
        return NEVER if due_at is None else due_at

    def state(self, now: float, *, last: bool = False) -> bytes | None:
        """The STATE to write now, if one is due."""
        if self._lifecycle.mode is Mode.CLOSED and not last:
            return None
        return self._ledger.checkpoints.take(now, last=last or self._is_last_state)

    @property
    def _is_last_state(self) -> bool:
        # The end may still wait for first copies, which is no reason to hold the newest STATE back.
        is_settled = self._lifecycle.is_settling and not (self._away or self._ledger.unconfirmed)
        return self._is_drained or is_settled

    def rejects(self) -> list[Rejection]:
        """The rejected rows to write now; they stay open until `written`."""
        outbox, self._rejections.outbox = self._rejections.outbox, []
        return outbox

    def written(self, rejects: Iterable[Rejection]) -> None:
        """Close rejected rows that are on disk, which is their outcome."""
        self._ledger.close([reject.row for reject in rejects])

    # Requests go out

    @property
    def wake_at(self) -> float:
        """When to call `next` again after it returned None."""
        return min(self._scheduler.wake_at, self._lifecycle.deadline)

    def next(self, now: float) -> Request | None:
        """The request to start now; None if none may start, see `wake_at`."""
        self._scheduler.begin()
        if self._lifecycle.mode is Mode.CLOSED or now >= self._lifecycle.deadline:
            return None
        found = self._offer(now)
        if found is None or isinstance(found, Blocked):
            return None
        self._away += 1
        return found

    def _offer(self, now: float) -> Request | Blocked | None:
        """The request that is due. Requests for outcomes come first: they free places, keys and memory."""
        is_draining = self._lifecycle.mode is Mode.DRAINING
        found: Request | Blocked | None = (
            self._confirmation.question(now)
            or self._by_list.request(now, is_draining=is_draining)
            or self._tasks.request(now, is_settling=self._lifecycle.is_settling)
        )
        if found is not None or self._lifecycle.is_settling:
            return found
        post = self._posting.resend(now, reserve=self._reserve)
        if post is None and self._ledger.places < self.settings.unconfirmed_batches:
            is_pressed = is_draining or self._ledger.held_bytes >= self.settings.unconfirmed_bytes
            post = self._posting.fresh(now, reserve=self._reserve, is_pressed=is_pressed)
            self._ledger.places += isinstance(post, PostRows)
        if isinstance(post, PostRows) and self._lost_answers.may_be_forgotten(post.batch, now):
            # The wait for this try was too long, for the budget or because the process was suspended.
            self._apply([unresolved(post.lane, "its idempotency key may be forgotten")], now)
            return None
        if isinstance(post, PostRows):
            self._sent(post.batch, now)
        return post

    @property
    def _reserve(self) -> int:
        """Requests that the outcomes of all batches in flight, and of one more, will take."""
        if self.settings.confirmation == "rows":
            return self._ledger.places + 1
        return sum(1 if self._by_list.confirms(lane) else len(lane.accepted) for lane in self.lanes) + 1

    def _sent(self, batch: Batch, now: float) -> None:
        batch.happened(Event.SENT)
        batch.lane.posting += 1
        if batch.first_posted_at == NEVER:
            batch.first_posted_at = now
            batch.lane.counts.batches += 1
        batch.posting.started(now)
        if not batch.lost_answers:
            batch.posted_after = self.server_time

    # Responses come in

    def done(self, request: Request, answer: object, now: float) -> None:
        """Process the result of a request.

        Args:
            request: The request, which `next` returned.
            answer: The API's response, or the error that the request raised.
            now: The current time.
        """
        self._away -= 1
        if self._lifecycle.mode is Mode.CLOSED:
            return
        if isinstance(answer, ThrottledError):
            self._scheduler.refused(now, answer.retry_after_seconds)
        elif isinstance(answer, (Accepted, Ingestion, IngestionsPage, RefusedError)) or answer is None:
            self._scheduler.succeeded()
        is_unexpected = isinstance(answer, BaseException) and not isinstance(answer, DataboxError)
        if isinstance(answer, KeyRefusedError) or is_unexpected:
            self._lifecycle.fail(answer, now)  # type: ignore[arg-type] # both are errors
        else:
            self._apply(self._outcomes(request, answer, now), now)
        if isinstance(answer, DataboxError):
            self._lifecycle.say_where(answer, request.lane.destination)

    def _outcomes(self, request: Request, answer: object, now: float) -> list[Outcome]:
        """The outcomes that follow from a response, as the module that made the request determines them."""
        if isinstance(request, PostRows):
            request.lane.posting -= 1
            return self._posting.answered(request.batch, answer, now)
        if isinstance(request, AskOutcome):
            return self._confirmation.answered(request.batch, answer, now)
        if isinstance(request, ReadList) and request.task is None:
            return self._by_list.answered(request.lane, answer, now)
        holds_delay_rows = not (self._is_drained or self._lifecycle.is_settling)
        return self._tasks.answered(request, answer, now, holds_delay_rows=holds_delay_rows)

    def _apply(self, outcomes: list[Outcome], now: float) -> None:
        """Apply outcomes to batches, the ledger and the other modules."""
        for outcome in outcomes:
            if isinstance(outcome, BatchStored):
                self._stored(outcome, now)
            elif isinstance(outcome, BatchAccepted):
                self._accepted(outcome, now)
            elif isinstance(outcome, BatchPartlyStored):
                self._partly_stored(outcome, now)
            elif isinstance(outcome, BatchNotStored):
                self._not_stored(outcome, now)
            elif isinstance(outcome, BatchNotSent):
                outcome.batch.happened(Event.NOT_SENT)
                outcome.batch.lane.send_again(outcome.batch)
            elif isinstance(outcome, BatchLost):
                self._lost(outcome.batch, now)
            elif isinstance(outcome, BatchNotFound):
                outcome.batch.happened(Event.NOT_FOUND)
                outcome.batch.lane.send_again(outcome.batch)
            elif isinstance(outcome, HoldsOver):
                self._end_holds(outcome, now)
            elif isinstance(outcome, ListIsBlind):
                self._read_one_by_one(outcome.lane)
            else:
                self._lifecycle.fail(outcome.error, now)

    # Batches

    def _accepted(self, outcome: BatchAccepted, now: float) -> None:
        batch, lane = outcome.batch, outcome.batch.lane
        if outcome.ingestion_id in lane.accepted or outcome.ingestion_id in lane.recent:
            # One ingestion can't confirm two batches.
            self._lifecycle.fail(
                UnconfirmedError(
                    f"Databox gave two batches of {lane.destination} the same ingestion "
                    f"{outcome.ingestion_id}, so which rows are stored is unknown. No STATE passes "
                    "them; run again, and report it to Databox if it happens again."
                ),
                now,
            )
            # It may hold the rows of either, so its outcome must not confirm the other batch either.
            self._lifecycle.close()
            return
        batch.happened(Event.FOUND if outcome.was_lost else Event.ACCEPTED)
        batch.posting.succeeded()
        self._ledger.accepted(batch, outcome.ingestion_id, now)
        (self._by_list if self._by_list.confirms(lane) else self._confirmation).accept(batch)

    def _lost(self, batch: Batch, now: float) -> None:
        """Decide what follows from a lost answer.

        1. The API recognises resends: send the batch again.
        2. A resend does no harm: send it again, and hold its keys until the first copy can't be stored late.
        3. Otherwise: search for it first.
        """
        batch.lost_answers += 1
        if batch.lane.destination.resends_are_recognised:
            batch.happened(Event.LOST_AND_RECOGNISED)
            batch.lane.send_again(batch)
        elif batch.lane.destination.resends_safely:
            batch.happened(Event.LOST_AND_HELD)
            batch.lane.counts.uncounted_copies += 1
            self._lost_answers.hold(batch, now)
            batch.lane.send_again(batch)
        else:
            batch.happened(Event.LOST)
            self._lost_answers.search(batch, now)

    def _stored(self, outcome: BatchStored, now: float) -> None:
        batch, counts = outcome.batch, outcome.batch.lane.counts
        batch.happened(Event.STORED)
        if outcome.appended is None or outcome.overwritten is None:
            counts.unknown_counts += len(batch.rows)
        else:
            self._count(batch, outcome.appended, outcome.overwritten)
        self._ledger.confirm(batch, now)

    def _partly_stored(self, outcome: BatchPartlyStored, now: float) -> None:
        batch = outcome.batch
        batch.happened(Event.MIXED)
        self._count(batch, outcome.appended, outcome.overwritten)
        for row, cause in outcome.rejected:
            batch.lane.queue.restore(row)
            self._reject(batch.lane, row, cause)
        self._ledger.confirm(batch, now, rejected=[row for row, _ in outcome.rejected])

    def _not_stored(self, outcome: BatchNotStored, now: float) -> None:
        """Apply the event that `halving` chose; see there for the cases."""
        batch, lane = outcome.batch, outcome.batch.lane
        event = halving.event_of(outcome, self._rejections.cutoff)
        batch.happened(event)
        if outcome.appended or outcome.overwritten:
            self._count(batch, outcome.appended, outcome.overwritten)
            batch.is_counted = True
            batch.lane.counts.uncounted_copies += 1
        self._ledger.unlist(batch)
        if event is Event.FAILED:
            lane.counts.uncounted_copies += 1
            # With the old key the API would return the failed ingestion again.
            batch.idempotency_key = lane.new_key()
            lane.send_again(batch, now)
        elif event is Event.DIVIDED:
            for half in batch.halves(now):
                lane.send_again(half)
        elif event is Event.PASSED:
            self._ledger.give_up_place(batch)
        elif event is Event.BLAMED:
            (row,) = batch.rows
            lane.queue.restore(row)
            self._reject(lane, row, outcome.cause)
            self._ledger.release(batch, now)
        else:
            self._suspect(batch, outcome.cause)
            self._ledger.release(batch, now)

    def _count(self, batch: Batch, appended: int, overwritten: int) -> None:
        # If an earlier ingestion of the batch was counted, this one only overwrote the rows of that one.
        if not batch.is_counted:
            batch.lane.counts.appended += appended
            batch.lane.counts.overwritten += overwritten

    def _suspect(self, batch: Batch, cause: Cause) -> None:
        """Reject all rows of a batch of which some may be stored, and the rows that they replaced."""
        suspect = replace(cause, reason=Reason.SUSPECT)
        for row in batch.rows:
            # A replaced row can't be sent, since it could overwrite the newer one if that was stored. Nor is
            # it superseded, since the newer one may be missing. So it is suspect as well.
            replaced, row.older = row.older or [], None
            for each in (*replaced, row):
                self._reject(batch.lane, each, suspect)

    def _reject(self, lane: Lane, row: Row, cause: Cause) -> None:
        """Reject a row, which may end the run.

        1. Rejected records are not kept: the run ends at this record, and later rows are dropped.
        2. They are kept, but there are too many: the run ends once the batches in flight have their outcome.
        """
        lane.counts.rejected += 1
        error = self._rejections.add(Rejection(lane.destination, row, cause))
        if isinstance(error, RejectedError):
            self._lifecycle.end_at_record(error)
            for each in self.lanes:
                each.queue.drop_from(row.number + 1)
        elif error is not None and not self._lifecycle.is_settling:
            self._lifecycle.stop_for(error)

    def _read_one_by_one(self, lane: Lane) -> None:
        self.notes.warning(
            "The list of ingestions of %s does not show new ones in a page or two; reading each ingestion by "
            "itself, as with confirmation `rows`.",
            lane.destination,
        )
        for batch in lane.accepted.values():
            self._confirmation.accept(batch)

    def _end_holds(self, outcome: HoldsOver, now: float) -> None:
        for hold in outcome.holds:
            self._ledger.end_hold(outcome.lane, hold, now)
