"""Learns what became of accepted batches: each asked about when it is likely to be done, or many by one list.

Asking spends the same budget as loading, so an ingestion is asked about once, if it can be helped: the delay
before the question follows the processing times seen so far. Before any is known, one batch is asked about
for all.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from typing import TYPE_CHECKING

from target_databox.api.errors import DataboxError, MissingError, TransientError
from target_databox.api.shapes import Ingestion, IngestionsPage, IngestionStatus
from target_databox.delivery.course import Mode
from target_databox.delivery.errors import UnconfirmedError
from target_databox.delivery.gate import BLOCKED
from target_databox.delivery.lane import NEVER
from target_databox.delivery.model import AskOutcome, Attempts
from target_databox.delivery.polling import PollDelay
from target_databox.delivery.status_reading import StatusReading

if TYPE_CHECKING:
    from target_databox.delivery.course import Course
    from target_databox.delivery.gate import Blocked, Gate
    from target_databox.delivery.lane import Lane
    from target_databox.delivery.ledger import Ledger
    from target_databox.delivery.model import Batch, Policy, ReadList
    from target_databox.delivery.notes import Notes
    from target_databox.delivery.patience import Patience
    from target_databox.delivery.verdicts import Verdicts


class Confirmation:
    """The batches that are accepted and unconfirmed, of all datasets.

    Args:
        policy: How to confirm, and for how long to try.
        lanes: All datasets; grows during the run.
        course: Ended by an outcome that can't be learned.
        ledger: Where confirmed rows are closed.
        verdicts: What judges batches that are not stored whole.
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
        verdicts: Verdicts,
        gate: Gate,
        patience: Patience,
        notes: Notes,
    ) -> None:
        self._policy = policy
        self._lanes = lanes
        self._course = course
        self._ledger = ledger
        self._verdicts = verdicts
        self._gate = gate
        self._patience = patience
        self._notes = notes
        self._delay = PollDelay()
        # Accepted batches nobody asked about yet, oldest first; the others by when to ask again.
        self._unasked: deque[Batch] = deque()
        self._again: list[tuple[float, int, Batch]] = []
        self._order = itertools.count()
        self._probe: Batch | None = None

    def begin(self, lane: Lane) -> None:
        """Prepare for the batches of a new dataset."""
        if self._policy.confirmation == "status":
            lane.status = StatusReading(
                lane,
                lag_seconds=self._policy.listing_lag_seconds,
                timeout_seconds=self._policy.confirmation_timeout_seconds,
            )

    def accept(self, batch: Batch, now: float) -> None:
        """Take in a batch that has an ingestion."""
        self._ledger.accepted(batch, now)
        if batch.lane.status is None:
            self._unasked.append(batch)

    @property
    def cost(self) -> int:
        """Requests that the outcome of everything on its way, and of one more batch, will cost."""
        if self._policy.confirmation == "rows":
            return self._ledger.places + 1
        return sum(1 if lane.status is not None else len(lane.accepted) for lane in self._lanes) + 1

    # Questions about single batches

    def question(self, now: float) -> AskOutcome | Blocked | None:
        """The question that is due, if any."""
        first = self._unasked[0] if self._unasked else None
        again = self._again[0] if self._again else None
        first_at = NEVER
        if first is not None and (self._delay.asks_many or self._probe is None):
            first_at = first.accepted_at + self._delay.seconds
        again_at = again[0] if again is not None else NEVER
        due_at = min(first_at, again_at)
        if due_at > now:
            self._gate.later(due_at)
            return None
        batch = again[2] if again is not None and again_at <= first_at else first
        if batch is None:
            return None
        if not self._gate.lets(batch.lane, due_at, now):
            return BLOCKED
        if batch is first:
            self._unasked.popleft()
            batch.asking = Attempts(due_at)
            if not self._delay.is_learned:
                self._probe = batch
        else:
            heapq.heappop(self._again)
        batch.asking.started(now)
        return AskOutcome(batch.lane, batch, batch.ingestion_id or "")

    def answered(self, batch: Batch, answer: object, now: float) -> None:
        """Take in the answer to a question."""
        if isinstance(answer, TransientError):
            self._patience.try_later(batch.lane, batch.asking, answer, now)
            self._ask_again(batch, batch.asking.due_at)
        elif isinstance(answer, Ingestion):
            batch.asking.succeeded()
            self._outcome(batch, answer, now)
        elif isinstance(answer, MissingError):
            batch.asking.succeeded()
            self._still_pending(batch, "Databox does not know the ingestion", now)
        elif isinstance(answer, DataboxError):
            self._course.fail(answer, now)

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
            self._verdicts.stored(batch, now)

    def _ask_again(self, batch: Batch, at: float) -> None:
        batch.asking.due_at = at
        heapq.heappush(self._again, (at, next(self._order), batch))

    # Readings of the list

    def reading(self, now: float) -> ReadList | Blocked | None:
        """The reading of a list of ingestions that is due, if any."""
        for lane in self._lanes:
            status = lane.status
            if status is None or status.is_away:
                continue
            is_last = self._course.mode is Mode.DRAINING and lane.has_all_accepted
            due_at = status.due_at(self._expected_seconds, is_last=is_last)
            if due_at > now:
                self._gate.later(due_at)
                continue
            if not self._gate.lets(lane, due_at, now):
                return BLOCKED
            status.started(now)
            for batch in lane.accepted.values():
                # The reading is everybody's question, and waiting for the budget counts towards no timeout.
                batch.asking.waited_seconds += now - max(due_at, batch.accepted_at)
            return status.reading()
        return None

    def listed(self, status: StatusReading, answer: object, now: float) -> None:
        """Take in the answer to a reading."""
        lane = status.lane
        if isinstance(answer, TransientError):
            self._patience.try_later(lane, status.attempts, answer, now)
        elif isinstance(answer, DataboxError):
            self._course.fail(answer, now)
        elif isinstance(answer, IngestionsPage):
            status.attempts.succeeded()
            expected = self._expected(lane, now)
            status.listed(answer, now, due=expected)
            self._judge_listed(lane, answer, expected, now)
            if status.is_blind:
                self._stop_listing(lane)
            elif not status.is_walking:
                self._judge_unlisted(lane, now)

    def _expected(self, lane: Lane, now: float) -> set[str]:
        return {
            ingestion_id
            for ingestion_id, batch in lane.accepted.items()
            if batch.age_seconds(now) >= self._expected_seconds
        }

    @property
    def _expected_seconds(self) -> float:
        # Where nothing has an outcome yet, the delay doubles; the end of patience is looked at all the same.
        return min(self._delay.seconds, self._policy.confirmation_timeout_seconds)

    def _judge_listed(self, lane: Lane, page: IngestionsPage, expected: set[str], now: float) -> None:
        for entry in page.entries:
            batch = lane.accepted.get(entry.id)
            if batch is None:
                continue
            if entry.status is IngestionStatus.DONE:
                self._learn(batch, now)
                lane.counts.unknown_counts += len(batch.rows)
                self._verdicts.stored(batch, now)
            elif entry.status is IngestionStatus.FAILED:
                self._learn(batch, now)
                self._verdicts.failed(batch, None, None, now)
            elif entry.id in expected:
                self._still_pending(batch, "the list of ingestions shows it as pending", now)

    def _judge_unlisted(self, lane: Lane, now: float) -> None:
        timeout = self._policy.confirmation_timeout_seconds
        for batch in list(lane.accepted.values()):
            if batch.age_seconds(now) >= timeout:
                self._still_pending(batch, "the list of ingestions does not show its outcome", now)

    def _stop_listing(self, lane: Lane) -> None:
        self._notes.warning(
            "The list of ingestions of %s does not show new ones in a page or two; reading each ingestion by "
            "itself, as with confirmation `rows`.",
            lane.destination,
        )
        lane.status = None
        self._unasked.extend(lane.accepted.values())

    # What an answer teaches

    def _learn(self, batch: Batch, now: float) -> None:
        # How long the question waited for the budget says nothing of the next one's.
        self._delay.asked(batch.age_seconds(now), done=True)
        batch.lane.counts.confirmations += 1
        batch.lane.counts.confirmation_seconds += now - batch.accepted_at
        self._probe = None

    def _still_pending(self, batch: Batch, finding: str, now: float) -> None:
        age = batch.age_seconds(now)
        self._delay.asked(age, done=False, is_first=not batch.was_asked)
        batch.was_asked = True
        timeout = self._policy.confirmation_timeout_seconds
        if age >= timeout:
            self._course.fail(
                UnconfirmedError(
                    f"Ingestion {batch.ingestion_id} of {batch.lane.destination} is unconfirmed after "
                    f"{timeout:g} s: {finding}. Its rows may or may not be stored, so no STATE passes them; "
                    "run again, or raise confirmation_timeout_seconds if Databox is slow."
                ),
                now,
            )
        elif batch.lane.status is None:
            self._ask_again(batch, now + self._delay.again(age, timeout) - age)
