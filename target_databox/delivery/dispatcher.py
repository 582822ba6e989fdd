"""Decides which request starts next and what its answer means; owns no thread, clock or socket.

A row's way: `put` → its lane's queue → `next` cuts a batch and sends it → `done` learns that it was accepted
→ `next` asks for its outcome when that is likely to be there → `done` closes its rows → `state` gives the
STATE that is due.

Every method takes the present as seconds of one monotonic clock, so that thousands of interleavings run in a
second. The work is done in rooms of one duty each, every one of which knows only those before it:

    notes                   what is to be logged
    course, ledger, gate    how far the run is; what is open; the way out
    patience                whether a failed request is tried again
    verdicts                batches that are not stored whole
    confirmation            outcomes of accepted batches
    recovery                leftovers, the purge, lost answers
    posting                 which batch goes out
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_databox.api.errors import DataboxError, KeyRefusedError, RefusedError, ThrottledError
from target_databox.api.shapes import Accepted, Ingestion, IngestionsPage
from target_databox.delivery.confirmation import Confirmation
from target_databox.delivery.course import Course, Mode
from target_databox.delivery.gate import Blocked, Gate
from target_databox.delivery.lane import NEVER, Lane
from target_databox.delivery.ledger import Ledger
from target_databox.delivery.model import AskOutcome, PostRows
from target_databox.delivery.notes import Notes
from target_databox.delivery.patience import Patience
from target_databox.delivery.posting import Posting
from target_databox.delivery.recovery import Recovery
from target_databox.delivery.status_reading import StatusReading
from target_databox.delivery.verdicts import Verdicts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from target_databox.delivery.batches import Row
    from target_databox.delivery.model import Destination, Policy, Reject, Request, Turns


class Dispatcher:
    """All datasets of a run.

    Args:
        policy: How to deliver.
        turns: The request budget.
        wait: Seconds to wait before another try, from the number of failed ones and what the API asked for.

    Attributes:
        lanes: The datasets.
        notes: What is to be logged, by whoever holds no lock.
        server_time: The server's clock, as far as it is known; None before its first answer.
    """

    def __init__(self, policy: Policy, turns: Turns, *, wait: Callable[[int, float | None], float]) -> None:
        self.policy = policy
        self.lanes: list[Lane] = []
        self.notes = Notes()
        self.server_time: float | None = None
        self._away = 0
        self._course = course = Course(policy.shutdown_seconds)
        self._ledger = ledger = Ledger(policy.state_interval_seconds)
        self._gate = gate = Gate(turns, self.notes)
        patience = Patience(course, policy.retry_seconds, wait, self.notes)
        self._verdicts = verdicts = Verdicts(policy, self.lanes, course=course, ledger=ledger)
        self._confirmation = confirmation = Confirmation(
            policy,
            self.lanes,
            course=course,
            ledger=ledger,
            verdicts=verdicts,
            gate=gate,
            patience=patience,
            notes=self.notes,
        )
        self._recovery = recovery = Recovery(
            policy,
            self.lanes,
            course=course,
            ledger=ledger,
            confirmation=confirmation,
            gate=gate,
            patience=patience,
            notes=self.notes,
        )
        self._posting = Posting(
            policy,
            self.lanes,
            course=course,
            ledger=ledger,
            verdicts=verdicts,
            confirmation=confirmation,
            recovery=recovery,
            gate=gate,
            patience=patience,
        )

    # Rows and STATEs come in

    @property
    def held_bytes(self) -> int:
        """Memory kept for rows without an outcome and for the STATEs behind them."""
        return self._ledger.held_bytes

    @property
    def open_rows(self) -> int:
        """Rows without an outcome."""
        return self._ledger.open_rows

    @property
    def unconfirmed_batches(self) -> int:
        """Batches on their way, accepted or not."""
        return self._ledger.places

    @property
    def has_room(self) -> bool:
        """Whether more rows may be read."""
        if self.held_bytes >= self.policy.unconfirmed_bytes:
            return False
        if self._ledger.places < self.policy.unconfirmed_batches:
            return True
        return not any(lane.queue.is_full(self.policy.cut) for lane in self.lanes)

    def open_lane(self, destination: Destination) -> Lane:
        """Add a dataset."""
        lane = Lane(destination)
        lane.is_open = destination.is_new
        self._confirmation.begin(lane)
        self.lanes.append(lane)
        return lane

    def put(self, lane: Lane, rows: Sequence[Row], now: float) -> None:
        """Take in rows, in the order of the input."""
        cutoff = self._verdicts.cutoff
        if cutoff is not None:
            # Where the run ends at a record, those after it are not sent; a BATCH has many on one line.
            rows = [row for row in rows if row.number <= cutoff]
        self._ledger.enter(lane, rows)
        lane.queue.put_all(rows, now)
        if len(lane.queue):
            self._recovery.open(lane, now, self.server_time)

    def reject(self, lane: Lane, row: Row, reason: str, code: str, message: str) -> None:
        """Take in a record that can't be sent."""
        self._ledger.enter(lane, [row])
        self._verdicts.unsendable(lane, row, reason, code, message)

    def ended(self, state: bytes) -> None:
        """Take in a STATE."""
        self._ledger.checkpoints.ended(state)

    # The run ends

    @property
    def error(self) -> BaseException | None:
        """Why the run ends early; None while it doesn't."""
        return self._course.error

    @property
    def cutoff(self) -> int | None:
        """Place in the input of the record that ends the run; None while none does."""
        return self._verdicts.cutoff

    @property
    def deadline(self) -> float:
        """When a run that is ending stops waiting."""
        return self._course.deadline

    @property
    def mode(self) -> Mode:
        """What the run still does."""
        return self._course.mode

    @property
    def is_settling(self) -> bool:
        """Whether nothing new goes out any more."""
        return self._course.is_settling

    def drain(self) -> None:
        """The input has ended: everything goes out."""
        self._course.drain()

    def settle(self, deadline: float = NEVER) -> None:
        """Send nothing new; outcomes of what is on its way are awaited until a deadline."""
        self._course.settle(deadline)

    def fail(self, error: BaseException, now: float) -> None:
        """End the run early; the first reason counts."""
        self._course.fail(error, now)

    def close(self) -> None:
        """Nothing more happens; answers that still come in change nothing."""
        self._course.close()

    def is_over(self, now: float, *, can_write: bool = True) -> bool:
        """Whether there is nothing left to wait for.

        Args:
            now: The present.
            can_write: Whether rejected rows can still be written down.
        """
        mode = self._course.mode
        if mode is Mode.CLOSED or now >= self._course.deadline:
            return True
        if mode is Mode.RUNNING or self._away or any(lane.holds for lane in self.lanes):
            return False
        if can_write and self._verdicts.outbox:
            return False
        if mode is Mode.SETTLING:
            return not self._ledger.unconfirmed
        return not self._ledger.open_rows or (
            self._verdicts.cutoff is not None and all(lane.is_idle for lane in self.lanes)
        )

    # STATE and rejected rows go out

    @property
    def output_at(self) -> float:
        """When something is to be written."""
        due_at = self._ledger.checkpoints.due_at()
        return 0.0 if self._verdicts.outbox else NEVER if due_at is None else due_at

    def state(self, now: float, *, last: bool = False) -> bytes | None:
        """The STATE to write now, if one is due."""
        if self._course.mode is Mode.CLOSED and not last:
            return None
        return self._ledger.checkpoints.take(now, last=last)

    def rejects(self) -> list[Reject]:
        """Rejected rows to be written down; they stay open until `written`."""
        outbox, self._verdicts.outbox = self._verdicts.outbox, []
        return outbox

    def written(self, rejects: Iterable[Reject]) -> None:
        """Rejected rows are on disk: that is their outcome."""
        self._ledger.close([reject.row for reject in rejects])

    # Requests

    @property
    def wake_at(self) -> float:
        """When to ask for a request again, after `next` gave none."""
        return min(self._gate.wake_at, self._course.deadline)

    def next(self, now: float) -> Request | None:
        """The request that starts now; None when none may, see `wake_at`."""
        self._gate.begin()
        if self._course.mode is Mode.CLOSED or now >= self._course.deadline:
            return None
        found = self._offer(now)
        if found is None or isinstance(found, Blocked):
            return None
        self._away += 1
        return found

    def _offer(self, now: float) -> Request | Blocked | None:
        """What is due, outcomes first: they free places, keys and memory."""
        found: Request | Blocked | None = self._confirmation.question(now) or self._confirmation.reading(now)
        found = found or self._recovery.errand(now)
        if found is not None or self._course.mode is Mode.SETTLING:
            return found
        return self._posting.resend(now, self.server_time) or self._posting.fresh(now, self.server_time)

    def done(self, request: Request, answer: object, now: float) -> None:
        """Take in what came of a request: the API's answer, or the error that it raised."""
        self._away -= 1
        if self._course.mode is Mode.CLOSED:
            return
        if isinstance(answer, ThrottledError):
            self._gate.refused(now, answer.retry_after_seconds)
        elif isinstance(answer, (Accepted, Ingestion, IngestionsPage, RefusedError)) or answer is None:
            self._gate.succeeded()
        if isinstance(answer, KeyRefusedError) or (
            isinstance(answer, BaseException) and not isinstance(answer, DataboxError)
        ):
            self._course.fail(answer, now)
        elif isinstance(request, PostRows):
            self._posting.answered(request.batch, answer, now)
        elif isinstance(request, AskOutcome):
            self._confirmation.answered(request.batch, answer, now)
        else:
            request.errand.is_away = False
            if isinstance(request.errand, StatusReading):
                self._confirmation.listed(request.errand, answer, now)
            else:
                self._recovery.returned(request, answer, now)
        if isinstance(answer, DataboxError):
            self._course.say_where(answer, request.lane.destination)
