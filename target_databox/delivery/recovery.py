"""What a dataset needs before its first row, and after an answer was lost.

Before: ingestions that a killed run left are waited for, and the dataset is purged if it has to be. After a
lost answer: with keys the batch is sent again and its keys stay held until the first copy can no longer land;
without, it is looked for in the list of ingestions and adopted, or sent again when it is not there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_databox.api.errors import DataboxError, LostAnswerError, MissingError, TransientError
from target_databox.api.shapes import Ingestion, IngestionsPage
from target_databox.delivery.course import Mode
from target_databox.delivery.errands import (
    CLOCK_TOLERANCE_SECONDS,
    LEFTOVER_HORIZON_SECONDS,
    LEFTOVER_MOST_PAGES,
    Errand,
    PurgeOnce,
    Search,
    Settling,
)
from target_databox.delivery.errors import UnconfirmedError
from target_databox.delivery.gate import BLOCKED
from target_databox.delivery.model import Hold, ReadIngestion

if TYPE_CHECKING:
    from target_databox.delivery.confirmation import Confirmation
    from target_databox.delivery.course import Course
    from target_databox.delivery.gate import Blocked, Gate
    from target_databox.delivery.lane import Lane
    from target_databox.delivery.ledger import Ledger
    from target_databox.delivery.model import Batch, Policy, Purge, ReadList, Request
    from target_databox.delivery.notes import Notes
    from target_databox.delivery.patience import Patience


class Recovery:
    """Errands of all datasets.

    Args:
        policy: How long to wait.
        lanes: All datasets; grows during the run.
        course: Ended by what can't be resolved.
        ledger: Where held keys are let go.
        confirmation: Where a batch goes that was found again.
        gate: Where every request gets its turn.
        patience: What plans another try.
        notes: Where it is said what happened.
    """

    def __init__(
        self,
        policy: Policy,
        lanes: list[Lane],
        *,
        course: Course,
        ledger: Ledger,
        confirmation: Confirmation,
        gate: Gate,
        patience: Patience,
        notes: Notes,
    ) -> None:
        self._policy = policy
        self._lanes = lanes
        self._course = course
        self._ledger = ledger
        self._confirmation = confirmation
        self._gate = gate
        self._patience = patience
        self._notes = notes

    def open(self, lane: Lane, now: float, server_time: float | None) -> None:
        """Prepare a dataset that this run did not create for its first row."""
        if lane.is_open or lane.opening is not None:
            return
        lane.server_began_at = server_time
        timeout = self._policy.confirmation_timeout_seconds
        since = None if server_time is None else server_time - max(LEFTOVER_HORIZON_SECONDS, timeout)
        lane.opening = Settling(
            lane, now, since=since, timeout_seconds=timeout, most_pages=LEFTOVER_MOST_PAGES
        )

    def lost(self, batch: Batch, now: float) -> None:
        """The answer to a batch's POST was lost; its next try is planned already."""
        lane = batch.lane
        batch.was_lost = True
        if not lane.destination.resends_safely:
            lag = self._policy.listing_lag_seconds
            timeout = self._policy.confirmation_timeout_seconds
            lane.search = Search(lane, batch, now + lag, timeout_seconds=timeout)
            # The planned wait stays; what the search takes beyond it is no failure of the POST.
            batch.posting.due_at = max(batch.posting.due_at, lane.search.began_at)
            return
        if batch.hold is None or batch.hold.is_over:
            batch.hold = Hold(now, batch.posted_after)
            lane.holds.append(batch.hold)
        batch.hold.lost_at = now
        lane.resends.append(batch)

    # Requests

    def errand(self, now: float) -> Request | Blocked | None:
        """The request of an errand that is due, if any; once nothing new goes out, only for first copies."""
        for lane in self._lanes:
            if not lane.has_errands:
                continue
            if lane.holds and lane.copies is None:
                self._look_for_copies(lane)
            for errand in lane.errands():
                if self._course.is_settling and errand is not lane.copies:
                    continue
                if errand.is_away:
                    continue
                due_at = errand.attempts.due_at
                if due_at > now:
                    self._gate.later(due_at)
                    continue
                if not self._gate.lets(lane, due_at, now):
                    return BLOCKED
                errand.started(now)
                return errand.request()
        return None

    def returned(self, request: ReadList | ReadIngestion | Purge, answer: object, now: float) -> None:
        """Take in the answer to an errand's request."""
        errand = request.errand
        if isinstance(answer, DataboxError) and errand is request.lane.copies and self._is_last_wait:
            self._not_listed(request.lane, errand, answer, now)
            return
        is_gone = isinstance(request, ReadIngestion) and isinstance(answer, MissingError)
        if isinstance(answer, TransientError):
            self._patience.try_later(request.lane, errand.attempts, answer, now)
            if isinstance(errand, PurgeOnce) and isinstance(answer, LostAnswerError):
                # The lost one may still be carried out: the next comes after it, and the rows after that.
                errand.attempts.due_at = max(errand.attempts.due_at, now + self._policy.listing_lag_seconds)
            return
        if isinstance(answer, DataboxError) and not is_gone:
            self._course.fail(answer, now)
            return
        errand.attempts.succeeded()
        if isinstance(errand, (Settling, Search)) and isinstance(answer, IngestionsPage):
            errand.listed(answer, now)
        elif isinstance(errand, Search):
            errand.read(answer if isinstance(answer, Ingestion) else None, now)
        elif isinstance(errand, PurgeOnce):
            errand.purged()
        if errand.ended is not None:
            self._end(request.lane, errand, now)

    def _end(self, lane: Lane, errand: Errand, now: float) -> None:
        if errand is lane.opening:
            self._opened(lane, errand, now)
        elif isinstance(errand, Search):
            self._found(lane, errand, now)
        elif isinstance(errand, Settling):
            self._landed(lane, errand, now)

    # Before the first row

    def _opened(self, lane: Lane, errand: Errand, now: float) -> None:
        if isinstance(errand, Settling):
            lane.strangers = frozenset(errand.seen if lane.is_serial else errand.found or ())
            if errand.ended == "late":
                self._notes.warning(
                    "%d ingestions of %s were pending before this run and still are; going on without them. "
                    "They may land after the rows of this run.",
                    len(errand.found or ()),
                    lane.destination,
                )
            if errand.is_cut_short:
                self._notes.warning(
                    "The list of ingestions of %s is long and in no order; only its first %d pages were "
                    "searched for pending ones.",
                    lane.destination,
                    LEFTOVER_MOST_PAGES,
                )
            if lane.destination.purge:
                lane.opening = PurgeOnce(lane, now)
                return
        else:
            self._notes.info("Purged %s.", lane.destination)
        lane.opening = None
        lane.is_open = True

    # After a lost answer

    def _look_for_copies(self, lane: Lane) -> None:
        lag = self._policy.listing_lag_seconds
        due_at = min(hold.lost_at for hold in lane.holds) + lag
        # What was lost within the same moment is looked for together.
        holds = tuple(hold for hold in lane.holds if hold.lost_at + lag <= due_at + 1.0)
        due_at = max(hold.lost_at for hold in holds) + lag
        known = [hold.posted_after for hold in holds if hold.posted_after is not None]
        since = min(known) - CLOCK_TOLERANCE_SECONDS if len(known) == len(holds) else None
        timeout = self._policy.confirmation_timeout_seconds
        lane.copies = Settling(lane, due_at, since=since, timeout_seconds=timeout, holds=holds)

    def _landed(self, lane: Lane, errand: Settling, now: float) -> None:
        lane.copies = None
        if errand.ended == "late":
            finding = "ingestions that this run did not make are still pending"
            if not self._is_last_wait:
                self._unresolved(lane, finding, now)
                return
            self._give_up_holds(lane, finding, now)
            return
        for hold in errand.holds:
            # Another copy that was lost since then may not be listed yet.
            if hold.lost_at + self._policy.listing_lag_seconds <= errand.began_at:
                self._ledger.end_hold(lane, hold, now)

    @property
    def _is_last_wait(self) -> bool:
        """Whether no row waits for held keys any more, only the end of the run."""
        if self._course.mode is Mode.DRAINING:
            return not self._ledger.open_rows
        return self._course.is_settling

    def _not_listed(self, lane: Lane, errand: Errand, error: DataboxError, now: float) -> None:
        # Every row is confirmed and every STATE is due: no reason to fail.
        is_planned = isinstance(error, TransientError) and self._patience.plan(
            lane, errand.attempts, error, now
        )
        if not is_planned:
            lane.copies = None
            self._give_up_holds(lane, f"the list of ingestions can't be read ({error.happened})", now)

    def _give_up_holds(self, lane: Lane, finding: str, now: float) -> None:
        self._notes.warning(
            "The answer to a batch of %s was lost, and %s. If its first copy is stored after rows of the "
            "next run, it brings back older values of their keys.",
            lane.destination,
            finding,
        )
        for hold in list(lane.holds):
            self._ledger.end_hold(lane, hold, now)

    def _found(self, lane: Lane, search: Search, now: float) -> None:
        batch = search.batch
        if search.ended == "late":
            finding = "ingestions that could be the lost one are still pending, or the list has no end"
            self._unresolved(lane, finding, now)
        elif len(search.matches) > 1:
            self._unresolved(lane, f"{len(search.matches)} ingestions could be the lost one", now)
        elif search.is_unsure:
            finding = "an ingestion could be the lost one, or an earlier run's: their times don't tell"
            self._unresolved(lane, finding, now)
        elif search.matches:
            lane.search = None
            batch.posting.succeeded()
            batch.ingestion_id = search.matches[0]
            self._notes.info(
                "Found ingestion %s of %s again, whose answer was lost.", batch.ingestion_id, lane.destination
            )
            self._confirmation.accept(batch, now)
        else:
            lane.search = None
            lane.resends.append(batch)

    def _unresolved(self, lane: Lane, finding: str, now: float) -> None:
        self._course.fail(
            UnconfirmedError(
                f"The answer to a batch of {lane.destination} was lost, and {finding}. Nobody can tell "
                "whether its rows are stored, so no STATE passes them. Look at the dataset's ingestions in "
                "Databox, then run again."
            ),
            now,
        )
