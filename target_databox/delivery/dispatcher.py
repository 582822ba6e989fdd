"""Decides which request starts next and what its answer means; owns no thread, clock or socket.

A row's way: `put` → its lane's queue → `next` cuts a batch and sends it → `done` learns that it was accepted → `next`
asks for its outcome when that is likely to be there → `done` closes its rows → `state` gives the STATE that is due.

Every method takes the present as seconds of one monotonic clock, so that thousands of interleavings run in a second.
Bad rows are the business of `verdicts`.
"""

from __future__ import annotations

import enum
import heapq
import itertools
import logging
from collections import deque
from typing import TYPE_CHECKING

from target_databox.api.errors import (
    DataboxError,
    KeyRefusedError,
    LostAnswerError,
    MissingError,
    RefusedError,
    ThrottledError,
    TransientError,
)
from target_databox.api.shapes import Accepted, Ingestion, IngestionsPage, IngestionStatus
from target_databox.delivery.checkpoints import Checkpoints
from target_databox.delivery.errands import (
    CLOCK_TOLERANCE_SECONDS,
    LEFTOVER_HORIZON_SECONDS,
    LEFTOVER_MOST_PAGES,
    Errand,
    PurgeOnce,
    Search,
    Settling,
    StatusReading,
)
from target_databox.delivery.errors import UnconfirmedError
from target_databox.delivery.lane import NEVER, Lane
from target_databox.delivery.model import (
    AskOutcome,
    Attempts,
    Batch,
    Hold,
    PostRows,
    ReadIngestion,
)
from target_databox.delivery.polling import PollDelay
from target_databox.delivery.verdicts import Verdicts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from target_databox.delivery.batches import Row
    from target_databox.delivery.model import (
        Destination,
        Policy,
        Purge,
        ReadList,
        Reject,
        Request,
        Turns,
    )

logger = logging.getLogger(__name__)


class _Blocked:
    """A request is due, and the budget says later."""


_BLOCKED = _Blocked()


class Mode(enum.Enum):
    """What a run still does."""

    RUNNING = "rows come in and go out"
    DRAINING = "no more rows come in; everything goes out"
    SETTLING = "nothing new goes out; what is on its way gets its outcome"
    CLOSED = "nothing more happens"


class Dispatcher:
    """All datasets of a run.

    Args:
        policy: How to deliver.
        turns: The request budget.
        wait: Seconds to wait before another try, from the number of failed ones and what the API asked for.

    Attributes:
        error: Why the run ends early; None while it doesn't.
        server_time: The server's clock at its newest answer.
        deadline: When a run that is ending stops waiting.
    """

    def __init__(self, policy: Policy, turns: Turns, *, wait: Callable[[int, float | None], float]) -> None:
        self.policy = policy
        self.mode = Mode.RUNNING
        self.error: BaseException | None = None
        self.server_time: float | None = None
        self.lanes: list[Lane] = []
        self.open_rows = 0
        self._row_bytes = 0
        self._turns = turns
        self._wait = wait
        self._checkpoints = Checkpoints(policy.state_interval_seconds)
        self._delay = PollDelay()
        # Accepted batches nobody asked about yet, oldest first; the others by when to ask again.
        self._unasked: deque[Batch] = deque()
        self._again: list[tuple[float, int, Batch]] = []
        self._order = itertools.count()
        self._probe: Batch | None = None
        self._slots = 0
        self._away = 0
        self._unconfirmed = 0
        self.deadline = NEVER
        self._wake_at = NEVER
        self._blocked_since: float | None = None
        self._verdicts = Verdicts(self)

    # Rows and STATEs come in

    @property
    def held_bytes(self) -> int:
        """Memory kept for rows without an outcome and for the STATEs behind them."""
        return self._row_bytes + self._checkpoints.held_bytes

    @property
    def has_room(self) -> bool:
        """Whether more rows may be read."""
        if self.held_bytes >= self.policy.unconfirmed_bytes:
            return False
        if self._slots < self.policy.unconfirmed_batches:
            return True
        return not any(lane.queue.is_full(self.policy.cut) for lane in self.lanes)

    @property
    def unconfirmed_batches(self) -> int:
        """Batches on their way, accepted or not."""
        return self._slots

    def open_lane(self, destination: Destination) -> Lane:
        """Add a dataset."""
        lane = Lane(destination)
        lane.is_open = destination.is_new
        if self.policy.confirmation == "status":
            lane.status = StatusReading(lane, lag_seconds=self.policy.listing_lag_seconds)
        self.lanes.append(lane)
        return lane

    def put(self, lane: Lane, rows: Iterable[Row], now: float) -> None:
        """Take in rows, in the order of the input."""
        stretch = self._checkpoints.stretch
        count = 0
        cutoff = self._verdicts.cutoff
        for row in rows:
            if cutoff is not None and row.number >= cutoff:
                # The run ends before it.
                continue
            row.stretch = stretch
            self._row_bytes += row.cost_bytes
            lane.queue.put(row, now)
            count += 1
        self._checkpoints.opened(count)
        self.open_rows += count
        lane.counts.read += count
        if not lane.is_open and lane.opening is None and count:
            self._begin(lane, now)

    def reject(self, lane: Lane, row: Row, reason: str, code: str, message: str, now: float) -> None:
        """Take in a record that can't be sent."""
        row.stretch = self._checkpoints.stretch
        self._row_bytes += row.cost_bytes
        self._checkpoints.opened()
        self.open_rows += 1
        lane.counts.read += 1
        self._verdicts.unsendable(lane, row, reason, code, message, now)

    def ended(self, state: bytes) -> None:
        """Take in a STATE."""
        self._checkpoints.ended(state)

    # The run ends

    def drain(self) -> None:
        """The input has ended: everything goes out."""
        if self.mode is Mode.RUNNING:
            self.mode = Mode.DRAINING

    def settle(self, deadline: float = NEVER) -> None:
        """Send nothing new; outcomes of what is on its way are awaited until a deadline."""
        if self.mode is not Mode.CLOSED:
            self.mode = Mode.SETTLING
            self.deadline = min(self.deadline, deadline)

    def fail(self, error: BaseException, now: float) -> None:
        """End the run early; the first reason counts."""
        if self.error is None:
            self.error = error
        if isinstance(error, KeyRefusedError):
            self.close()
        self.settle(now + self.policy.shutdown_seconds)

    @property
    def is_settling(self) -> bool:
        """Whether nothing new goes out any more."""
        return self.mode in (Mode.SETTLING, Mode.CLOSED)

    def stop_for(self, error: BaseException) -> None:
        """End the run early without haste: what is on its way gets its outcome."""
        if self.error is None:
            self.error = error
        self.settle()

    def cut_off(self, number: int, error: BaseException) -> None:
        """End the run at a record: rows before it are still delivered, the others are not sent any more."""
        self.error = error
        self.drain()
        for lane in self.lanes:
            lane.queue.drop_from(number)

    def close(self) -> None:
        """Nothing more happens; answers that still come in change nothing."""
        self.mode = Mode.CLOSED

    def is_over(self, now: float) -> bool:
        """Whether there is nothing left to wait for."""
        if self.mode is Mode.CLOSED:
            return True
        if self.mode is Mode.SETTLING:
            return now >= self.deadline or not (self._away or self._unconfirmed or self._verdicts.outbox)
        if self.mode is Mode.DRAINING and self._verdicts.cutoff is not None:
            return not (self._away or self._verdicts.outbox) and all(lane.is_idle for lane in self.lanes)
        return self.mode is Mode.DRAINING and not self.open_rows

    # STATE goes out

    def state(self, now: float, *, last: bool = False) -> bytes | None:
        """The STATE to write now, if one is due."""
        return None if self.mode is Mode.CLOSED and not last else self._checkpoints.take(now, last=last)

    def rejects(self) -> list[Reject]:
        """Rejected rows to be written down; they stay open until `written`."""
        outbox, self._verdicts.outbox = self._verdicts.outbox, []
        return outbox

    def written(self, rejects: Iterable[Reject]) -> None:
        """Rejected rows are on disk: that is their outcome."""
        for reject in rejects:
            self.close_row(reject.row)

    # Requests

    @property
    def wake_at(self) -> float:
        """When to ask for a request again, after `next` gave none."""
        return min(self._wake_at, self.deadline)

    @property
    def output_at(self) -> float:
        """When something is to be written."""
        due = self._checkpoints.due_at()
        return 0.0 if self._verdicts.outbox else NEVER if due is None else due

    def next(self, now: float) -> Request | None:
        """The request that starts now; None when none may, see `wake_at`."""
        self._wake_at = NEVER
        if self.mode is Mode.CLOSED or now >= self.deadline:
            return None
        for offer in (self._question, self._errand, self._resend, self._fresh):
            found = offer(now)
            if found is None:
                continue
            if isinstance(found, _Blocked):
                return None
            self._away += 1
            return found
        return None

    def _turn(self, lane: Lane, due_at: float, now: float, reserve: int = 0) -> bool:
        at = self._turns.take(now, reserve)
        if at > 0:
            self._wake_at = min(self._wake_at, at)
            if self._blocked_since is None:
                self._blocked_since = now
            return False
        if self._blocked_since is not None:
            lane.counts.throttled_seconds += now - max(self._blocked_since, due_at)
            self._blocked_since = None
        lane.counts.requests += 1
        return True

    def _question(self, now: float) -> Request | _Blocked | None:
        while self._again and self._again[0][2].ingestion_id is None:
            heapq.heappop(self._again)
        first = self._unasked[0] if self._unasked else None
        again = self._again[0] if self._again else None
        first_at = NEVER
        if first is not None and (self._delay.is_learned or self._probe is None):
            first_at = first.accepted_at + self._delay.seconds
        again_at = again[0] if again else NEVER
        due_at = min(first_at, again_at)
        if due_at > now:
            self._wake_at = min(self._wake_at, due_at)
            return None
        batch = again[2] if again is not None and again_at <= first_at else first
        assert batch is not None
        if not self._turn(batch.lane, due_at, now):
            return _BLOCKED
        if batch is first:
            self._unasked.popleft()
            batch.asking = Attempts(due_at)
            if not self._delay.is_learned:
                self._probe = batch
        else:
            heapq.heappop(self._again)
        batch.asking.started(now)
        return AskOutcome(batch.lane, batch, batch.ingestion_id or "")

    def _errand(self, now: float) -> Request | _Blocked | None:
        for lane in self.lanes:
            status = lane.status
            if status is not None and not status.is_away:
                due_at = status.due_at(self._delay.seconds)
                if due_at <= now:
                    return self._run(status, now)
                self._wake_at = min(self._wake_at, due_at)
            if self.mode is Mode.SETTLING:
                continue
            if lane.holds and lane.copies is None:
                self._look_for_copies(lane)
            for errand in lane.errands():
                if errand.is_away:
                    continue
                if errand.attempts.due_at <= now:
                    return self._run(errand, now)
                self._wake_at = min(self._wake_at, errand.attempts.due_at)
        return None

    def _run(self, errand: Errand, now: float) -> Request | _Blocked:
        if not self._turn(errand.lane, errand.attempts.due_at, now):
            return _BLOCKED
        errand.started(now)
        return errand.request()

    def _resend(self, now: float) -> Request | _Blocked | None:
        if self.mode is Mode.SETTLING:
            return None
        for lane in self.lanes:
            batch = lane.next_resend() if lane.resends and lane.may_post() else None
            if batch is None or self._verdicts.must_wait(batch):
                continue
            if batch.posting.due_at > now:
                self._wake_at = min(self._wake_at, batch.posting.due_at)
                continue
            if not self._turn(lane, batch.posting.due_at, now, self._reserve()):
                return _BLOCKED
            lane.resends.remove(batch)
            lane.counts.retries += batch.posting.tries > 0
            return self._post(batch, now)
        return None

    def _fresh(self, now: float) -> Request | _Blocked | None:
        if self.mode is Mode.SETTLING or self._slots >= self.policy.unconfirmed_batches:
            return None
        is_pressed = self.mode is Mode.DRAINING or self.held_bytes >= self.policy.unconfirmed_bytes
        due_at, chosen = NEVER, None
        for lane in self.lanes:
            if lane.queue.ready and lane.may_post() and not self._verdicts.must_wait_for_halves(lane):
                lane_due_at = lane.fresh_due_at(self.policy, is_pressed=is_pressed)
                if lane_due_at < due_at:
                    due_at, chosen = lane_due_at, lane
        if chosen is None or due_at > now:
            self._wake_at = min(self._wake_at, due_at)
            return None
        if not self._turn(chosen, due_at, now, self._reserve()):
            return _BLOCKED
        self._slots += 1
        return self._post(chosen.cut(self.policy, now), now)

    def _post(self, batch: Batch, now: float) -> Request:
        batch.lane.posting += 1
        batch.lane.counts.batches += 1
        batch.posting.started(now)
        if batch.posted_after is None:
            batch.posted_after = self.server_time
        return PostRows(batch.lane, batch)

    def _reserve(self) -> int:
        """Requests that the outcome of everything on its way, and of one more batch, will cost."""
        if self.policy.confirmation == "rows":
            return self._slots + 1
        return sum(1 if lane.status is not None else len(lane.accepted) for lane in self.lanes) + 1

    # Answers

    def done(self, request: Request, answer: object, now: float) -> None:
        """Take in what came of a request: the API's answer, or the error that it raised."""
        self._away -= 1
        if self.mode is Mode.CLOSED:
            return
        if isinstance(answer, ThrottledError):
            self._turns.refused(now, answer.retry_after_seconds)
        elif isinstance(answer, (Accepted, Ingestion, IngestionsPage, RefusedError)) or answer is None:
            self._turns.succeeded()
        if isinstance(answer, BaseException) and not isinstance(answer, DataboxError):
            self.fail(answer, now)
        elif isinstance(answer, KeyRefusedError):
            self.fail(answer, now)
        elif isinstance(request, PostRows):
            request.lane.posting -= 1
            self._posted(request.batch, answer, now)
        elif isinstance(request, AskOutcome):
            self._asked(request.batch, answer, now)
        else:
            request.errand.is_away = False
            self._returned(request, answer, now)

    def _posted(self, batch: Batch, answer: object, now: float) -> None:
        lane = batch.lane
        if isinstance(answer, Accepted):
            batch.posting.succeeded()
            batch.ingestion_id = answer.ingestion_id
            lane.was_accepted = True
            self._accept(batch, now)
        elif isinstance(answer, LostAnswerError):
            self._lose(batch, answer, now)
        elif isinstance(answer, TransientError):
            self._later(batch.posting, answer, now)
            lane.resends.append(batch)
        elif isinstance(answer, MissingError):
            self.fail(answer, now)
        elif isinstance(answer, RefusedError):
            self._verdicts.refused(batch, answer, now)

    def _accept(self, batch: Batch, now: float) -> None:
        batch.accepted_at = now
        batch.lane.remember(batch)
        self._unconfirmed += 1
        if batch.lane.status is None:
            self._unasked.append(batch)

    def _lose(self, batch: Batch, error: LostAnswerError, now: float) -> None:
        lane = batch.lane
        self._later(batch.posting, error, now)
        if not lane.destination.resends_safely:
            lag = self.policy.listing_lag_seconds
            lane.search = Search(
                lane, batch, now + lag, timeout_seconds=self.policy.confirmation_timeout_seconds
            )
            return
        if batch.hold is None or batch.hold.is_over:
            batch.hold = Hold(now, batch.posted_after)
            lane.holds.append(batch.hold)
        batch.hold.lost_at = now
        lane.resends.append(batch)

    def _asked(self, batch: Batch, answer: object, now: float) -> None:
        if batch.ingestion_id is None:
            return
        if isinstance(answer, ThrottledError):
            self._ask_again(batch, now)
        elif isinstance(answer, TransientError):
            self._later(batch.asking, answer, now)
            self._ask_again(batch, batch.asking.due_at)
        elif isinstance(answer, Ingestion):
            batch.asking.succeeded()
            self._outcome(batch, answer, now)
        elif isinstance(answer, MissingError):
            batch.asking.succeeded()
            self._still_pending(batch, "Databox does not know the ingestion", now)
        elif isinstance(answer, DataboxError):
            self.fail(answer, now)

    def _outcome(self, batch: Batch, ingestion: Ingestion, now: float) -> None:
        sent = len(batch.rows)
        stored = None
        if ingestion.appended is not None and ingestion.overwritten is not None:
            stored = ingestion.appended + ingestion.overwritten
        if ingestion.status is IngestionStatus.FAILED:
            self._learn(batch, now)
            self._verdicts.failed(batch, ingestion, stored, now)
            return
        adds_up = (
            ingestion.status is IngestionStatus.DONE
            and stored is not None
            and ingestion.rejected is not None
            and ingestion.received == sent == stored + ingestion.rejected
        )
        if not adds_up:
            counts = (
                f"counts that don't add up to the {sent} rows sent" if stored is not None else "no counts yet"
            )
            self._still_pending(batch, f"its record has {counts}", now)
            return
        self._learn(batch, now)
        if not batch.was_counted:
            batch.lane.counts.appended += ingestion.appended or 0
            batch.lane.counts.overwritten += ingestion.overwritten or 0
        if ingestion.rejected:
            self._verdicts.rejected(batch, ingestion, now)
        else:
            self.confirm(batch, now)

    def _learn(self, batch: Batch, now: float) -> None:
        age = now - batch.accepted_at
        self._delay.asked(age, done=True)
        batch.lane.counts.confirmations += 1
        batch.lane.counts.confirmation_seconds += age
        if self._probe is batch:
            self._probe = None

    def _still_pending(self, batch: Batch, finding: str, now: float) -> None:
        age = batch.age_seconds(now)
        self._delay.asked(age, done=False)
        timeout = self.policy.confirmation_timeout_seconds
        if age >= timeout:
            self.fail(
                UnconfirmedError(
                    f"Ingestion {batch.ingestion_id} of {batch.lane.destination} is unconfirmed after {timeout:g} s: "
                    f"{finding}. Its rows may or may not be stored, so no STATE passes them; run again, or raise "
                    "confirmation_timeout_seconds if Databox is slow."
                ),
                now,
            )
            return
        self._ask_again(batch, now + self._delay.again(age, timeout) - age)

    def _ask_again(self, batch: Batch, at: float) -> None:
        if batch.ingestion_id not in batch.lane.accepted or batch.lane.status is not None:
            return
        batch.asking.due_at = at
        heapq.heappush(self._again, (at, next(self._order), batch))

    def _later(self, attempts: Attempts, error: TransientError, now: float) -> None:
        """Plan another try of a request, or end the run when it has been failing for too long."""
        if isinstance(error, ThrottledError):
            # The budget knows how long to wait, and waiting for it is no failure.
            attempts.due_at = now
            return
        asked = error.retry_after_seconds
        failing_seconds = attempts.failed(now, lambda tries: self._wait(tries, asked))
        if failing_seconds > self.policy.retry_seconds:
            self.fail(error, now)

    # Errands

    def _begin(self, lane: Lane, now: float) -> None:
        since = None
        timeout = self.policy.confirmation_timeout_seconds
        if self.server_time is not None:
            since = self.server_time - max(LEFTOVER_HORIZON_SECONDS, timeout)
        lane.opening = Settling(
            lane, now, since=since, timeout_seconds=timeout, most_pages=LEFTOVER_MOST_PAGES
        )

    def _look_for_copies(self, lane: Lane) -> None:
        lag = self.policy.listing_lag_seconds
        due_at = min(hold.lost_at for hold in lane.holds) + lag
        # What was lost within the same moment is looked for together.
        holds = tuple(hold for hold in lane.holds if hold.lost_at + lag <= due_at + 1.0)
        due_at = max(hold.lost_at for hold in holds) + lag
        known = [hold.posted_after for hold in holds if hold.posted_after is not None]
        since = min(known) - CLOCK_TOLERANCE_SECONDS if len(known) == len(holds) else None
        lane.copies = Settling(
            lane, due_at, since=since, timeout_seconds=self.policy.confirmation_timeout_seconds, holds=holds
        )

    def _returned(self, request: ReadList | ReadIngestion | Purge, answer: object, now: float) -> None:
        errand, lane = request.errand, request.lane
        is_gone = isinstance(request, ReadIngestion) and isinstance(answer, MissingError)
        if isinstance(answer, DataboxError) and not is_gone:
            if isinstance(answer, TransientError):
                self._later(errand.attempts, answer, now)
            else:
                self.fail(answer, now)
            return
        errand.attempts.succeeded()
        if isinstance(errand, StatusReading) and isinstance(answer, IngestionsPage):
            self._listed(lane, errand, answer, now)
        elif isinstance(errand, (Settling, Search)) and isinstance(answer, IngestionsPage):
            errand.listed(answer, now)
        elif isinstance(errand, Search):
            errand.read(answer if isinstance(answer, Ingestion) else None, now)
        elif isinstance(errand, PurgeOnce):
            errand.purged()
        if errand.ended is not None:
            self._end(lane, errand, now)

    def _end(self, lane: Lane, errand: Errand, now: float) -> None:
        if errand is lane.opening:
            self._opened(lane, errand, now)
        elif isinstance(errand, Search):
            self._found(lane, errand, now)
        elif isinstance(errand, Settling) and errand.ended == "done":
            lane.copies = None
            for hold in errand.holds:
                if hold.lost_at > errand.attempts.due_at:
                    continue
                hold.is_over = True
                lane.holds.remove(hold)
                lane.queue.free(hold.keys, now)
        else:
            self._unresolved(lane, "ingestions that this run did not make are still pending", now)

    def _opened(self, lane: Lane, errand: Errand, now: float) -> None:
        if isinstance(errand, Settling):
            if errand.ended == "late":
                logger.warning(
                    "%d ingestions of %s were pending before this run and still are; going on without them. "
                    "They may land after the rows of this run.",
                    len(errand.found or ()),
                    lane.destination,
                )
            if errand.is_cut_short:
                logger.warning(
                    "The list of ingestions of %s is long and in no order; only its first %d pages were searched "
                    "for pending ones.",
                    lane.destination,
                    LEFTOVER_MOST_PAGES,
                )
            if lane.destination.purge:
                lane.opening = PurgeOnce(lane, now)
                return
        else:
            logger.info("Purged %s.", lane.destination)
        lane.opening = None
        lane.is_open = True

    def _found(self, lane: Lane, search: Search, now: float) -> None:
        batch = search.batch
        if search.ended == "late":
            self._unresolved(lane, "ingestions that could be the lost one are still pending", now)
        elif len(search.matches) > 1:
            self._unresolved(lane, f"{len(search.matches)} ingestions could be the lost one", now)
        elif search.matches:
            lane.search = None
            batch.posting.succeeded()
            batch.ingestion_id = search.matches[0]
            lane.was_accepted = True
            logger.info(
                "Found ingestion %s of %s again, whose answer was lost.", batch.ingestion_id, lane.destination
            )
            self._accept(batch, now)
        else:
            lane.search = None
            batch.posting.due_at = now
            lane.resends.append(batch)

    def _unresolved(self, lane: Lane, finding: str, now: float) -> None:
        self.fail(
            UnconfirmedError(
                f"The answer to a batch of {lane.destination} was lost, and {finding}. Nobody can tell whether its rows "
                "are stored, so no STATE passes them. Look at the dataset's ingestions in Databox, then run again."
            ),
            now,
        )

    def _listed(self, lane: Lane, status: StatusReading, page: IngestionsPage, now: float) -> None:
        expected = {
            ingestion_id
            for ingestion_id, batch in lane.accepted.items()
            if batch.age_seconds(now) >= self._delay.seconds
        }
        status.listed(page, now, due=expected)
        for entry in page.entries:
            batch = lane.accepted.get(entry.id)
            if batch is None:
                continue
            if entry.status is IngestionStatus.DONE:
                self._learn(batch, now)
                lane.counts.unknown_counts += len(batch.rows)
                self.confirm(batch, now)
            elif entry.status is IngestionStatus.FAILED:
                self._learn(batch, now)
                self._verdicts.failed(batch, None, None, now)
            elif entry.id in expected:
                self._still_pending(batch, "the list of ingestions shows it as pending", now)
        timeout = self.policy.confirmation_timeout_seconds
        for batch in list(lane.accepted.values()):
            if batch.age_seconds(now) >= timeout:
                self._still_pending(batch, "the list of ingestions does not show its outcome", now)
        if status.is_blind:
            logger.warning(
                "The list of ingestions of %s is in an order that hides new ones; reading each ingestion by itself, "
                "as with confirmation `rows`.",
                lane.destination,
            )
            lane.status = None
            self._unasked.extend(lane.accepted.values())

    # Outcomes

    def confirm(self, batch: Batch, now: float) -> None:
        """Every row of a batch is stored."""
        counts = batch.lane.counts
        self._verdicts.confirmed(batch, now)
        for row in batch.rows:
            counts.confirmed += 1
            self.close_row(row)
            for replaced in row.replaced():
                counts.superseded += 1
                self.close_row(replaced)
        self.release(batch, now)

    def close_row(self, row: Row) -> None:
        """A row has its outcome, and that is durable."""
        self.open_rows -= 1
        self._row_bytes -= row.cost_bytes
        self._checkpoints.closed(row.stretch)

    def unlist(self, batch: Batch) -> None:
        """A batch's ingestion has its outcome, whatever it is."""
        if batch.ingestion_id is not None and batch.lane.accepted.pop(batch.ingestion_id, None) is not None:
            self._unconfirmed -= 1
        batch.ingestion_id = None

    def release(self, batch: Batch, now: float) -> None:
        """A batch is over: its keys are free unless a first copy may still land, its place as well."""
        self.unlist(batch)
        keys = batch.lane.queue.keys(batch.rows)
        if batch.hold is not None and not batch.hold.is_over:
            batch.hold.keys.extend(keys)
        else:
            batch.lane.queue.free(keys, now)
        self.give_up(batch)

    def give_up(self, batch: Batch) -> None:
        """A batch needs its place in the window no longer."""
        batch.slot.parts -= 1
        self._slots -= batch.slot.parts == 0
