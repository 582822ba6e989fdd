"""Judges batches that the API doesn't take whole: halved to find the bad rows, sent once more, or reported.

A batch that was refused, or whose ingestion rejected rows, is halved where that is safe: nothing of it is
stored, or the dataset has keys, so that a row may be sent again. Elsewhere the whole batch is *suspect*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_databox.delivery import halving
from target_databox.delivery.batches import key_text
from target_databox.delivery.errors import RefusesAllError, RejectedError, RejectsLimitError
from target_databox.delivery.model import Batch, Reject, Verdict

if TYPE_CHECKING:
    from target_databox.api.errors import RefusedError
    from target_databox.api.shapes import ApiProblem, Ingestion
    from target_databox.delivery.batches import Row
    from target_databox.delivery.course import Course
    from target_databox.delivery.lane import Lane
    from target_databox.delivery.ledger import Ledger
    from target_databox.delivery.model import Policy

# A batch that is too large says nothing of its rows.
TOO_LARGE_STATUS = 413
# So many refusals of a dataset that never accepted anything, so many of them of single rows, and the cause is
# not in its rows.
SYSTEMIC_REFUSALS = 12
SYSTEMIC_ROWS = 5

_BLAME = {
    "refused": "refused by Databox",
    "rejected": "rejected by Databox",
    "failed": "not processed by Databox",
    "suspect": "perhaps not stored by Databox",
}


class Verdicts:
    """Judges batches by their outcomes.

    Args:
        policy: What is done with rejected records.
        lanes: All datasets; grows during the run.
        course: Ended by records that can't be kept, and by an API that takes nothing.
        ledger: Where rows get their outcome.

    Attributes:
        outbox: Rejected rows that are not written down yet.
        cutoff: Line of the record that ends the run; only rows up to that line are still sent.
    """

    def __init__(self, policy: Policy, lanes: list[Lane], *, course: Course, ledger: Ledger) -> None:
        self.outbox: list[Reject] = []
        self.cutoff: int | None = None
        self._policy = policy
        self._lanes = lanes
        self._course = course
        self._ledger = ledger
        self._rejected = 0

    def unsendable(self, lane: Lane, row: Row, reason: str, code: str, message: str) -> None:
        """A record is bad before it is sent."""
        self._reject(lane, row, Verdict(reason, code, message))

    @staticmethod
    def is_doubtful(lane: Lane) -> bool:
        """Whether a dataset has refused much and taken nothing, so that single rows have to tell why."""
        return not lane.was_accepted and lane.refusals >= SYSTEMIC_REFUSALS

    def must_wait(self, batch: Batch) -> bool:
        """Whether a half waits for another batch to show that the dataset takes anything at all."""
        lane = batch.lane
        if not self.is_doubtful(lane):
            return False
        has_place = self._ledger.places < self._policy.unconfirmed_batches
        return lane.posting > 0 or (lane.queue.ready > 0 and has_place)

    def must_wait_for_halves(self, lane: Lane) -> bool:
        """Whether new batches wait because halves go first."""
        return lane.is_serial and any(not self.must_wait(batch) for batch in lane.resends)

    def refused(self, batch: Batch, error: RefusedError, now: float) -> None:
        """A POST was answered with a final error: nothing of it is stored."""
        lane = batch.lane
        if not lane.was_accepted:
            lane.refusals += 1
            lane.refused_rows += len(batch.rows) == 1
            is_proven = lane.refusals > SYSTEMIC_REFUSALS and lane.refused_rows >= SYSTEMIC_ROWS
            if is_proven and not (lane.queue.ready or lane.posting):
                self._course.fail(
                    RefusesAllError(
                        f"Databox refuses every row of {lane.destination}, and has accepted none: {error} "
                        "The cause is not in single rows: check the dataset in Databox and the settings of "
                        "the stream."
                    ),
                    now,
                )
                return
        code, message = _said(error.problems, "the API gave no reason")
        verdict = Verdict("refused", code, message, error.request_id, status=error.status)
        self._bad(batch, None, verdict, now)

    def rejected(self, batch: Batch, ingestion: Ingestion, now: float) -> None:
        """An ingestion rejected some of its rows."""
        count = ingestion.rejected or 0
        code, message = _said(
            ingestion.errors, f"{count} of {len(batch.rows)} rows of the ingestion were rejected"
        )
        verdict = Verdict("rejected", code, message, ingestion.request_id, ingestion.id)
        batch.was_counted = True
        self._bad(batch, count, verdict, now)

    def failed(self, batch: Batch, ingestion: Ingestion | None, stored: int | None, now: float) -> None:
        """An ingestion failed: it is sent once more where that is safe, then counts as refused."""
        is_safe = stored == 0 or batch.lane.destination.resends_safely
        if is_safe and not batch.was_resent:
            batch.was_resent = True
            self._ledger.unlist(batch)
            self._send(batch, now)
            return
        problems = ingestion.errors if ingestion is not None else ()
        request_id = ingestion.request_id if ingestion is not None else None
        code, message = _said(problems, "the ingestion failed")
        verdict = Verdict("failed", code, message, request_id, batch.ingestion_id)
        if is_safe:
            self._bad(batch, None, verdict, now)
        else:
            self._suspect(batch, verdict, now)

    def stored(self, batch: Batch, now: float) -> None:
        """Every row of a batch is stored: that says something of its other half."""
        self._judge_twin(batch, 0, now)
        self._send_rest(batch, now)
        self._ledger.confirm(batch, now)

    def _bad(self, batch: Batch, rejected: int | None, verdict: Verdict, now: float) -> None:
        # `rejected` rows of the batch were not stored; None: it was refused, for the sake of at least one.
        self._ledger.unlist(batch)
        self._judge_twin(batch, rejected, now)
        if len(batch.rows) == 1 or rejected == len(batch.rows):
            for row in batch.rows:
                batch.lane.queue.restore(row)
                self._reject(batch.lane, row, verdict)
            self._ledger.release(batch, now)
        elif rejected is not None and not batch.lane.destination.resends_safely:
            self._suspect(batch, verdict, now)
        elif self._is_worth_halving(batch):
            self._halve(batch, rejected, verdict, now)
        else:
            # The run ends before these rows: they stay without an outcome.
            self._ledger.give_up_place(batch)
        self._send_rest(batch, now)

    def _suspect(self, batch: Batch, verdict: Verdict, now: float) -> None:
        suspect = Verdict("suspect", verdict.code, verdict.message, verdict.request_id, verdict.ingestion_id)
        self._ledger.unlist(batch)
        self._judge_twin(batch, None, now)
        for row in batch.rows:
            # What a suspect row had replaced can't be sent after it, nor taken for superseded: it goes along.
            replaced, row.older = row.older or [], None
            for each in (*replaced, row):
                self._reject(batch.lane, each, suspect)
        self._send_rest(batch, now)
        self._ledger.release(batch, now)

    def _is_worth_halving(self, batch: Batch) -> bool:
        cutoff = self.cutoff
        if cutoff is None:
            return True
        return any(each.number <= cutoff for row in batch.rows for each in (row, *row.replaced()))

    def _halve(self, batch: Batch, rejected: int | None, verdict: Verdict, now: float) -> None:
        first, second = (self._part(batch, rows, now) for rows in halving.halves(batch.rows))
        batch.slot.parts += 1
        first.twin, first.whole_rejected, first.verdict = second, rejected, verdict
        first.rest, batch.rest = batch.rest, None
        batch.lane.resends.append(first)

    @staticmethod
    def _part(batch: Batch, rows: list[Row], now: float) -> Batch:
        part = Batch(batch.lane, rows, batch.slot, now)
        part.hold = batch.hold
        part.was_counted = batch.was_counted
        part.was_rest = batch.was_rest
        return part

    def _judge_twin(self, batch: Batch, rejected: int | None, now: float) -> None:
        second, batch.twin = batch.twin, None
        if second is None or batch.verdict is None:
            return
        found = halving.twin(batch.whole_rejected, rejected, len(second.rows))
        is_size = batch.verdict.status == TOO_LARGE_STATUS
        if rejected is None and batch.lane.was_accepted and not (is_size or batch.was_rest):
            self._keep(batch, second)
            return
        second.rest, batch.rest = batch.rest, None
        if found.verdict == "stored":
            self.stored(second, now)
        elif found.verdict == "rejected":
            self._bad(second, found.rejected, batch.verdict, now)
        elif found.verdict == "refused" and not is_size:
            self._bad(second, None, batch.verdict, now)
        else:
            self._send(second, now)

    @staticmethod
    def _keep(batch: Batch, second: Batch) -> None:
        # One bad row is likelier than two, and it is in the first half: the second need not go alone. What
        # turns out to have bad rows as well is not kept again: with many of them that would cost more. Nor is
        # anything before the dataset has taken something: the second half may be the first to show it does.
        rest = batch.rest
        if rest is not None:
            # The hold of the second is the same or a newer one, which comes when the older is over.
            second.rows = second.rows + rest.rows
            second.slot.parts -= 1
        batch.rest, second.was_rest = second, True

    def _send_rest(self, batch: Batch, now: float) -> None:
        rest, batch.rest = batch.rest, None
        if rest is not None:
            self._send(rest, now)

    @staticmethod
    def _send(batch: Batch, now: float) -> None:
        batch.posting.due_at = now
        batch.lane.resends.append(batch)

    def _reject(self, lane: Lane, row: Row, verdict: Verdict) -> None:
        self._rejected += 1
        lane.counts.rejected += 1
        reject = Reject(lane.destination, row, verdict)
        policy = self._policy
        if policy.keeps_rejects:
            self.outbox.append(reject)
            if self._rejected > policy.rejects_limit and not self._course.is_settling:
                self._course.stop_for(
                    RejectsLimitError(
                        f"{self._rejected} records were rejected, more than rejects_limit "
                        f"({policy.rejects_limit}) allows; the last one of {lane.destination}: "
                        f"{verdict.message}. What was rejected is in rejects_path; mend the cause, or raise "
                        "rejects_limit."
                    )
                )
            return
        if self.cutoff is None or row.number < self.cutoff:
            self.cutoff = row.number
            self._course.end_at_record(_rejected_error(reject))
            for each in self._lanes:
                each.queue.drop_from(row.number + 1)


def _said(problems: tuple[ApiProblem, ...], otherwise: str) -> tuple[str | None, str]:
    """The code and the words of the first problem that the API names."""
    for problem in problems:
        if problem.code or problem.message:
            where = f" (field {problem.field})" if problem.field else ""
            return problem.code, f"{problem.message or problem.code}{where}"
    return None, otherwise


def _rejected_error(reject: Reject) -> RejectedError:
    verdict = reject.verdict
    key = f", key {key_text(reject.row.key)}," if reject.row.key is not None else ""
    said = ", ".join(
        filter(
            None,
            [
                f"status {verdict.status}" if verdict.status else "",
                f"{verdict.code}: {verdict.message.rstrip('.')}"
                if verdict.code
                else verdict.message.rstrip("."),
                f"request id {verdict.request_id}" if verdict.request_id else "",
            ],
        )
    )
    return RejectedError(
        f"Record {reject.row.number}{key} of {reject.destination} was "
        f"{_BLAME.get(verdict.reason, 'rejected')} ({said}). Rows before it are delivered, no STATE passes "
        "it, and the next run meets it again. Mend it at its source, or set rejects_path to keep rejected "
        "records in a file and go on."
    )
